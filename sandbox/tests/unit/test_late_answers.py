import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from ..factories import a_fault
from ..gateway_client import GatewayClient
from ..waits import HeldSleep

Call = asyncio.Task[httpx.Response]


@pytest.mark.parametrize(
    ("card", "faults", "seconds"),
    [("pm_card_slow", [], 1), ("pm_card_ok", [a_fault(action="delay", seconds=2.5)], 2.5)],
    ids=["a slow card", "a delay"],
)
async def test_what_makes_a_charge_late_comes_before_it(
    gateway: GatewayClient, held_sleep: HeldSleep, card: str, faults: Sequence[dict[str, Any]], seconds: float
) -> None:
    await gateway.put_faults(*faults)
    call = asyncio.create_task(gateway.charge(payment_method=card))
    await held_sleep.begun()
    before = await gateway.ledger()

    held_sleep.release()

    assert (await call).status_code == 201
    assert (before, held_sleep.asked) == ([], [seconds])


async def test_a_refund_that_overtakes_a_slow_charge_wins(gateway: GatewayClient, held_sleep: HeldSleep) -> None:
    call = asyncio.create_task(gateway.charge(payment_method="pm_card_slow"))
    await held_sleep.begun()

    refund = await gateway.refund()

    held_sleep.release()
    assert (await call).status_code == 409
    assert refund.json()["refunded_charge"] is None
    assert await gateway.outcomes() == ["nothing_to_refund", "key_refunded"]


async def test_two_slow_calls_of_one_key_charge_once(gateway: GatewayClient, held_sleep: HeldSleep) -> None:
    calls = [asyncio.create_task(gateway.charge(payment_method="pm_card_slow")) for _ in range(2)]
    await held_sleep.begun()

    held_sleep.release()

    first, second = await asyncio.gather(*calls)
    assert first.json() == second.json()
    assert await gateway.outcomes() == ["succeeded"]


@pytest.fixture
async def withheld(gateway: GatewayClient, held_sleep: HeldSleep) -> Call:
    """A call that was charged and waits for its answer."""
    call = asyncio.create_task(gateway.charge(payment_method="pm_card_timeout_after_charge"))
    await held_sleep.begun()
    return call


async def test_a_withheld_answer_is_charged_and_the_next_call_gets_it_at_once(
    gateway: GatewayClient, held_sleep: HeldSleep, withheld: Call
) -> None:
    again = await gateway.charge(payment_method="pm_card_timeout_after_charge")

    assert again.status_code == 201
    assert (withheld.done(), held_sleep.asked) == (False, [30])
    held_sleep.release()
    assert (await withheld).json() == again.json()
    assert await gateway.outcomes() == ["succeeded"]


async def test_a_stop_gives_a_withheld_answer_at_once(
    held_sleep: HeldSleep, stopping: asyncio.Event, withheld: Call
) -> None:
    stopping.set()

    assert (await withheld).status_code == 201
    await held_sleep.ended()


async def test_a_stop_ends_a_job_that_still_waited_undone(
    gateway: GatewayClient, held_sleep: HeldSleep, stopping: asyncio.Event
) -> None:
    await gateway.put_faults(a_fault(action="delay", seconds=5))
    call = asyncio.create_task(gateway.charge())
    await held_sleep.begun()

    stopping.set()

    answer = await call
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
    assert await gateway.ledger() == []
