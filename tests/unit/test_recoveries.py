"""How the recoveries of `make faults` are judged, and the cores that are counted for it."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from tools.faults.recoveries import LIMITS, Recovery, too_slow
from tools.measuring.cores import Reading

BURN = "import time\nwhile time.process_time() < 0.3: pass"


@pytest.mark.parametrize(
    ("recovery", "slow"),
    [
        (Recovery(2.9, 2.0), False),
        (Recovery(3.1, 2.0), True),
        (Recovery(5.9, 1.0), False),
        (Recovery(6.1, 1.0), True),
        (Recovery(3.1, 8.0), True),
        (Recovery(12.1, 0.0), True),
        (Recovery(float("inf"), 0.0), True),
    ],
)
def test_a_recovery_may_take_twice_as_long_on_half_of_the_cores_and_never_for_ever(
    recovery: Recovery, *, slow: bool
) -> None:
    assert LIMITS["PostgreSQL"] == 3.0
    assert too_slow({"PostgreSQL": [recovery]}) == (["PostgreSQL"] if slow else [])


def test_one_slow_recovery_in_five_is_too_slow() -> None:
    recoveries = [Recovery(1.0, 2.0)] * 4

    assert not too_slow({"PostgreSQL": recoveries})
    assert too_slow({"PostgreSQL": [*recoveries, Recovery(3.5, 2.0)]}) == ["PostgreSQL"]


def test_cores_that_others_use_are_not_ours() -> None:
    before = Reading(at=0.0, spent=10.0, ours=4.0, cores=2)

    assert Reading(at=10.0, spent=10.0, ours=4.0, cores=2).cores_since(before) == 2.0
    assert Reading(at=10.0, spent=25.0, ours=19.0, cores=2).cores_since(before) == 2.0
    assert Reading(at=10.0, spent=25.0, ours=9.0, cores=2).cores_since(before) == 1.0
    assert Reading(at=10.0, spent=40.0, ours=4.0, cores=2).cores_since(before) == 0.0


def test_what_our_own_processes_do_is_ours_also_after_their_end() -> None:
    before = Reading.now()

    subprocess.run([sys.executable, "-c", BURN], check=True)  # noqa: S603 - our own words

    after = Reading.now()
    assert after.ours - before.ours >= 0.25  # the kernel counts in hundredths, of several processes
    assert after.at <= time.monotonic()
    assert after.cores == len(psutil.Process(os.getpid()).cpu_affinity() or [])
