"""`make up` as a person uses it: copy and paste what it prints, kill a service, press Ctrl-C."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from backing_services.postgres import connected
from backing_services.processes import LineReady, ManagedProcess, ProcessSpec, free_port
from backing_services.waiting import eventually
from shop_demo.running import VARIABLE
from shop_harness.services import LISTENERS, ROOT

from tools.uv import own_environment


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Ports and a file that nobody else has."""
    return {variable: str(free_port()) for variable, _ in LISTENERS.values()} | {VARIABLE: str(tmp_path / "shop.env")}


@pytest.fixture
async def up(tmp_path: Path, environment: dict[str, str]) -> AsyncIterator[ManagedProcess]:
    command = [sys.executable, "-m", "shop_demo", "up"]
    spec = ProcessSpec("up", command, tmp_path / "up.log", environment, LineReady("Ctrl-C stops everything"), 60)
    process = ManagedProcess(spec)
    await process.start()
    yield process
    await process.stop(grace=30)


async def pasted(output: str) -> list[str]:
    """Run the printed commands; what they answered, a line each."""
    [script] = re.findall(r"^curl .*?to:ada@example\.com\"; echo\n", output, re.MULTILINE | re.DOTALL)
    directly = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
    shell = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=subprocess.PIPE, env=directly)
    answers, _ = await shell.communicate()
    return answers.decode().splitlines()


def descendants(pid: int) -> set[int]:
    children = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return children.union(*(descendants(child) for child in children))


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def pid_of(module: str, among: set[int]) -> int:
    """The process itself, not the launcher that binds it to its parent."""
    for pid in sorted(among):
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if arguments[1:3] == [b"-m", module.encode()]:
            return pid
    raise LookupError(module)


async def test_what_it_prints_works_a_killed_service_comes_back_and_ctrl_c_leaves_nothing(up: ManagedProcess) -> None:
    _, order, mails = await pasted(up.output())
    assert json.loads(order)["status"] == "CONFIRMED"
    assert json.loads(mails)["messages_count"] <= 1  # it may be on its way

    everything = descendants(up.pid)
    os.kill(pid_of("payments", everything), signal.SIGKILL)
    await eventually(lambda: "payments was killed by signal 9" in up.output())
    _, order_meanwhile, _ = await pasted(up.output())
    await eventually(lambda: "payments is back after" in up.output())

    async def both_are_confirmed_by_mail() -> None:
        [*_, found] = await pasted(up.output())
        confirmed = {message["MessageID"] for message in json.loads(found)["messages"]}
        for placed in (order, order_meanwhile):
            assert any(json.loads(placed)["id"] in message_id for message_id in confirmed)

    await eventually(both_are_confirmed_by_mail)

    everything |= descendants(up.pid)
    os.kill(up.pid, signal.SIGINT)
    assert await up.wait() == 0
    assert "everything is stopped" in up.output()
    assert not alive(everything)


def made(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    everything = {**own_environment(), **environment}  # `make test ARGS=...` has arguments for the tests alone
    return subprocess.run(command, env=everything, capture_output=True, text=True, check=False)  # noqa: S603 - ours


async def test_other_commands_use_what_runs_and_it_says_where_everything_is(
    up: ManagedProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    _, order, _ = await pasted(up.output())
    order_id = json.loads(order)["id"]

    letters = await asyncio.to_thread(made, "run", "SERVICE=payments", "ARGS=dead-letters list", **environment)
    doctor = await asyncio.to_thread(made, "run", "SERVICE=orders", "ARGS=doctor", **environment)
    mine = {**environment, "PAYMENTS_DATABASE_URL": "postgresql+asyncpg://me:me@127.0.0.1:1/mine"}
    own = await asyncio.to_thread(made, "run", "SERVICE=payments", "ARGS=dead-letters list", **mine)
    logs = await asyncio.to_thread(made, "logs", f"ORDER={order_id}", **environment)

    assert letters.returncode == 0, letters.stderr
    assert "0 open" in letters.stdout
    assert letters.stderr == f"run: uses the system that `make up` runs ({tmp_path / 'shop.env'})\n"
    assert doctor.returncode == 0, doctor.stdout
    assert "/health/ready answers: ready" in doctor.stdout
    assert "127.0.0.1:1/mine" in own.stderr
    for event in ("type=order.placed.v1", "task=charge", "method=POST path=/api/v1/orders "):
        assert logs.stdout.count(event) == 1
    for url in re.findall(r"psql '(.*)'", up.output()):
        async with connected(url) as connection:
            assert await connection.fetchval("select count(*) from outbox") == 0
            assert await connection.fetchval("show fsync") == "on", "a crash would lose what was answered"
            assert await connection.fetchval("show synchronous_commit") == "on"
    assert re.search(r"^Kafka +127\.0\.0\.1:\d+\noperator +operator@shop\.example, ", up.output(), re.MULTILINE)


async def test_a_busy_port_is_one_clear_line(tmp_path: Path, environment: dict[str, str]) -> None:
    port = free_port()
    held = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    command = [sys.executable, "-m", "shop_demo", "up"]
    busy = {**environment, "GATEWAY_PORT": str(port)}
    process = ManagedProcess(ProcessSpec("up", command, tmp_path / "up.log", busy))

    await process.spawn()
    assert await process.wait() == 1

    held.close()
    told = f"demo: port {port} for gateway is in use: stop who has it, or set GATEWAY_PORT\n"
    assert process.output() == told


async def test_what_a_killed_one_leaves_is_cleared_away_by_the_next(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment = {**environment, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "shop_demo", "up"]

    def begun(number: int) -> ManagedProcess:
        ready = LineReady("Ctrl-C stops everything")
        return ManagedProcess(ProcessSpec("up", command, tmp_path / f"up{number}.log", environment, ready, 60))

    def folders() -> set[Path]:
        return {*tmp_path.glob("shop-*"), *tmp_path.glob("backing-pg-*")}

    killed = begun(1)
    await killed.start()
    everything = descendants(killed.pid)
    os.kill(killed.pid, signal.SIGKILL)
    await killed.wait()
    await eventually(lambda: not alive(everything))
    left = folders()
    after = await asyncio.to_thread(made, "run", "SERVICE=payments", "ARGS=--help", **environment)

    following = begun(2)
    await following.start()
    kept = folders()
    await following.stop(grace=30)

    assert {folder.name.partition("-")[0] for folder in left} == {"shop", "backing"}
    assert not left & kept
    assert not folders()
    assert after.returncode == 0
    assert "is of a `make up` that was killed: it isn't used" in after.stderr
    assert not (tmp_path / "shop.env").exists()
