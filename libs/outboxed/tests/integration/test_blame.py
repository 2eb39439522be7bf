"""Whatever PostgreSQL answers to whichever statement of a batch, no good event becomes a dead letter for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from outboxed.consuming import BatchConsumer, Route
from outboxed.messages import Record
from outboxed.process import Metrics
from outboxed.storage import Clock, is_transient, tables

from ..sample import MoneyMoved, accounts, credit, moved, raw
from .conftest import Transactions, count

STATES = {
    "08P01": "PgBouncer's own errors",
    "0A000": "cached plan must not change result type",
    "25006": "a server that became a replica",
    "26000": "a prepared statement of another session",
    "28P01": "a password that was changed",
    "40P01": "a deadlock",
    "42501": "a grant that is missing",
    "42601": "a wrong statement",
    "42703": "a schema that is behind",
    "42P05": "a prepared statement of a stranger",
    "53100": "a full disk",
    "55P03": "a lock that isn't available",
    "57014": "a time-out",
    "XX000": "tuple concurrently updated",
}
MORE_THAN_THERE_ARE = 60


class Fault:
    """Makes the server answer one statement with an error, and counts the statements."""

    def __init__(self) -> None:
        self.state = ""
        self.at = 0
        self.seen = 0

    def __call__(self, _: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        self.seen += 1
        if self.seen != self.at:
            return statement, parameters
        return f"do $$ begin raise exception using errcode = '{self.state}'; end $$", ()


@pytest.fixture
def fault(transactions: Transactions) -> Iterator[Fault]:
    fault = Fault()
    with listening(transactions.engine.sync_engine, fault):
        yield fault


@contextmanager
def listening(engine: sa.Engine, fault: Fault) -> Iterator[None]:
    sa.event.listen(engine, "before_cursor_execute", fault, retval=True)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", fault)


async def raised_by(consumer: BatchConsumer[Any], batch: Sequence[Record]) -> Exception | None:
    try:
        await consumer.handle(batch)
    except Exception as error:  # noqa: BLE001 - which it is, the test asks
        return error
    return None


# asyncpg#57, asyncpg#945: good events became dead letters for an error of their connection
@pytest.mark.parametrize("state", STATES, ids=lambda state: f"{state} {STATES[state]}")
async def test_an_error_of_the_connection_at_any_statement_makes_no_dead_letter(
    transactions: Transactions, fault: Fault, state: str
) -> None:
    """The batch has one bad event, so that it is also handled one by one, and the letter is also written."""
    fault.state, good = state, 0
    for statement in range(1, MORE_THAN_THERE_ARE):
        consumer: BatchConsumer[Any] = BatchConsumer(
            "bank", [Route(MoneyMoved, credit)], transactions, Metrics(Clock())
        )
        batch = [raw(moved(amount=amount, offset=3 * statement)) for amount in ("1.00", "13.00", "2.00")]
        fault.at, fault.seen = statement, 0

        error = await raised_by(consumer, batch)
        if error is not None:
            assert is_transient(error), (statement, error)
            await consumer.handle(batch)
        good += 2

        fault.at = 0
        assert await count(transactions.engine, accounts) == good, statement
        assert await count(transactions.engine, tables.inbox) == good, statement
        assert await count(transactions.engine, tables.dead_letters) == statement
        if error is None:
            break

    assert 10 < statement < MORE_THAN_THERE_ARE - 1
