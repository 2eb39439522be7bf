import asyncio

from ..factories import a_fault
from ..gateway_client import GatewayClient
from ..waits import HeldSleep


async def test_a_slow_card_is_charged_after_a_second(gateway: GatewayClient, held_sleep: HeldSleep) -> None:
    call = asyncio.create_task(gateway.charge(payment_method="pm_card_slow"))
    await held_sleep.begun()
    before = await gateway.ledger()

    held_sleep.release()

    assert (await call).status_code == 201
    assert (before, held_sleep.asked) == ([], [1])


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


async def test_a_withheld_answer_is_charged_and_the_next_call_gets_it_at_once(
    gateway: GatewayClient, held_sleep: HeldSleep
) -> None:
    call = asyncio.create_task(gateway.charge(payment_method="pm_card_timeout_after_charge"))
    await held_sleep.begun()

    again = await gateway.charge(payment_method="pm_card_timeout_after_charge")

    assert again.status_code == 201
    assert (call.done(), held_sleep.asked) == (False, [30])
    held_sleep.release()
    assert (await call).json() == again.json()
    assert await gateway.outcomes() == ["succeeded"]


async def test_a_stop_gives_a_withheld_answer_at_once(
    gateway: GatewayClient, held_sleep: HeldSleep, stopping: asyncio.Event
) -> None:
    call = asyncio.create_task(gateway.charge(payment_method="pm_card_timeout_after_charge"))
    await held_sleep.begun()

    stopping.set()

    assert (await call).status_code == 201
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
