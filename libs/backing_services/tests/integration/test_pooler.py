"""PgBouncer as a process of the tests: in transaction mode, before any server, gone with who started it."""

import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from backing_services.postgres import (
    EmbeddedPostgres,
    PgBouncer,
    PgBouncerNotInstalledError,
    PostgresServer,
    PostgresStartError,
    asyncpg_url,
)
from backing_services.postgres import pooler as module

StartPgBouncer = Callable[..., PgBouncer]
MY_PID = "select pg_backend_pid()"


@pytest.fixture(scope="module")
def one_session(postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer) -> PgBouncer:
    return start_pgbouncer(postgres_server, default_pool_size="1")


@pytest.fixture
async def clients(one_session: PgBouncer, postgres_server: PostgresServer) -> AsyncIterator[list[asyncpg.Connection]]:
    url = asyncpg_url(one_session.url(postgres_server.maintenance_database))
    clients = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(3)]
    yield clients
    for client in clients:
        await client.close()


async def test_clients_share_one_session_of_the_server(clients: list[asyncpg.Connection]) -> None:
    assert len({await client.fetchval(MY_PID) for client in clients}) == 1


async def test_a_session_goes_to_another_client_after_a_transaction_and_not_within_one(
    clients: list[asyncpg.Connection],
) -> None:
    first, second, _ = clients
    async with first.transaction():
        await first.execute("select 1")
        with pytest.raises(TimeoutError):
            await second.execute("select 1", timeout=0.05)


@pytest.mark.parametrize("socket", [True, False], ids=["socket", "port"])
async def test_it_finds_a_server_at_a_socket_and_at_a_port_and_comes_back_on_its_own(
    start_pgbouncer: StartPgBouncer, socket: bool
) -> None:
    with EmbeddedPostgres(port=None if socket else 0) as server:
        pooler = start_pgbouncer(server)
        for _ in range(2):
            client = await asyncpg.connect(asyncpg_url(pooler.url("postgres")), statement_cache_size=0)
            assert await client.fetchval("select current_user") == "postgres"
            client.terminate()
            pooler.stop()
            pooler.start()
        with pytest.raises(PostgresStartError, match="running already"):
            pooler.start()
        pooler.close()


A_NEWER_ONE = f"""#!{sys.executable}
import signal, socket, sys
from configparser import ConfigParser
from pathlib import Path

def wait_for_clients(*_):
    Path(__file__).with_name("asked").touch()

signal.signal(signal.SIGTERM, wait_for_clients)
settings = ConfigParser(interpolation=None)
settings.read(sys.argv[1])
clients = []
with socket.create_server(("127.0.0.1", settings.getint("pgbouncer", "listen_port"))) as listener:
    while True:
        clients.append(listener.accept())
"""
"""PgBouncer as it is since 1.23, in what matters here: on SIGTERM it waits until its clients are gone."""


def test_it_ends_at_once_even_if_it_would_rather_wait_for_its_clients(
    postgres_server: PostgresServer, first_on_path: Callable[[str, str], Path]
) -> None:
    asked = first_on_path("pgbouncer", A_NEWER_ONE).with_name("asked")
    pooler = PgBouncer(postgres_server)
    pooler.start()

    with socket.create_connection(("127.0.0.1", pooler.port)):
        pooler.stop()

    assert not asked.exists()
    pooler.close()


def test_a_wrong_setting_is_told_in_pgbouncers_own_words(
    postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer
) -> None:
    with pytest.raises(PostgresStartError, match=r"did not start: .*pool_mode"):
        start_pgbouncer(postgres_server, pool_mode="nonsense")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "SYSTEM_PROGRAMS", str(tmp_path))


@pytest.mark.usefixtures("nowhere")
def test_where_it_is_missing_the_error_says_what_to_install(postgres_server: PostgresServer) -> None:
    with pytest.raises(PgBouncerNotInstalledError, match="apt-get install pgbouncer"):
        PgBouncer(postgres_server).start()


class Given(EmbeddedPostgres):
    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://ada%40org:it's%20@db.example:6432/{database}"


def test_a_login_of_any_characters_gets_into_the_connection_string() -> None:
    assert "* = host='db.example' port='6432' user='ada@org' password='it''s '\n" in PgBouncer(Given())._configuration()  # noqa: SLF001 - no server here has such a login
