"""What a run of the tests has to pass under: beside others, without a cache, on a slow core, while the clock jumps."""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

PARALLEL = ("-n", "auto", "--dist", "worksteal")
JUMP = 60.0
"""Seconds by which the clock is wrong at most, to either side: as after a sleep of the machine."""
JUMP_EVERY = 0.5
"""Seconds of the real clock between two jumps."""
SEEN_AFTER = 1
"""Seconds after which a process sees a jump; to look at the file each time would make each look at the clock dear."""


class Condition(StrEnum):
    """The value is how it is told."""

    ALONE = "in one process"
    PARALLEL = "in parallel"
    ONE_CORE = "on one core"
    EMPTY = "without what Hypothesis kept"
    HALF = "on half of a core"
    CLOCK = "while the clock jumps"

    @property
    def options(self) -> Sequence[str]:
        """What pytest is told."""
        return PARALLEL if self is Condition.PARALLEL else ()


@dataclass(frozen=True)
class Surroundings:
    """What stands before pytest's command, and variables."""

    before: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def missing() -> Mapping[Condition, str]:
    """The conditions that can't be made on this machine, and what it lacks."""
    lacks = {}
    if not shutil.which("taskset"):
        lacks[Condition.ONE_CORE] = lacks[Condition.HALF] = "there is no taskset (of util-linux)"
    if not _clock_can_jump():
        lacks[Condition.CLOCK] = "libfaketime has no library for this machine"
    return lacks


@contextmanager
def surroundings(condition: Condition, folder: Path) -> Iterator[Surroundings]:
    """Make the condition until the context ends; `folder` is there and this run's own."""
    match condition:
        case Condition.ALONE | Condition.PARALLEL:
            yield Surroundings()
        case Condition.EMPTY:
            yield Surroundings(variables={"HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis")})
        case Condition.ONE_CORE:
            yield Surroundings(before=_on(_a_core()))
        case Condition.HALF:
            core = _a_core()
            with _always_busy(core):
                yield Surroundings(before=_on(core))
        case Condition.CLOCK:
            with _jumps(folder / "clock"):
                yield Surroundings(variables=_told_the_time_by(folder / "clock"))


def _a_core() -> int:
    return random.choice(sorted(os.sched_getaffinity(0)))  # noqa: S311 - whichever


def _on(core: int) -> Sequence[str]:
    return ("taskset", "--cpu-list", str(core))


@contextmanager
def _always_busy(core: int) -> Iterator[None]:
    """A process beside the tests on their core, that never rests: the kernel gives half of the core to each."""
    with subprocess.Popen([*_on(core), sys.executable, "-c", "while True: pass"]) as busy:  # noqa: S603
        try:
            yield
        finally:
            busy.kill()


@contextmanager
def _jumps(file: Path) -> Iterator[None]:
    over = threading.Event()

    def jump() -> None:
        while not over.wait(JUMP_EVERY):
            _set(file, _by())

    _set(file, _by())
    jumping = threading.Thread(target=jump)
    jumping.start()
    try:
        yield
    finally:
        over.set()
        jumping.join()


def _by() -> float:
    return random.uniform(-JUMP, JUMP)  # noqa: S311 - no secret


def _set(file: Path, seconds: float) -> None:
    """Moved into place, so that nobody reads half a number."""
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{seconds:+.3f}s\n")
    fresh.replace(file)


def _told_the_time_by(file: Path) -> Mapping[str, str]:
    """The monotonic clocks, by which time-outs run, don't jump: they don't in the kernel either."""
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": str(SEEN_AFTER),
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def _library() -> Path:
    """Of the wheel, and not of the system: that of Debian 12 refuses sleeps by the monotonic clock."""
    spec = find_spec("libfaketime")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"


def _clock_can_jump() -> bool:
    """The loader only warns of a library that it can't take, so a process is asked for the time."""
    asked = "import time; print(time.time())"
    with TemporaryDirectory(prefix="flake-") as folder:
        file = Path(folder) / "clock"
        _set(file, -10 * JUMP)
        command = [sys.executable, "-c", asked]
        done = subprocess.run(  # noqa: S603
            command, env=os.environ | _told_the_time_by(file), check=False, capture_output=True, text=True
        )
    return done.returncode == 0 and float(done.stdout) < time.time() - JUMP
