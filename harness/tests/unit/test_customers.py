"""Customers ask again until somebody answers, at one address after the other."""

from collections.abc import Iterator

import httpx
import pytest
from shop_harness.customers import NoAnswerError, OrdersApi, Patience, order_of

PATIENT = Patience(within=5, first=0, cap=0)


def api(*answers: int | None, patience: Patience = PATIENT) -> tuple[OrdersApi, list[str]]:
    """Answers come in their order, None for nobody; also the hosts that were asked."""
    asked: list[str] = []
    following: Iterator[int | None] = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if (status := next(following)) is None:
            raise httpx.ConnectError("away")
        return httpx.Response(status)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return OrdersApi(client, patience, ["http://first", "http://second"]), asked


async def test_a_customer_asks_the_next_address_until_one_answers() -> None:
    orders, asked = api(None, 503, 201)

    response = await orders.place(order_of("pm_card_ok"), key="key", headers={})

    assert response.status_code == 201
    assert asked in (["first", "second", "first"], ["second", "first", "second"])


@pytest.mark.parametrize("answer", [429, 500, 502, 503, 504])
async def test_a_patient_customer_comes_again_after_an_answer_that_is_not_final(answer: int) -> None:
    orders, asked = api(answer, 201)

    assert (await orders.place(order_of("pm_card_ok"), key="key", headers={})).status_code == 201
    assert len(asked) == 2


@pytest.mark.parametrize("answer", [None, 503])
async def test_who_has_no_patience_is_told_that_nobody_answers(answer: int | None) -> None:
    orders, asked = api(answer, patience=Patience(within=0))

    with pytest.raises(NoAnswerError, match="no answer to POST /orders/1/cancel"):
        await orders.cancel("1", headers={})

    assert len(asked) == 1


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
async def test_an_answer_that_is_lost_on_its_way_is_asked_for_again(error: type[httpx.TransportError]) -> None:
    lost = [error("on its way")]

    def answer(_: httpx.Request) -> httpx.Response:
        if lost:
            raise lost.pop()
        return httpx.Response(201)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://orders") as client:
        response = await OrdersApi(client, PATIENT).place(order_of("pm_card_ok"), key="key", headers={})

    assert response.status_code == 201


async def test_each_call_says_who_asks() -> None:
    said: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        said.append(request.headers.get("Authorization", ""))
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://orders") as client:
        orders, headers = OrdersApi(client), {"Authorization": "Bearer ada"}
        await orders.place(b"{}", key="key", headers=headers)
        await orders.read("1", headers=headers)
        await orders.cancel("1", headers=headers)

    assert said == ["Bearer ada"] * 3


async def test_a_refusal_is_an_answer() -> None:
    orders, asked = api(422)

    assert (await orders.place(b"no json", key="key", headers={})).status_code == 422
    assert len(asked) == 1


def test_pauses_grow_up_to_a_cap_however_often_somebody_asks() -> None:
    patience = Patience(within=60, first=1, cap=4)

    assert 0.5 <= patience.pause(0) <= 1
    assert 1 <= patience.pause(1) <= 2
    assert all(2 <= patience.pause(attempt) <= 4 for attempt in (2, 3, 10, 10_000))
