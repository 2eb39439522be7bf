"""Failpoints: nothing where none is chosen, the end of the process where one is."""

import os
import signal
import subprocess
import sys

import pytest
from outboxed.failpoints import VARIABLE, failpoint, steps

PROGRAM = """
import asyncio
from outboxed.failpoints import failpoint, refuse_unknown_failpoint

@failpoint("bank.pay")
async def pay():
    print("paid", flush=True)

@failpoint("bank.count")
def count():
    print("counted", flush=True)

@failpoint("bank.refuse")
async def refuse():
    raise ValueError

refuse_unknown_failpoint()
for _ in range(2):
    asyncio.run(pay())
    count()
try:
    asyncio.run(refuse())
except ValueError:
    print("refused", flush=True)
"""
ALL = ["paid", "counted", "paid", "counted", "refused"]


def run(chosen: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, VARIABLE: chosen},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_step_that_was_not_chosen_is_the_function_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.failpoints._steps", set())

    async def pay() -> None: ...

    assert failpoint("bank.pay")(pay) is pay
    assert steps() == ["bank.pay"]


@pytest.mark.parametrize(
    ("chosen", "done"),
    [
        ("bank.pay:before", ALL[:0]),
        ("bank.pay:after", ALL[:1]),
        ("bank.count:before", ALL[:1]),
        ("bank.count:after", ALL[:2]),
        ("bank.pay:before@2", ALL[:2]),
        ("bank.count:after@2", ALL[:4]),
        ("bank.refuse:before", ALL[:4]),
    ],
)
def test_a_process_is_killed_before_or_after_the_chosen_step(chosen: str, done: list[str]) -> None:
    ended = run(chosen)

    assert (ended.returncode, ended.stdout.split()) == (-signal.SIGKILL, done)


@pytest.mark.parametrize("chosen", ["", "bank.pay:after@3", "bank.refuse:after"])
def test_a_process_lives_on_where_the_chosen_step_is_never_done(chosen: str) -> None:
    ended = run(chosen)

    assert (ended.returncode, ended.stdout.split()) == (0, ALL)


@pytest.mark.parametrize("chosen", ["bank.play:before", "bank.pay", "bank.pay:during", "bank.pay:after@0", "x"])
def test_a_step_or_side_that_there_is_not_is_refused_with_what_there_is(chosen: str) -> None:
    ended = run(chosen)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"outboxed.errors.ConfigurationError: {VARIABLE}={chosen}: must be a step and a side, such as "
        "relay.delete:before or relay.delete:after@2; the steps are bank.count, bank.pay, bank.refuse"
    )
