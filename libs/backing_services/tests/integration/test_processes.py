import asyncio
import fcntl
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backing_services.processes import (
    HttpReady,
    LineReady,
    ManagedProcess,
    ProcessFailedError,
    ProcessSpec,
    Supervisor,
    free_port,
)
from backing_services.processes.temporary import TemporaryFolder
from backing_services.waiting import eventually

from ..is_running import assert_ends_with_its_parent, is_running

LIVES = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + LIVES
# no handler that raises: Python ignores what it raises in the middle of an import, and runs it only after a sleep that
# began just when the signal came
ORDERLY = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
"""
WITH_A_CHILD = """
import subprocess, time
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
time.sleep(60)
"""
READY_AT_THE_THIRD_TIME = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Answers(BaseHTTPRequestHandler):
    statuses = [503, 404, 200]
    def do_GET(self):
        self.send_response(self.statuses.pop(0))
        self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""
TICKS = """
import itertools, time
for tick in itertools.count():
    print(tick, flush=True)
    time.sleep(0.005)
"""
SUPERVISOR_OF_A_CHILD = f"""
import asyncio, sys
from pathlib import Path
from backing_services.processes import ProcessSpec
from backing_services.processes import Supervisor
async def main():
    async with Supervisor() as supervisor:
        process = await supervisor.start(ProcessSpec("a", [sys.executable, "-c", {LIVES!r}], Path(sys.argv[1])))
        print(process.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def spec(folder: Path, source: str = LIVES, name: str = "orders", **more: object) -> ProcessSpec:
    given = {"ready": LineReady("^ready$"), **more}
    return ProcessSpec(name, [sys.executable, "-c", source], folder / f"{name}.log", **given)  # type: ignore[arg-type] # what the test is about


async def test_a_process_is_started_with_its_variables_and_writes_to_its_log(tmp_path: Path) -> None:
    source = "import os; print('it is', os.environ['GREETING'])"
    process = ManagedProcess(spec(tmp_path, source, environment={"GREETING": "hello"}, ready=None))

    await process.start()

    assert await process.wait() == 0
    assert (tmp_path / "orders.log").read_text() == process.output() == "it is hello\n"


async def test_a_process_is_ready_when_it_answers_over_http(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    ready = HttpReady(f"http://127.0.0.1:{port}/")
    process = ManagedProcess(ProcessSpec("web", command, tmp_path / "log", ready=ready, directory=tmp_path))

    await process.start()

    assert "200" in process.output()
    await process.stop()


async def test_a_process_that_answers_that_it_is_not_ready_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", READY_AT_THE_THIRD_TIME, str(port)]
    process = ManagedProcess(
        ProcessSpec("web", command, tmp_path / "log", ready=HttpReady(f"http://127.0.0.1:{port}/"))
    )

    await process.start()

    assert [line.split()[-2] for line in process.output().splitlines()] == ["503", "404", "200"]
    await process.stop()


async def test_a_process_that_is_started_again_is_ready_by_its_own_line(tmp_path: Path) -> None:
    once = f"import os; os.path.exists('was') and exit(3); open('was', 'w'); {LIVES}"
    process = ManagedProcess(spec(tmp_path, once, directory=tmp_path))
    await process.start()
    process.kill()
    await process.wait()

    with pytest.raises(ProcessFailedError, match="ended with status 3 before it was ready"):
        await process.start()


def test_a_folder_of_somebody_who_lives_is_left_alone_and_costs_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = [TemporaryFolder("mine-", in_memory=False) for _ in range(4)]

    opened = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert sum(each.startswith(str(tmp_path)) for each in opened) == 4, "each has its own lock open, and no other"
    assert all(folder.path.exists() for folder in folders)
    for folder in folders:
        folder.remove()


def test_a_folder_that_is_still_being_made_is_not_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    flock, others = fcntl.flock, list[TemporaryFolder]()

    def meanwhile_another_is_made(lock: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        others.append(TemporaryFolder("mine-", in_memory=False))
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", meanwhile_another_is_made)
    one = TemporaryFolder("mine-", in_memory=False)

    assert [folder.path.is_dir() for folder in (one, *others)] == [True, True]
    for folder in (one, *others):
        folder.remove()


async def test_a_process_that_dies_before_it_is_ready_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailedError, match=r"orders ended with status 3 before it was ready.*\nno database"):
        await ManagedProcess(spec(tmp_path, "print('no database'); exit(3)")).start()


async def test_a_process_that_is_not_ready_in_time_shows_what_it_was_waited_for(tmp_path: Path) -> None:
    process = ManagedProcess(spec(tmp_path, ready=LineReady("never"), ready_within=0.1))

    with pytest.raises(ProcessFailedError, match=r"was not ready \(LineReady\(pattern='never'\)\) within 0.1 s"):
        await process.start()

    await process.stop()


async def test_a_process_is_killed_with_its_children(tmp_path: Path) -> None:
    process = ManagedProcess(spec(tmp_path, WITH_A_CHILD, ready=LineReady("[0-9]")))
    await process.start()
    child = int(process.output())

    process.kill()

    await process.wait()
    await eventually(lambda: not is_running(child))


async def test_a_paused_process_does_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    process = ManagedProcess(spec(tmp_path, TICKS, ready=LineReady("1")))
    await process.start()

    process.pause()
    await eventually(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T")
    silent = process.output()
    assert process.output() == silent

    process.resume()
    await eventually(lambda: process.output() > silent)
    await process.stop()


async def test_stopping_lets_a_paused_process_end_in_order(tmp_path: Path) -> None:
    process = ManagedProcess(spec(tmp_path, ORDERLY))
    await process.start()
    process.pause()

    await process.stop(grace=10)

    assert process.returncode == 0


async def test_a_process_that_ignores_the_request_to_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    process = ManagedProcess(spec(tmp_path, STUBBORN))
    await process.start()

    await process.stop(grace=0.05)

    assert process.returncode == -signal.SIGKILL


async def test_a_killed_process_is_restarted_and_told_of(tmp_path: Path) -> None:
    restarts: list[tuple[str, int]] = []
    async with Supervisor(on_restart=lambda *restart: restarts.append(restart)) as supervisor:
        process = await supervisor.start(spec(tmp_path))
        first = process.pid

        process.kill()

        await eventually(lambda: process.pid != first and "ready" in process.output())
        assert restarts == [("orders", -signal.SIGKILL)]


async def test_a_process_that_was_stopped_by_the_supervisor_stays_so(tmp_path: Path) -> None:
    restarts: list[tuple[str, int]] = []
    async with Supervisor(on_restart=lambda *restart: restarts.append(restart)) as supervisor:
        process = await supervisor.start(spec(tmp_path))

        await supervisor.stop("orders")

        assert not process.is_running
    assert restarts == []


async def test_a_process_that_dies_again_and_again_is_given_up_with_its_log(tmp_path: Path) -> None:
    dies_at_second_start = f"""
import pathlib, sys
seen = pathlib.Path({str(tmp_path / "seen")!r})
if seen.exists(): sys.exit("no such table")
seen.touch()
{LIVES}
"""

    async def run() -> None:
        async with Supervisor() as supervisor:
            process = await supervisor.start(spec(tmp_path, dies_at_second_start))
            process.kill()
            async with asyncio.timeout(30):
                reason = await supervisor.failure()
            assert "no such table" in str(reason)

    with pytest.raises(
        ProcessFailedError, match=r"orders died 5 times within 30 s, last with status 1.*\nno such table"
    ):
        await run()


async def test_a_process_that_does_not_end_is_waited_for_as_long_as_the_supervisor_is_told(tmp_path: Path) -> None:
    async with Supervisor(grace=0.1) as supervisor:
        process = await supervisor.start(spec(tmp_path, STUBBORN))

        async with asyncio.timeout(3):  # the default is 5 s
            await supervisor.stop("orders")

    assert not process.is_running


async def test_processes_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    async with Supervisor() as supervisor:
        for name in "abc":
            writes_its_name = f"with open({str(ends)!r}, 'a') as file: file.write({name!r})"
            await supervisor.start(spec(tmp_path, ORDERLY + writes_its_name, name))

    assert ends.read_text() == "cba"


async def test_no_process_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    await assert_ends_with_its_parent(SUPERVISOR_OF_A_CHILD, str(tmp_path / "log"))


async def test_a_name_can_be_taken_once(tmp_path: Path) -> None:
    async with Supervisor() as supervisor:
        await supervisor.start(spec(tmp_path))

        with pytest.raises(ProcessFailedError, match="a process named orders already"):
            await supervisor.start(spec(tmp_path))


async def test_the_number_of_lives_can_be_chosen(tmp_path: Path) -> None:
    deaths: list[tuple[str, int]] = []

    async def run() -> None:
        async with Supervisor(on_restart=lambda *death: deaths.append(death), lives=2) as supervisor:
            process = await supervisor.start(spec(tmp_path))
            first = process.pid
            process.kill()
            await eventually(lambda: process.pid not in {first, None})
            process.kill()
            async with asyncio.timeout(30):
                await supervisor.failure()

    with pytest.raises(
        ProcessFailedError, match=f"orders died 2 times within 30 s, last with status -{signal.SIGKILL:d}"
    ):
        await run()
    assert deaths == [("orders", -signal.SIGKILL)]


async def test_deaths_that_are_far_apart_are_no_reason_to_give_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backing_services.processes.supervisor.WITHIN", 0)
    lived: list[int] = []
    async with Supervisor(lives=2) as supervisor:
        process = await supervisor.start(spec(tmp_path))
        for _ in range(3):
            lived.append(process.pid)
            process.kill()
            await eventually(lambda: process.pid not in lived and process.is_running)


class NotReady:
    """Fails as soon as the process has said who it is."""

    async def wait(self, output: Callable[[], str]) -> None:
        await eventually(output)
        raise ProcessFailedError(output())


async def test_a_process_that_does_not_become_ready_does_not_live_on(tmp_path: Path) -> None:
    says_who_it_is = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    async with Supervisor() as supervisor:
        with pytest.raises(ProcessFailedError) as failed:
            await supervisor.start(spec(tmp_path, says_who_it_is, ready=NotReady()))

        assert not is_running(int(str(failed.value)))


async def test_a_process_can_be_asked_for_by_its_name(tmp_path: Path) -> None:
    async with Supervisor() as supervisor:
        process = await supervisor.start(spec(tmp_path))

        assert supervisor.process("orders") is process
        with pytest.raises(KeyError):
            supervisor.process("payments")
