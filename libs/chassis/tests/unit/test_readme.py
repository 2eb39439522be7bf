"""The README's service works as it stands there."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from chassis.clock import Clock
from chassis.consumer import BatchConsumer, Route
from chassis.database import create_engine
from chassis.events import Amount, ConsumedAmount, ConsumedEvent, Event
from chassis.metrics import Metrics
from chassis.repository import SqlRepository
from chassis.service import Service
from chassis.settings import Port, ServiceSettings
from chassis.tasks import SqlTaskQueue
from chassis.unit_of_work import SqlTransactions, SqlUnitOfWork
from chassis.worker import Worker
from fastapi import APIRouter

from ..sample import Account, accounts, in_memory_accounts

README = Path(__file__).parents[2] / "README.md"


class Settings(ServiceSettings):
    http_port: Port = 0
    database_url: str = "postgresql+asyncpg://bank@127.0.0.1/bank"
    jwt_public_keys: tuple[str, ...] = ()


class CommandLine:
    """In the place of the real one, which would run at once."""

    made: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, *parts: Any) -> None:
        self.made.append(parts)

    def __call__(self) -> None:
        pass


class TokenVerifier:
    def __init__(self, *_: Any) -> None:
        pass


NAMES: dict[str, Any] = {
    **{part.__name__: part for part in (BatchConsumer, Clock, CommandLine, ConsumedEvent, Event, Metrics, Route)},
    **{part.__name__: part for part in (Service, Settings, SqlRepository, SqlTaskQueue, SqlTransactions)},
    **{part.__name__: part for part in (SqlUnitOfWork, TokenVerifier, UUID, Worker, create_engine)},
    "Amount": Amount,
    "ConsumedAmount": ConsumedAmount,
    "accounts_table": accounts,
    "router": APIRouter(),
    "account_of": None,
    "__name__": __name__,
}


async def test_the_readmes_service_can_be_built_and_handles_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommandLine, "made", [])
    [code] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = dict(NAMES)
    exec(code, names)  # noqa: S102  # it's our own README
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
