"""`python -m orders ...` behind PgBouncer: every command works, and who forgot the setting is told so in one line."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation, PgBouncer, PostgresServer
from orders.__main__ import command_line
from orders.app import NAME
from outboxed.storage import create_engine, schema_problem
from outboxed.testing.suites.commands import Commands
from sqlalchemy import make_url

StartPgBouncer = Callable[..., PgBouncer]
IGNORED = "idle_in_transaction_session_timeout,lock_timeout,statement_timeout,tcp_keepalives_idle,tcp_user_timeout"
WHAT_TO_SET = "behind a pooler such as PgBouncer add pooler=transaction to the URL"
REFUSED = (
    "orders: ORDERS_DATABASE_URL: the database refuses: "
    f"unsupported startup parameter: idle_in_transaction_session_timeout: {WHAT_TO_SET}"
)
DROPPED = (
    f"orders: ORDERS_DATABASE_URL: the session has idle_in_transaction_session_timeout = 0, not 10s: {WHAT_TO_SET}"
)


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer) -> PgBouncer:
    return start_pgbouncer(postgres_server, default_pool_size="1")


@pytest.fixture(scope="module")
def silent_pooler(postgres_server: PostgresServer, start_pgbouncer: StartPgBouncer) -> PgBouncer:
    return start_pgbouncer(postgres_server, ignore_startup_parameters=IGNORED)


def through(pooler: PgBouncer, url: str) -> str:
    return pooler.url(str(make_url(url).database))


async def test_a_new_database_is_migrated_filled_and_asked_through_one_shared_session(
    isolation: DatabaseIsolation, pooler: PgBouncer
) -> None:
    async with isolation.private() as url:
        engine = create_engine(url, application_name="tests")
        async with engine.begin() as connection:
            await connection.execute(sa.text("drop schema public cascade"))
            await connection.execute(sa.text("create schema public"))
        environment = {"ORDERS_DATABASE_URL": f"{through(pooler, url)}?pooler=transaction", "COLUMNS": "200"}
        command = Commands(command_line.typer, environment)

        assert (await command("migrate")).exit_code == 0
        assert (await command("migrate")).exit_code == 0
        assert await schema_problem(engine, NAME) is None
        assert "products in the catalogue" in (await command("seed-products")).stdout
        operator = await command(
            "create-operator", "--email", "op@example.com", ORDERS_OPERATOR_PASSWORD="correct horse"
        )
        assert operator.stdout == "operator op@example.com created\n"
        assert "0 open" in (await command("dead-letters", "list")).stdout
        assert await command.refused("dead-letters", "show", "1") == "orders: there is no dead letter 1"
        await engine.dispose()


# asyncpg#1013, pigsty#488: "unsupported startup parameter", which nobody was told
@pytest.mark.parametrize("arguments", [["migrate"], ["dead-letters", "list"]])
@pytest.mark.parametrize(("behind", "line"), [("pooler", REFUSED), ("silent_pooler", DROPPED)])
async def test_a_pooler_that_nobody_named_is_one_line_that_says_what_to_set(
    isolation: DatabaseIsolation, request: pytest.FixtureRequest, arguments: list[str], behind: str, line: str
) -> None:
    url = through(request.getfixturevalue(behind), isolation.url)
    command = Commands(command_line.typer, {"ORDERS_DATABASE_URL": url})

    assert await command.refused(*arguments) == line


@pytest.mark.parametrize(("role", "behind", "line"), [("worker", "pooler", REFUSED), ("api", "silent_pooler", DROPPED)])
def test_a_service_does_not_start_behind_a_pooler_that_nobody_named(
    isolation: DatabaseIsolation,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
    behind: str,
    line: str,
) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", through(request.getfixturevalue(behind), isolation.url))
    monkeypatch.setenv("ORDERS_HTTP_PORT", "0")

    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "orders", "run", "--role", role],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 1
    assert line.removeprefix("orders: ") in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
