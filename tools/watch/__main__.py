"""``python -m tools.watch``: on each save, the tests that the saved file affects, within a second or two."""

import importlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import pytest
import typer
from watchfiles import PythonFilter, watch

from tools.bench_imports.__main__ import LIBRARIES
from tools.drill.scratch import ROOT

WATCHED = ("libs", "services", "sandbox", "harness", "demo", "tools", "tests")
TESTED_BY: dict[str, tuple[str, ...]] = {
    "libs/outboxed": ("libs/outboxed/tests", "services"),
    "libs/backing_services": ("libs/backing_services/tests",),
    "libs/pact_faststream": ("libs/pact_faststream/tests",),
    "libs/asyncapi_gate": ("libs/asyncapi_gate/tests",),
    "sandbox": ("sandbox/tests", "services/payments/tests"),
    "harness": ("harness/tests", "demo/tests", "tests"),
    "demo": ("demo/tests",),
}
"""Whose tests a change affects; a service's are its own."""


def affected(changed: Iterable[Path]) -> list[str]:
    """What pytest has to run, for files below ROOT: a test file that was changed alone, else folders of tests."""
    chosen: dict[str, None] = {}
    for path in sorted(changed):
        chosen.update(dict.fromkeys(_affected_by(path)))
    return [one for one in chosen if not any(one != other and one.startswith(f"{other}/") for other in chosen)]


def _affected_by(path: Path) -> Iterator[str]:
    if path.name.startswith("test_"):
        if (ROOT / path).exists():
            yield str(path)
        return
    first, second = (*path.parts, "")[:2]
    if first == "services":
        yield f"services/{second}/tests"
    elif first in {"tests", "tools"}:
        yield str(path.parent) if path.name == "conftest.py" else "tests"
    else:
        yield from TESTED_BY.get(f"{first}/{second}", TESTED_BY.get(first, ()))


def main(
    level: Annotated[str, typer.Option(help="An expression for -m.")] = "unit",
) -> None:
    """Until Ctrl-C."""
    os.chdir(ROOT)
    for library in LIBRARIES:  # once: each run is a fork of this process, which has them already
        importlib.import_module(library)
    print(f"watch: save a file below {', '.join(WATCHED)}; Ctrl-C ends it", flush=True)
    for changes in watch(*WATCHED, watch_filter=PythonFilter(), raise_interrupt=False):
        if tests := affected(Path(path).relative_to(ROOT) for _, path in changes):
            _run([*tests, "-q", "-m", level])


def _run(options: list[str]) -> None:
    begun = time.monotonic()
    print(f"watch: pytest {' '.join(options)}", flush=True)
    child = os.fork()
    if child == 0:
        os._exit(int(pytest.main(options)))
    os.waitpid(child, 0)
    print(f"watch: {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    typer.run(main)
