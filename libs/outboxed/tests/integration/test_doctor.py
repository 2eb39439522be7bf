"""The doctor's look at a database: what is wrong there, and what waits, is found and told with what to do."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from backing_services.postgres import DatabaseIsolation, connected
from outboxed.process import Service
from outboxed.process._doctor import _database as doctor
from outboxed.settings import Database
from outboxed.tasks import TaskKind
from sqlalchemy import make_url

from ..composed import Settings, composed
from .conftest import Transactions

Look = Callable[..., Awaitable[dict[str, tuple[str, str]]]]
SENT = "insert into outbox (topic, key, value, headers, created_at, retry_at) values ('moves', 'k', '', '{{}}', {}, {})"
MADE = """
insert into tasks (kind, key, payload, due_at, first_due_at, last_error)
values ('{}', '{}', '{{}}', now() + interval '1 hour', now() - interval '{} seconds', {})
"""
LETTER = "insert into dead_letters (source, headers, reason, status) values ('{}', '[]', 'why', '{}')"


async def record(*_: object) -> None: ...


@pytest.fixture
async def service(isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service[Any]]:
    async def is_new_enough(*_: object) -> None: ...

    monkeypatch.setattr(doctor, "schema_problem", is_new_enough)  # the sample has no migrations
    service = composed(Settings(database_url=Database.parse(isolation.url)), tasks=[TaskKind("call", record=record)])
    yield service
    await service.close()


@pytest.fixture
def look(service: Service[Any], transactions: Transactions) -> Look:
    """What is found after some statements: for each part its verdict, and what was found with what to do."""

    async def found(*statements: str) -> dict[str, tuple[str, str]]:
        async with transactions.engine.begin() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
        findings = await doctor.database_findings(service)
        return {each.about: (each.verdict, f"{each.found} | {each.do}") for each in findings}

    return found


async def test_where_nothing_waits_all_is_well(look: Look) -> None:
    found = await look()

    assert {about: verdict for about, (verdict, _) in found.items()} == dict.fromkeys(
        ("database", "clock", "schema", "outbox", "tasks", "dead letters"), "ok"
    )


async def test_events_that_nobody_sends_are_a_failure_after_half_a_minute(look: Look) -> None:
    fresh = await look(SENT.format("now()", "null"))
    old = await look(SENT.format("now() - interval '5 minutes'", "null"))

    assert fresh["outbox"][0] == "ok"
    verdict, text = old["outbox"]
    assert verdict == "failed"
    assert re.match(r"2 events wait to be sent, the oldest for 3\d\d s", text)
    assert "role relay" in text


async def test_events_that_are_held_are_a_warning_however_old(look: Look) -> None:
    verdict, text = (await look(SENT.format("now() - interval '5 minutes'", "'infinity'")))["outbox"]

    assert (verdict, text.startswith("1 events are held")) == ("warning", True)
    assert "dead-letters list --source outbox" in text


async def test_a_task_that_fails_again_and_again_is_told_with_the_error_of_the_oldest(look: Look) -> None:
    verdict, text = (
        await look(MADE.format("call", "1", 200, "'the newer one'"), MADE.format("call", "2", 300, "'the older one'"))
    )["tasks"]

    assert verdict == "failed"
    assert re.match(r"call: 2 due, the oldest for 3\d\d s \(the older one\) \|", text)
    assert "see that a process with the role worker runs" in text


async def test_a_task_that_was_due_a_moment_ago_is_no_failure(look: Look) -> None:
    assert (await look(MADE.format("call", "1", 20, "null")))["tasks"] == ("ok", "1 are due, none for long | ")


async def test_a_late_task_of_another_release_needs_a_worker_of_that_release(look: Look) -> None:
    _, text = (await look(MADE.format("call", "1", 300, "null"), MADE.format("teleport", "1", 300, "null")))["tasks"]

    assert "teleport: 1 due" in text
    assert "run a worker of the release that made these kinds" in text


async def test_open_letters_are_counted_by_their_source_and_closed_ones_are_not(look: Look) -> None:
    letters = [("task", "open"), ("event", "open"), ("event", "open"), ("outbox", "discarded")]

    verdict, text = (await look(*(LETTER.format(*each) for each in letters)))["dead letters"]

    assert (verdict, text.split(" | ")[0]) == ("warning", "2 of source event, 1 of source task are open")


@pytest.mark.parametrize(("ahead", "which"), [(90, "ahead of"), (-90, "behind")])
async def test_a_host_whose_clock_is_wrong_is_told_in_which_direction(
    look: Look, monkeypatch: pytest.MonkeyPatch, ahead: int, which: str
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz or UTC) + timedelta(seconds=ahead)

    monkeypatch.setattr(doctor, "datetime", Wrong)

    verdict, text = (await look())["clock"]

    assert (verdict, f"s {which} the database" in text) == ("warning", True)


async def test_a_database_that_takes_no_writes_is_a_failure(isolation: DatabaseIsolation) -> None:
    async with isolation.private() as url:
        async with connected(url) as connection:
            name = make_url(url).database
            await connection.execute(f"alter database {name} set default_transaction_read_only = on")
        service = composed(Settings(database_url=Database.parse(url)))
        try:
            [server, *_] = await doctor.database_findings(service)
        finally:
            await service.close()

    assert (server.verdict, "takes no writes" in server.found) == ("failed", True)
