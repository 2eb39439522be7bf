"""What a service is tested with that has the suites: a case that is gone fails nowhere else."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import jwt
import pytest
import typer
from backing_services.waiting import eventually
from outboxed.consuming import BatchConsumer, Route
from outboxed.process import Metrics
from outboxed.storage import Clock
from outboxed.testing import services
from outboxed.testing.memory import InMemoryDatabase
from outboxed.testing.records import poison
from outboxed.testing.suites.commands import Commands
from outboxed.testing.suites.consumer import ConsumerSuite
from outboxed.testing.suites.delivery import DeliverySuite
from outboxed.testing.suites.operators_page import INTRUDERS
from outboxed.testing.tokens import KeyPair

from ..sample import Account, MoneyMoved, in_memory_accounts, moved, raw


def test_a_consumer_is_given_each_kind_of_record_that_it_must_refuse() -> None:
    good = moved()
    spoilt = poison(good)

    assert set(spoilt) == {
        *("no JSON", "no data", "null value", "deep nesting", "no key", "another key"),
        *("no ce_type", "no ce_id", "null ce_id", "unreadable ce_type", "control character in ce_id"),
    }
    assert all((one.key, one.value, one.headers) != (good.key, good.value, good.headers) for one in spoilt.values())


def test_a_page_for_operators_is_asked_by_each_kind_of_intruder() -> None:
    keys = KeyPair.generate(issuer="login", audience="bank", role="operator")

    assert set(INTRUDERS) == {
        *("no token", "another scheme", "no JWT", "another key", "expired", "another audience", "another issuer"),
        *("an unknown role", "no user", "alg none"),
    }
    token = INTRUDERS["expired"](keys)["Authorization"].partition(" ")[2]
    ended = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert ended < datetime.now(UTC).timestamp()


class Bank(ConsumerSuite):
    """That of a consumer which sets balances."""

    async def event(self, database: Any, subject: UUID) -> Any:
        del database
        return moved(subject)

    def handled(self, database: Any) -> Sequence[UUID]:
        return [account.id for account in database.state.table("accounts").values()]


async def sets(event: MoneyMoved, uow: Any) -> None:
    """A handler to which a second time makes no difference."""
    if await uow.accounts.find(event.account_id) is None:
        uow.accounts.add(Account(event.account_id, event.amount))


@pytest.mark.parametrize("remembers", [True, False])
async def test_a_consumer_without_an_inbox_is_seen_though_its_handler_hides_it(*, remembers: bool) -> None:
    database: InMemoryDatabase[Any] = in_memory_accounts()
    consumer: BatchConsumer[Any] = BatchConsumer("bank", [Route(MoneyMoved, sets)], database, Metrics(Clock()))

    async def consume(*records: Any) -> None:
        for record in records:
            if not remembers:
                database.state.inbox.clear()
            await consumer.handle([raw(record)])

    tried = Bank().test_the_same_event_twice_is_handled_once(database, consumer, consume)
    if remembers:
        await tried
    else:
        with pytest.raises(AssertionError):
            await tried


class Deliveries(DeliverySuite):
    """That of a service whose one topic is in this process."""

    topic = "moves"

    def __init__(self) -> None:
        self.committed_offset = 0
        self.is_waited_for = asyncio.Event()

    async def event(self, transactions: Any) -> Any:
        return transactions

    async def is_handled(self, transactions: Any, event: Any) -> bool:
        return transactions is not event

    async def send(self, *_: Any) -> None: ...

    async def committed(self, _: str) -> int:
        return self.committed_offset

    async def eventually(self, condition: Callable[[], bool]) -> None:
        await asyncio.sleep(0)  # the consumer begins
        if not condition():
            self.is_waited_for.set()
        await eventually(condition)


async def test_a_consumer_that_commits_its_offset_when_it_has_handled_and_not_committed_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suite = Deliveries()
    fixtures: list[Any] = [nullcontext, lambda given: SimpleNamespace(run=lambda _: run(given)), suite]
    monkeypatch.setattr("outboxed.testing.suites.delivery.eventually", suite.eventually)

    async def run(given: Any) -> None:
        async with given():
            await suite.is_waited_for.wait()  # its handler takes a while
            suite.committed_offset = 1

    with pytest.raises(AssertionError):
        await suite.test_offsets_are_committed_after_the_transaction_so_what_a_dead_process_had_in_hand_comes_again(
            *fixtures
        )


@pytest.mark.parametrize(
    ("said", "errors", "status"),
    [("done", ["no"], 1), ("", ["no"], 0), ("", [], 1), ("", ["no", "Traceback"], 1)],
    ids=["says that it did it", "ends well", "says nothing", "says more than a line"],
)
async def test_a_command_that_refuses_in_another_way_than_in_one_line_is_seen(
    said: str, errors: Sequence[str], status: int
) -> None:
    app = typer.Typer()

    @app.command()
    def replay() -> None:
        typer.echo(said, nl=bool(said))
        for line in errors:
            typer.echo(line, err=True)
        raise typer.Exit(status)

    with pytest.raises((AssertionError, ValueError)):
        await Commands(app, {}).refused()


async def test_a_command_that_refuses_in_one_line_is_taken_at_its_word() -> None:
    app = typer.Typer()

    @app.command()
    def replay() -> None:
        typer.echo("there is no letter 7", err=True)
        raise typer.Exit(1)

    assert await Commands(app, {}).refused() == "there is no letter 7"


def test_a_template_is_made_anew_when_outboxeds_own_tables_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else a developer's tests run on the old tables after an upgrade."""
    before = services._fingerprint("outboxed")  # noqa: SLF001 - a template's name has it
    changed = tmp_path / "schema.py"
    changed.write_text("# a table more")
    monkeypatch.setattr("outboxed.testing.services.messaging_schema.__file__", str(changed))

    assert services._fingerprint("outboxed") != before  # noqa: SLF001 - as above
