import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from backing_services._compat import pgserver
from backing_services.postgres import (
    DiskFullError,
    EmbeddedPostgres,
    PortInUseError,
    PostgresNotInstalledError,
    PostgresServer,
    PostgresStartError,
    connected,
    embedded,
    installation,
    migrated_template,
)

from ..is_running import assert_ends_with_its_parent, is_running

SERVER_OF_A_CHILD = """
import sys
from backing_services.postgres import EmbeddedPostgres
server = EmbeddedPostgres()
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        yield server


async def show(server: PostgresServer, setting: str) -> str:
    async with server.administration() as connection:
        return str(await connection.fetchval(f"show {setting}"))


async def test_a_database_can_be_created_cloned_and_dropped(server: EmbeddedPostgres) -> None:
    await server.create_database('a "quoted" one')
    async with connected(server.url('a "quoted" one')) as connection:
        await connection.execute("create table orders as select 7 as id")

    await server.clone('a "quoted" one', "copy")

    async with connected(server.url("copy")) as connection:
        assert await connection.fetchval("select id from orders") == 7
        await server.drop_database("copy")
    assert not await server.database_exists("copy")
    assert await server.database_exists('a "quoted" one')


async def test_two_hundred_connections_are_allowed(server: EmbeddedPostgres) -> None:
    assert await show(server, "max_connections") == "200"


async def test_the_zone_is_utc_whatever_the_machines_is(server: EmbeddedPostgres) -> None:
    assert await show(server, "timezone") == "UTC"
    async with server.administration() as connection:
        source = await connection.fetchval("select source from pg_settings where name = 'TimeZone'")
    assert source == "command line", "a default is that of the machine on which initdb ran"


def test_starting_twice_is_refused(server: EmbeddedPostgres) -> None:
    with pytest.raises(PostgresStartError, match="running already"):
        server.start()


async def test_there_is_no_tcp_port_unless_one_is_asked_for(server: EmbeddedPostgres) -> None:
    if server.port:
        pytest.skip("the folder for temporary files has too long a path for a socket")

    assert await show(server, "listen_addresses") == ""
    assert "host=/" in server.url("orders")


async def test_a_server_with_a_port_listens_on_loopback_and_a_second_one_is_told_in_one_line() -> None:
    with EmbeddedPostgres(port=0) as server:
        assert f"@127.0.0.1:{server.port}/" in server.url("orders")
        assert await show(server, "listen_addresses") == "127.0.0.1"

        with pytest.raises(PortInUseError, match=f"port {server.port} on 127.0.0.1 is in use"):
            EmbeddedPostgres(port=server.port).start()


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files whose path is too long for a socket; anybody may look into it."""
    with tempfile.TemporaryDirectory(prefix="long-" * 26) as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


# pytest-redis#310, cpython#93852: "Unix-domain socket path is too long"
@pytest.mark.parametrize("port", [None, 0], ids=["by itself", "with a port"])
async def test_where_a_sockets_path_would_be_too_long_it_listens_on_a_port(far_away: Path, port: int | None) -> None:
    with EmbeddedPostgres(durable=True, port=port) as server:
        assert server.folder.parent == far_away
        assert await show(server, "unix_socket_directories") == ""
        assert f"@127.0.0.1:{server.port}/" in server.url("postgres")


async def test_a_durable_server_keeps_what_was_committed_over_a_crash(tmp_path: Path) -> None:
    server = EmbeddedPostgres(durable=True, directory=tmp_path / "data of mine")
    server.start()
    url = server.url("orders")
    await server.create_database("orders")
    async with connected(url) as connection:
        await connection.execute("create table orders as select 7 as id")

    server.stop_immediate()
    server.start()

    async with connected(url) as connection:
        assert await connection.fetchval("select id from orders") == 7
    assert {await show(server, name) for name in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}
    server.close()


async def test_a_given_directory_keeps_its_data_for_another_server(tmp_path: Path) -> None:
    with EmbeddedPostgres(directory=tmp_path) as server:
        await server.create_database("orders")

    with EmbeddedPostgres(directory=tmp_path) as server:
        assert await server.database_exists("orders")


