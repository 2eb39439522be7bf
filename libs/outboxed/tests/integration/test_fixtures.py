"""What the fixtures of a service refuse: shown by a project of somebody else's that has them, and its run."""

from collections.abc import Awaitable, Callable, Mapping
from inspect import getmembers, isfunction
from typing import Any

from outboxed.relay._row import Row
from outboxed.relay._rows import Hold, Rows
from outboxed.storage import _of_key as of_key
from outboxed.testing.fixtures import READ_WHOLE
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.backing_services.tests.conftest import ASYNCIO, Project, project, warm_pytest

from .conftest import Transactions, statements_of

__all__ = ["project", "warm_pytest"]

BANK = {
    "pytest.ini": ASYNCIO,
    "bank/__init__.py": "",
    "bank/migrations/env.py": """
        from alembic import context

        context.configure(connection=context.config.attributes["connection"])
        with context.begin_transaction():
            context.run_migrations()
    """,
    "bank/migrations/versions/0001_bank.py": """
        from outboxed.storage import schema

        revision = "0001"
        down_revision = None

        def upgrade():
            schema.create_v1()
            schema.add_dead_letter_edits()
            schema.add_identities()
            schema.add_refusals()
            schema.add_postponed_tasks()
    """,
    "tests/conftest.py": """
        import pytest
        from outboxed.storage import SqlUnitOfWork
        from outboxed.testing.fixtures import *
        from outboxed.testing.fixtures import ServiceUnderTest

        @pytest.fixture(scope="session")
        def service():
            return ServiceUnderTest("bank", None, SqlUnitOfWork, (), (), None, None, ["like '%let through'"])
    """,
}
"""A service with no tables but outboxed's own."""
TESTS = """
        import pytest
        import sqlalchemy as sa

        kept = []

        @pytest.mark.parametrize("key", ["= 'a'", "like '%a'", "like '%let through'"], ids=["one", "any", "excepted"])
        async def test_reads(transactions, key):
            async with transactions.engine.connect() as connection:
                await connection.execute(sa.text(f"select 1 from inbox where event_id {key}"))

        async def test_keeps(transactions):
            kept.append(await transactions.engine.connect())

        async def test_next(transactions):
            async with transactions.engine.connect():
                pass

        async def test_gives_back():
            await kept.pop().close()
"""

ROWS, ROW = Rows(), Row(1, "accounts", "key", b"{}", "{}", 0, 9)
OPERATIONS: Mapping[str, Callable[[AsyncConnection], Awaitable[Any]]] = {
    "is_any_there": lambda connection: ROWS.is_any_there(connection, above=0),
    "lock": ROWS.lock,
    "free": lambda connection: ROWS.free(connection, 9),
    "places": lambda connection: ROWS.places(connection, 9, above=0, without=["moves"]),
    "due": lambda connection: ROWS.due(connection, 9),
    "held": lambda connection: ROWS.held(connection, [1]),
    "delete": lambda connection: ROWS.delete(connection, [1]),
    "hold": lambda connection: ROWS.hold(connection, [Hold(1, 1, 1.0)]),
    "hold_behind": lambda connection: ROWS.hold_behind(connection, [1]),
    "release": ROWS.release,
    "set_aside": lambda connection: ROWS.set_aside(connection, ROW, "why"),
    "commit": ROWS.commit,
    "open_tasks": lambda connection: of_key.open_tasks(connection, "key", ["kind"]),
    "waiting_events": lambda connection: of_key.waiting_events(connection, "key"),
    "handled_events": lambda connection: of_key.handled_events(connection, ["1"]),
}


def test_a_whole_read_and_a_connection_that_is_kept_fail_their_test_alone(project: Project) -> None:
    run = project({**BANK, "tests/integration/test_bank.py": TESTS})

    run.lines.fnmatch_lines(["*ERROR at teardown of test_reads?any?*"])
    run.lines.fnmatch_lines(["E *WholeReadError: *reads inbox * to the end: select 1 from inbox where event_id like*"])
    run.lines.fnmatch_lines(["*ERROR at teardown of test_keeps*"])
    run.lines.fnmatch_lines(["E *IsolationError: 1 database connection(s) not given back to the pool*"])
    run.lines.fnmatch_lines(["*6 passed, 2 errors*"])


def test_the_statements_of_the_relay_and_of_a_key_are_all_looked_at() -> None:
    found = [*getmembers(Rows, isfunction), *getmembers(of_key, isfunction)]
    own = {name for name, function in found if function.__module__ in {Rows.__module__, of_key.__name__}}

    assert OPERATIONS.keys() == {name for name in own if not name.startswith("_")}


async def test_each_exception_lets_one_statement_through(transactions: Transactions) -> None:
    """The others find their rows by an index, and a part that fits them, too, would hide the day when they don't."""
    said: dict[str, str] = {}
    async with transactions.engine.connect() as connection:
        for name, operation in OPERATIONS.items():
            with statements_of(transactions.engine) as statements:
                await operation(connection)
            said[name] = " ".join("; ".join(statements).split())

    let_through = {part: [name for name, text in said.items() if part in text] for part in READ_WHOLE}
    assert list(let_through.values()) == [["waiting_events"], ["due"], ["release"]]
