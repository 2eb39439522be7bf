import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from payment_gateway import Ledger, create_app

from ..gateway_client import GatewayClient, client_of


@asynccontextmanager
async def gateway_on(path: Path) -> AsyncIterator[GatewayClient]:
    with closing(Ledger(path)) as ledger:
        async with client_of(create_app(ledger)) as client:
            yield client


async def test_a_restart_on_the_same_ledger_goes_on_where_it_ended(tmp_path: Path) -> None:
    async with gateway_on(tmp_path / "ledger") as gateway:
        charged = await gateway.charge("key-1")
        returned = await gateway.charge("key-2")
        refunded = await gateway.refund("key-2")
        await gateway.charge("key-3", payment_method="pm_card_flaky")
        entries = await gateway.ledger()

    async with gateway_on(tmp_path / "ledger") as gateway:
        assert await gateway.ledger() == entries
        assert (await gateway.charge("key-1")).json() == charged.json()
        assert (await gateway.charge("key-2")).status_code == 409
        assert (await gateway.refund("key-2")).json() == refunded.json()
        assert refunded.json()["refunded_charge"] == returned.json()["id"]
        flaky = [(await gateway.charge("key-3", payment_method="pm_card_flaky")).status_code for _ in range(2)]
        assert flaky == [503, 201]


@pytest.mark.parametrize("statement", ["DELETE FROM entries", "UPDATE entries SET amount = '0.01'"])
async def test_nobody_changes_what_is_in_the_ledger(tmp_path: Path, statement: str) -> None:
    async with gateway_on(tmp_path / "ledger") as gateway:
        await gateway.charge()

        with closing(sqlite3.connect(tmp_path / "ledger")) as connection, pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)

        assert await gateway.outcomes() == ["succeeded"]


def test_a_kill_leaves_a_ledger_whole(tmp_path: Path) -> None:
    """By its log of what was written: a journal in memory is gone with the process, and half of a write stays."""
    with closing(Ledger(tmp_path / "ledger")), closing(sqlite3.connect(tmp_path / "ledger")) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_who_decides_is_alone_from_its_first_look_on(tmp_path: Path) -> None:
    """Else two gateways find a key unused, and both charge it."""
    with (
        closing(Ledger(tmp_path / "ledger")) as ledger,
        closing(sqlite3.connect(tmp_path / "ledger", timeout=0)) as other,
    ):
        with ledger.transaction():
            ledger.of_key("key-1")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


async def test_two_gateways_on_one_ledger_see_each_others_keys(tmp_path: Path) -> None:
    async with gateway_on(tmp_path / "ledger") as one, gateway_on(tmp_path / "ledger") as other:
        charged = await one.charge()

        assert (await other.charge()).json() == charged.json()
        await other.refund()
        assert (await one.charge()).status_code == 409