def test_closing_leaves_neither_process_nor_data_behind() -> None:
    server = EmbeddedPostgres()
    server.start()
    pid, folder = server.pid, server.folder

    server.close()

    assert not is_running(pid)
    assert not folder.exists()


async def test_a_server_does_not_outlive_the_process_that_started_it_even_if_that_is_killed() -> None:
    await assert_ends_with_its_parent(SERVER_OF_A_CHILD)


def test_a_missing_wheel_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgserver, "WHEEL", "no_such_wheel")
    installation.find_installation.cache_clear()

    with pytest.raises(PostgresNotInstalledError, match="install no_such_wheel, or set BACKING_POSTGRES=container"):
        EmbeddedPostgres().start()

    monkeypatch.undo()
    installation.find_installation.cache_clear()


def test_a_full_disk_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: Path, target: Path) -> None:
        raise OSError(28, os.strerror(28), str(source), None, str(target))

    monkeypatch.setattr(embedded, "copy_data_directory", copy)

    with pytest.raises(DiskFullError, match="no room for PostgreSQL's data in "), EmbeddedPostgres():
        pass


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    EmbeddedPostgres(directory=tmp_path).__enter__().close()
    (tmp_path / "data/postgresql.conf").write_text("nonsense")

    with pytest.raises(PostgresStartError, match="syntax error"):
        EmbeddedPostgres(directory=tmp_path).start()


def test_a_start_that_fails_is_told_by_its_own_log_and_not_by_that_of_an_earlier_one(tmp_path: Path) -> None:
    with EmbeddedPostgres(port=0) as other:
        server = EmbeddedPostgres(directory=tmp_path, port=other.port)
        with pytest.raises(PortInUseError):
            server.start()
        (tmp_path / "data/postgresql.conf").write_text("nonsense")

        with pytest.raises(PostgresStartError, match="syntax error"):
            server.start()


def test_the_first_start_fills_an_empty_cache_and_the_next_ones_copy_it(cache: Path) -> None:
    with EmbeddedPostgres():
        pass
    made = [path.stat().st_mtime_ns for path in (cache / "postgres").iterdir()]

    with EmbeddedPostgres():
        pass

    assert len(made) == 1
    assert [path.stat().st_mtime_ns for path in (cache / "postgres").iterdir()] == made


@pytest.mark.usefixtures("cache")
def test_other_options_have_a_data_directory_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = installation.find_installation()
    first = installation.initialised_data_directory(found)

    monkeypatch.setattr(installation, "INITDB", (*installation.INITDB, "--no-instructions"))

    assert installation.initialised_data_directory(found) != first


async def test_a_template_is_migrated_once_even_when_several_ask_at_the_same_time(server: EmbeddedPostgres) -> None:
    migrated = []

    async def migrate(url: str) -> None:
        async with connected(url) as connection:
            await connection.execute("create table orders (id int)")
        migrated.append(url)

    names = await asyncio.gather(
        *(migrated_template(server, name="gathered", fingerprint="abc", migrate=migrate) for _ in range(5))
    )

    assert set(names) == {"gathered_test_template_abc"}
    assert len(migrated) == 1


async def test_another_fingerprint_makes_another_template(server: EmbeddedPostgres) -> None:
    async def migrate(url: str) -> None:
        pass

    names = [await migrated_template(server, name="x", fingerprint=each, migrate=migrate) for each in ("a", "b")]

    assert names[0] != names[1]


async def test_a_migration_that_fails_leaves_no_template_behind(server: EmbeddedPostgres) -> None:
    async def migrate(url: str) -> None:
        raise RuntimeError(f"no such column in {url}")

    with pytest.raises(RuntimeError, match="no such column"):
        await migrated_template(server, name="failing", fingerprint="abc", migrate=migrate)

    assert not await server.database_exists("failing_test_template_abc")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_a_program_out_of_the_servers_reach_is_an_error_that_names_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    moved = installation.Installation(private / "pginstall18", "18.4")
    moved.folder.mkdir()
    monkeypatch.setattr(embedded, "find_installation", lambda: moved)

    with pytest.raises(PostgresStartError, match=r"as root .* runs as nobody, who can't enter .*private"):
        EmbeddedPostgres().start()
