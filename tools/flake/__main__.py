"""`python -m tools.flake`: tests again and again, in another order and under another condition each time.

A test that fails once in a hundred runs is no test. Each failure is printed with the command that repeats its order.
"""

import os
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from backing_services.levels import LEVELS

from tools.flake.conditions import Condition, missing, surroundings
from tools.junit import cases_of

EMBEDDED = "not e2e and not real_kafka"
EXAMPLES = "--hypothesis-profile=random"
"""Of the root's conftest: others in each run, in CI as well."""
TESTS_FAILED = 1
"""pytest's exit status; higher ones mean that pytest could not run."""
RULE_OF_THREE = 3
"""Where none of n failed, less than one in n/3 fails, with a confidence of 95 %."""


class FlakeError(Exception):
    """pytest could not run the tests at all."""


@dataclass(frozen=True)
class Run:
    """One run of the tests: the seed of its order, and what it has to pass under."""

    seed: int
    condition: Condition

    @property
    def options(self) -> Sequence[str]:
        """pytest's options, without the selection of tests."""
        return ("-q", f"--shuffle={self.seed}", EXAMPLES, *self.condition.options)


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


def planned(conditions: Sequence[Condition]) -> Iterator[Run]:
    """Runs without an end: under each condition in turn, once with fixed seeds and once with random ones."""
    for number in count():
        fixed = number // len(conditions) % 2 == 0
        seed = number if fixed else random.randrange(2**16)  # noqa: S311 - an order
        yield Run(seed, conditions[number % len(conditions)])


def selected(levels: Sequence[str]) -> str:
    """pytest's markers of these levels, or of all."""
    return f"({' or '.join(levels)}) and {EMBEDDED}" if levels else EMBEDDED


def read(report: Path) -> Outcome:
    """What pytest's JUnit report says; a test that was skipped didn't run."""
    cases = cases_of(report)
    failures = [Failure(f"{case.module}::{case.name}", why) for case in cases for why in case.failures]
    return Outcome(len(cases), failures)


def perform(run: Run, selection: Sequence[str]) -> Outcome:
    """Raises FlakeError."""
    with TemporaryDirectory(prefix="flake-") as folder, surroundings(run.condition, Path(folder)) as around:
        report = Path(folder) / "report.xml"
        done = subprocess.run(  # noqa: S603
            [*around.before, sys.executable, "-m", "pytest", *run.options, *selection, f"--junitxml={report}"],
            env={name: value for name, value in os.environ.items() if name != "REQUIRE"} | dict(around.variables),
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode > TESTS_FAILED:
            end = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise FlakeError(f"{run.condition}, pytest ended with {done.returncode}:\n{end}")
        return read(report)


def performed(runs: Iterator[Run], selection: Sequence[str], jobs: int) -> Iterator[tuple[Run, Outcome, float]]:
    """Each run as it ends, its outcome and its seconds; so many run at once. Raises FlakeError."""

    def timed(run: Run) -> tuple[Run, Outcome, float]:
        begun = time.monotonic()
        return run, perform(run, selection), time.monotonic() - begun

    with ThreadPoolExecutor(jobs) as pool:
        going: set[Future[tuple[Run, Outcome, float]]] = set()
        while going := going | {pool.submit(timed, run) for run in islice(runs, jobs - len(going))}:
            ended, going = wait(going, return_when=FIRST_COMPLETED)
            for done in ended:
                yield done.result()


def until(enough: Callable[[], bool], runs: Iterator[Run]) -> Iterator[Run]:
    """The next run as long as it isn't enough."""
    while not enough():
        yield next(runs)


def main(
    runs: Annotated[int, typer.Option(min=1, help="How many runs.")] = 10,
    executions: Annotated[int, typer.Option(min=0, help="In place of --runs: go on until so many tests were run.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once: on a busy machine, tests fail sooner.")] = 1,
    level: Annotated[list[str] | None, typer.Option(help="Of this level; may be given again. Else of all.")] = None,
) -> None:
    """Exit with 1 after any failure, with 2 if the tests could not be run."""
    levels = level or []
    for unknown in set(levels) - set(LEVELS):
        _end(f"there is no level {unknown!r}, but {', '.join(LEVELS)}")
    lacks = missing()
    for condition, why in lacks.items():
        print(f"not {condition}: {why}", flush=True)
    every = planned([condition for condition in Condition if condition not in lacks])
    selection = ("-m", selected(levels))
    done = ran = failed = 0
    try:
        chosen = until(lambda: ran >= executions, every) if executions else islice(every, runs)
        for run, outcome, seconds in performed(chosen, selection, jobs):
            done, ran, failed = done + 1, ran + outcome.executions, failed + len(outcome.failures)
            how = f"{run.condition}, {seconds:.0f} s"
            print(f"{done:4}. {outcome.executions} tests {how}, --shuffle={run.seed}", flush=True)
            for failure in outcome.failures:
                print(f"      FAILED {failure.test}: {failure.reason}")
                print(f"      again: pytest {shlex.join([*run.options, *selection])}", flush=True)
    except FlakeError as error:
        _end(str(error))
    print(f"flake: {done} runs, {ran} executions, {failed} failures{bound(ran) if not failed else ''}")
    sys.exit(failed > 0)


def bound(executions: int) -> str:
    """What no failure in so many executions says of the next one."""
    return f"; fewer than 1 in {executions // RULE_OF_THREE} fails, at 95 % confidence" if executions else ""


def _end(problem: str) -> None:
    print(f"flake: {problem}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
