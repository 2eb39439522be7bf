"""Ledgers are read whole, and what waits for its time isn't taken for work that is left."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from shop_harness.evidence import Evidence
from shop_harness.ledgers import MAIL_PAGE, TASKS, all_mails, at_rest

from ..factories import evidence, mail


async def test_all_e_mails_are_read_however_many_pages_they_fill() -> None:
    count, asked = 2 * MAIL_PAGE + 1, []
    mails: list[Mapping[str, Any]] = [
        {"To": [{"Address": "ada@example.com"}], "MessageID": str(number), "Created": "2026-01-15T12:00:00Z"}
        for number in range(count)
    ]

    async def page(start: int) -> Sequence[Mapping[str, Any]]:
        asked.append(start)
        return mails[start : start + MAIL_PAGE]

    found = await all_mails(page)

    assert [mail.message_id for mail in found] == [str(number) for number in range(count)]
    assert asked == [0, MAIL_PAGE, 2 * MAIL_PAGE]


def test_a_deadline_that_waits_for_its_time_is_no_work_that_is_left() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table tasks (kind text, key text)")
        database.executemany("insert into tasks values (?, '1')", [("payment_deadline",), ("charge",)])

        assert database.execute(TASKS).fetchall() == [("charge 1",)]


async def test_a_shop_is_judged_when_it_was_quiet_and_the_same_for_some_looks() -> None:
    """An e-mail too many comes when all is quiet already."""
    before, after = evidence(mails=[mail()]), evidence(mails=[mail(), mail()])
    looks = [before, after, after, evidence(mails=[])]

    async def read() -> Evidence:
        return looks.pop(0)

    judged = await at_rest(read, looks=2, every=0, stuck_after=60)

    assert judged is after
    assert len(looks) == 1


async def test_a_shop_in_which_nothing_moves_is_judged_as_it_is() -> None:
    stuck = evidence(unsent_events=["orders: 1"])

    async def read() -> Evidence:
        return stuck

    async with asyncio.timeout(5):
        assert await at_rest(read, looks=2, every=0, stuck_after=0.01) is stuck
