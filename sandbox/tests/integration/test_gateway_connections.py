import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from payment_gateway import Ledger, create_app
from sandbox_process import listen, serve_http

from ..gateway_client import GatewayClient
from ..waits import HeldSleep


@pytest.fixture
async def served(ledger: Ledger, held_sleep: HeldSleep, stopping: asyncio.Event) -> AsyncIterator[GatewayClient]:
    listener = listen("127.0.0.1", 0, "GATEWAY_PORT")
    port = listener.getsockname()[1]
    app = create_app(ledger, sleep=held_sleep, stopping=stopping)
    serving = asyncio.create_task(serve_http(app, listener, stopping))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        yield GatewayClient(http)
    stopping.set()
    await serving


async def test_a_withheld_answer_ends_when_its_client_goes(served: GatewayClient, held_sleep: HeldSleep) -> None:
    call = asyncio.create_task(served.charge(payment_method="pm_card_timeout_after_charge"))
    await held_sleep.begun()

    call.cancel()

    await held_sleep.ended()
    assert await served.outcomes() == ["succeeded"]


async def test_a_delayed_charge_is_made_though_its_client_has_gone(
    served: GatewayClient, held_sleep: HeldSleep
) -> None:
    call = asyncio.create_task(served.charge(payment_method="pm_card_slow"))
    await held_sleep.begun()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    before = await served.outcomes()

    held_sleep.release()

    await held_sleep.ended()
    assert before == []
    assert await served.outcomes() == ["succeeded"]


def test_answers_of_several_writes_do_not_wait_for_acknowledgements() -> None:
    with listen("127.0.0.1", 0, "GATEWAY_PORT") as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio looks at before it sets TCP_NODELAY
