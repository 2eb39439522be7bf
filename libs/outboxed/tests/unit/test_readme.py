"""The README's service works as it stands there."""

from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from fastapi import APIRouter
from outboxed.settings import Database, DatabaseUrl, Port, ServiceSettings

from libs.backing_services.tests.snippets import snippet

from ..sample import Account, accounts, in_memory_accounts

README = Path(__file__).parents[2] / "README.md"


class Settings(ServiceSettings):
    http_port: Port = 0
    database_url: DatabaseUrl = Database.parse("postgresql+asyncpg://bank@127.0.0.1/bank")
    jwt_public_keys: tuple[str, ...] = ()


class CommandLine:
    """In the place of the real one, which would run at once."""

    made: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, *parts: Any) -> None:
        self.made.append(parts)

    def __call__(self) -> None:
        pass


NAMES: dict[str, Any] = {
    "Settings": Settings,
    "accounts_table": accounts,
    "router": APIRouter(),
    "account_of": None,
    "__name__": __name__,
}


async def test_the_readmes_service_can_be_built_and_handles_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommandLine, "made", [])
    monkeypatch.setattr("outboxed.process.CommandLine", CommandLine)
    code = snippet(README, "class MoneyMoved(")
    names = dict(NAMES)
    exec(code, names)  # noqa: S102 - it's our own README
    account, database = Account(uuid4()), in_memory_accounts()
    [(name, settings, build)] = CommandLine.made

    service = build(settings())
    async with database() as uow:
        uow.accounts.add(account)
        await names["credit"](names["MoneyMoved"](account_id=account.id, amount="5.00"), uow)

    assert service.name == name == "bank"
    assert list(service.asyncapi()["channels"]) == ["accounts", "moves"]
    assert database.state.table("accounts")[account.id].balance == Decimal(5)
    assert [record.headers["ce_type"] for record in database.state.outbox.values()] == ["account.credited.v1"]
