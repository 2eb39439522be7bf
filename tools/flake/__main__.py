"""`python -m tools.flake`: all levels that need no Docker, again and again, in another order each time.

A test that fails once in a hundred runs is no test. Runs alternate between one process and all processors, and between
the run's number and a random seed. Each failure is printed with the command that repeats its order.
"""

import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tools.junit import cases_of

EMBEDDED = "not e2e and not real_kafka"
PARALLEL = ("-n", "auto", "--dist", "worksteal")
TESTS_FAILED = 1
"""pytest's exit status; higher ones mean that pytest could not run."""


class FlakeError(Exception):
    """pytest could not run the tests at all."""


@dataclass(frozen=True)
class Run:
    """One run of the tests: the seed of its order, and whether in parallel."""

    seed: int
    parallel: bool

    @property
    def options(self) -> Sequence[str]:
        """pytest's options, without the selection of tests."""
        return ("-q", f"--shuffle={self.seed}", *(PARALLEL if self.parallel else ()))


@dataclass(frozen=True)
class Failure:
    """A test that failed, and the first line of why."""

    test: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """How many tests ran, and which failed."""

    executions: int
    failures: Sequence[Failure]


def planned(runs: int) -> Iterator[Run]:
    """Runs in one process and in parallel, each with fixed and with random seeds."""
    for number in range(runs):
        fixed = number // 2 % 2 == 0
        yield Run(number if fixed else random.randrange(2**16), parallel=number % 2 == 1)  # noqa: S311 - an order


def read(report: Path) -> Outcome:
    """What pytest's JUnit report says; a test that was skipped didn't run."""
    cases = cases_of(report)
    failures = [Failure(f"{case.module}::{case.name}", why) for case in cases for why in case.failures]
    return Outcome(len(cases), failures)


def perform(run: Run, selection: Sequence[str], report: Path) -> Outcome:
    """Raises FlakeError."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", *run.options, *selection, f"--junitxml={report}"],
        env={name: value for name, value in os.environ.items() if name != "REQUIRE"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode > TESTS_FAILED:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise FlakeError(f"pytest ended with {done.returncode}:\n{end}")
    return read(report)


def main(
    runs: Annotated[int, typer.Option(min=1, help="How many runs.")] = 10,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once: on a busy machine, tests fail sooner.")] = 1,
    select: Annotated[str, typer.Option(metavar="MARKERS", help="pytest's -m.")] = EMBEDDED,
) -> None:
    """Exit with 1 after any failure, with 2 if the tests could not be run."""
    selection = ("-m", select)

    def timed(run: Run) -> tuple[Run, Outcome, float]:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="flake-") as folder:
            outcome = perform(run, selection, Path(folder) / "report.xml")
        return run, outcome, time.monotonic() - begun

    executions = failures = 0
    pool = ThreadPoolExecutor(jobs)
    try:
        ended = as_completed([pool.submit(timed, run) for run in planned(runs)])
        for number, done in enumerate(ended, start=1):
            run, outcome, seconds = done.result()
            executions += outcome.executions
            failures += len(outcome.failures)
            how = f"{'in parallel' if run.parallel else 'in one process'}, {seconds:.0f} s"
            print(f"{number:4}. {outcome.executions} tests {how}, --shuffle={run.seed}", flush=True)
            for failure in outcome.failures:
                print(f"      FAILED {failure.test}: {failure.reason}")
                print(f"      again: pytest {shlex.join([*run.options, *selection])}", flush=True)
    except FlakeError as error:
        print(f"flake: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        pool.shutdown(cancel_futures=True)  # also after Ctrl-C, which the current runs get by themselves
    print(f"flake: {runs} runs, {executions} executions, {failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    typer.run(main)
