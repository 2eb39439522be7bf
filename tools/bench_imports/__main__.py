"""`python -m tools.bench_imports`: how long each service takes to import, beside its libraries alone."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tools.bench_imports.libraries import LIBRARIES
from tools.measuring.unmeasured import one_line_for_a_person

SUBJECTS: Mapping[str, Sequence[str]] = {
    "orders": (*LIBRARIES, "argon2"),
    "payments": LIBRARIES,
    "notifications": (*LIBRARIES, "aiosmtplib"),
}
LIMIT = 1.5
"""Times the libraries' own import; our share has the models and routers that are built at import."""


@dataclass(frozen=True)
class Timing:
    """Seconds, the best of several."""

    libraries: float
    service: float

    @property
    def ratio(self) -> float:
        return self.service / self.libraries


def main(rounds: Annotated[int, typer.Option(min=1, help="Rounds; the best one counts.")] = 5) -> None:
    """Exit with 1 where a service takes more than LIMIT times its libraries' time, with 2 if it can't be imported."""
    table = Table("service", "its libraries", "all of it", "ratio", title="seconds to import, a new process each time")
    ratios = []
    for service, libraries in SUBJECTS.items():
        with one_line_for_a_person("imports"):
            timing = _timed(service, libraries, rounds)
        ratios.append(timing.ratio)
        table.add_row(service, f"{timing.libraries:.2f}", f"{timing.service:.2f}", f"{timing.ratio:.2f}")
    Console().print(table)
    print(f"imports: {max(ratios):.2f} times the libraries' time at most, the limit is {LIMIT}")
    sys.exit(max(ratios) > LIMIT)


def _timed(service: str, libraries: Sequence[str], rounds: int) -> Timing:
    """Time both in turns, so that other load of the machine meets both."""
    codes = ("import sys", f"import {', '.join(libraries)}", f"import {service}.app")
    times = [[_seconds(code) for code in codes] for _ in range(rounds)]
    nothing, of_libraries, of_service = map(min, zip(*times, strict=True))
    return Timing(of_libraries - nothing, of_service - nothing)


def _seconds(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
    return time.perf_counter() - begun


if __name__ == "__main__":
    typer.run(main)
