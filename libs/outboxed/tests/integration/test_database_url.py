"""A database's URL against a server that demands passwords, behind a front that takes TLS alone."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
import sqlalchemy as sa
from backing_services.postgres import EmbeddedPostgres, connected
from backing_services.postgres.installation import server_account
from outboxed.storage import create_engine, reason_of
from outboxed.testing.fixtures import certificate

__all__ = ["certificate"]

PASSWORD = "p@/:%#?&=+ ü"
WHO = sa.text("select current_user, application_name from pg_stat_activity where pid = pg_backend_pid()")
RULES = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
"""PostgreSQL's documentation, "Message Formats"."""


@dataclass(frozen=True)
class SecuredPostgres:
    """Its own port, its front's, and who signed the front's certificate."""

    port: int
    front: int
    authorities: Path

    def url(self, query: str, *, password: str = PASSWORD, encrypted: bool = True) -> str:
        address = f"ada:{quote(password, safe='')}@localhost:{self.front if encrypted else self.port}"
        return f"postgresql+asyncpg://{address}/postgres?{query.format(ca=self.authorities)}"


@pytest.fixture(scope="module")
async def secured(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> AsyncIterator[SecuredPostgres]:
    """The wheel's server has no TLS."""
    rules = tmp_path_factory.mktemp("secured") / "pg_hba.conf"
    rules.write_text(RULES)
    if account := server_account():
        os.chown(rules, *account)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with EmbeddedPostgres(port=0, settings={"hba_file": str(rules)}) as server:
        async with connected(server.url("postgres")) as superuser:
            await superuser.execute(f"create role ada login password '{PASSWORD}'")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST:
                writer.write(b"S")
                try:
                    await writer.start_tls(context)
                except OSError:  # the client has refused the certificate
                    writer.close()
                    return
                upstream = await asyncio.open_connection("127.0.0.1", server.port)
                await asyncio.gather(_pipe(reader, upstream[1]), _pipe(upstream[0], writer))
            writer.close()

        front = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with front:
            yield SecuredPostgres(int(server.port or 0), front.sockets[0].getsockname()[1], certificate[0])


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


async def asked(url: str) -> tuple[object, ...]:
    engine = create_engine(url, application_name="tests")
    try:
        async with engine.connect() as connection:
            return tuple((await connection.execute(WHO)).one())
    finally:
        await engine.dispose()


# asyncpg#737, sqlalchemy#6275, aegra#388: `?sslmode=require` was a traceback
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "tests"),
        ("sslmode=require", "tests"),
        ("ssl=require&connect_timeout=5", "tests"),
        ("sslmode=verify-ca&sslrootcert={ca}", "tests"),
        ("sslmode=verify-full&sslrootcert={ca}&application_name=till", "till"),
        ("sslmode=require&target_session_attrs=read-write&prepared_statement_cache_size=0", "tests"),
    ],
)
async def test_a_password_of_any_characters_and_each_parameter_reach_the_server(
    secured: SecuredPostgres, query: str, name: str
) -> None:
    assert await asked(secured.url(query)) == ("ada", name)


async def test_a_server_without_tls_is_used_as_it_is_unless_more_is_demanded(secured: SecuredPostgres) -> None:
    assert await asked(secured.url("sslmode=prefer", encrypted=False)) == ("ada", "tests")
    assert await asked(secured.url("sslmode=disable", encrypted=False)) == ("ada", "tests")
    with pytest.raises(ConnectionError) as refused:
        await asked(secured.url("sslmode=require", encrypted=False))
    assert "rejected SSL upgrade" in reason_of(refused.value)


@pytest.mark.parametrize(
    ("query", "password", "reason"),
    [
        ("sslmode=require", "wrong", 'password authentication failed for user "ada"'),
        ("sslmode=verify-full", PASSWORD, "certificate verify failed"),
    ],
)
async def test_what_the_server_or_the_client_refuses_is_told(
    secured: SecuredPostgres, query: str, password: str, reason: str
) -> None:
    with pytest.raises((OSError, sa.exc.DBAPIError, asyncpg.PostgresError)) as refused:
        await asked(secured.url(query, password=password))

    assert reason in reason_of(refused.value)


async def test_libpqs_variables_change_nothing(secured: SecuredPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGHOST": "/nowhere",
        "PGPASSWORD": "wrong",
        "PGPORT": "1",
        "PGSSLMODE": "disable",
        "PGSSLNEGOTIATION": "direct",
        "PGTARGETSESSIONATTRS": "read-only",
    }.items():
        monkeypatch.setenv(name, value)

    assert await asked(secured.url("sslmode=require")) == ("ada", "tests")
