"""Several writes as one statement: in the order given, since PostgreSQL promises none for parts of a statement."""

import re
from decimal import Decimal
from typing import cast
from uuid import uuid4

from outboxed.ports import NewTask
from outboxed.storage import Clock, _writes, tables
from outboxed.storage._repository import _insertion, _update
from outboxed.storage._unit_of_work import _EVENTS, _SCHEDULING
from sqlalchemy.ext.asyncio import AsyncConnection

from ..sample import NOW, Account, AccountCredited, SqlAccounts, accounts

FORMS = (
    _insertion(accounts, "id", "balance", "version"),
    _update(accounts, "id", "balance", "version"),
    _EVENTS,
    _SCHEDULING.form,
)


def test_each_part_waits_for_the_one_before() -> None:
    text = _writes._together(*FORMS).counting.text  # noqa: SLF001 - the order is seen in no outcome
    parts = re.split(r"\bwritten_\d AS\b", text)[1:]

    assert [re.findall(r"FROM (written_\d)", part) for part in parts[1:-1]] == [["written_0"], ["written_1"]]
    assert "FROM written_2" in parts[-1].partition("SELECT (SELECT")[0]


def test_events_come_behind_the_aggregates_whose_locks_order_them() -> None:
    account, nowhere = Account(uuid4()), cast("AsyncConnection", None)
    uow = SqlAccounts(nowhere, source="/accounts", clock=Clock(), now=NOW)
    uow.tasks.schedule(NewTask("remind", "them"))
    uow.events.append(AccountCredited(account_id=account.id), sequence=1)
    uow.accounts.add(account)
    uow.accounts.save(Account(uuid4()).credit(Decimal(1)))

    assert [each.form for each in uow._writes()] == list(FORMS)  # noqa: SLF001 - the order is seen in no outcome


def test_a_statement_is_made_once_for_the_same_forms() -> None:
    assert _writes._together(*FORMS) is _writes._together(*FORMS)  # noqa: SLF001
    assert tables.outbox.name in _writes._together(*FORMS).counting.text  # noqa: SLF001
