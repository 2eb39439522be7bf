"""Connections cut, slowed and frozen, a clock that is wrong, and a disk that is full."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backing_services.faults import FaultError, Proxy, Toxiproxy, skewed
from backing_services.faults.fetch import fetch
from backing_services.faults.proxies import binary, program
from backing_services.plugin import not_available

FAULTS = "faults"
SMALL_DISK = """
from backing_services.faults import FaultError, SmallDisk
disk = SmallDisk(2 * 2**20)
try:
    disk.__enter__()
except FaultError as error:
    print(f"not here: {error}")
    raise SystemExit from None
(disk.path / "kept").write_text("kept")
disk.fill()
try:
    (disk.path / "refused").write_bytes(b"x" * 4096)
except OSError as error:
    print(error.strerror)
disk.free()
(disk.path / "taken").write_bytes(b"x" * 4096)
print((disk.path / "kept").read_text(), disk.path)
"""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()


class Client:
    """A connection to a server that says everything again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def hears(self, *, within: float = 30.0) -> bytes:
        self.writer.write(b"hello\n")
        async with asyncio.timeout(within):
            return await self.reader.readline()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    try:
        program()
    except FaultError as error:
        not_available(FAULTS, str(error))
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Toxiproxy() as toxiproxy:
        yield await toxiproxy.proxy("echo", server.sockets[0].getsockname()[1])
    server.close()


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    client = await Client.of(proxy.port)
    assert await client.hears() == b"hello\n"
    yield client
    client.writer.close()
    with suppress(OSError):
        await client.writer.wait_closed()


async def test_a_cut_ends_connections_and_refuses_new_ones(proxy: Proxy, client: Client) -> None:
    await proxy.cut()

    assert await client.reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await Client.of(proxy.port)


async def test_a_slow_connection_answers_later(proxy: Proxy, client: Client) -> None:
    await proxy.slow(200)

    begun = time.monotonic()
    assert await client.hears() == b"hello\n"

    assert time.monotonic() - begun > 0.1
    await proxy.restore()


async def test_a_frozen_connection_stays_open_and_says_nothing(proxy: Proxy, client: Client) -> None:
    await proxy.freeze()

    with pytest.raises(TimeoutError):
        await client.hears(within=0.3)

    assert not client.reader.at_eof()
    await proxy.restore()


DISTURBANCES: dict[str, Callable[[Proxy], Awaitable[None]]] = {
    "cut": Proxy.cut,
    "slow": lambda proxy: proxy.slow(60_000),
    "freeze": Proxy.freeze,
}


@pytest.mark.parametrize("kind", DISTURBANCES)
async def test_what_was_disturbed_is_restored_and_can_be_disturbed_again(proxy: Proxy, kind: str) -> None:
    disturb = DISTURBANCES[kind]

    for _ in range(2):
        await disturb(proxy)
        await proxy.restore()

        client = await Client.of(proxy.port)
        assert await client.hears(within=10) == b"hello\n"
        client.writer.close()


async def test_a_name_that_is_taken_is_refused(proxy: Proxy) -> None:
    async with Toxiproxy() as toxiproxy:
        await toxiproxy.proxy("twice", proxy.port)
        with pytest.raises(FaultError, match=r"Toxiproxy refused /proxies: .*already exists"):
            await toxiproxy.proxy("twice", proxy.port)


def test_without_toxiproxy_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BACKING_CACHE", str(tmp_path))

    with pytest.raises(FaultError, match=r"backing_services\.faults\.fetch"):
        program()
    assert binary().is_relative_to(tmp_path)


def test_what_go_says_is_told_when_it_fails(cache: Path, first_on_path: Callable[[str, str], Path]) -> None:
    first_on_path("go", "#!/bin/sh\necho 'no network' >&2; exit 1\n")

    with pytest.raises(FaultError, match=r"^Go could not build Toxiproxy: no network$"):
        fetch()

    assert not binary().parent.exists()
    assert binary().is_relative_to(cache)


@pytest.fixture
def wrong_clock() -> dict[str, str]:
    try:
        environment = dict(skewed(-86400))
    except FaultError as error:
        not_available(FAULTS, str(error))
    return environment


def test_a_skewed_process_has_another_time_of_day(wrong_clock: dict[str, str]) -> None:
    asked = "from datetime import UTC, datetime; print(datetime.now(UTC).isoformat())"

    told = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", asked], env=wrong_clock, check=True, capture_output=True, text=True
    ).stdout.strip()

    assert 86300 < (datetime.now(UTC) - datetime.fromisoformat(told)).total_seconds() < 86500


def test_a_full_disk_refuses_writes_until_it_is_freed_and_ends_with_its_process() -> None:
    done = subprocess.run([sys.executable, "-c", SMALL_DISK], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    lines = done.stdout.splitlines()
    if lines[0].startswith("not here"):
        not_available(FAULTS, lines[0])

    assert lines[0] == "No space left on device"
    kept, path = lines[1].split()
    assert kept == "kept"
    assert not list(Path(path).iterdir())
    Path(path).rmdir()
