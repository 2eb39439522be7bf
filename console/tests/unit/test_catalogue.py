"""A service is known by the documents that it serves: a new one needs no code here."""

import json

import httpx
import pytest
from orders.app import create_app as create_orders
from orders.settings import Settings
from shop_console.catalogue import View, describe


async def test_a_service_is_known_by_its_own_documents() -> None:
    transport = httpx.ASGITransport(create_orders(Settings()))
    async with httpx.AsyncClient(transport=transport) as http:
        service = await describe(http, "orders", "http://orders")

    assert service.publishes["order.placed.v1"] == "orders"
    assert service.reads["payment.captured.v1"] == "payments"
    [view] = service.views
    assert view.request("7") == ("/api/v1/orders/7", {})


def test_a_view_by_a_query_is_asked_with_it() -> None:
    view = View("/api/v1/payments", "order_id", in_path=False)

    assert view.request("7") == ("/api/v1/payments", {"order_id": "7"})


@pytest.mark.parametrize(
    "answer", [{}, [], {"operations": []}, {"operations": {"x": {}}}, {"operations": {}, "components": 1}]
)
async def test_another_documents_form_is_one_clear_error(answer: object) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=json.dumps(answer)))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(ValueError, match="describes itself in another form"):
            await describe(http, "orders", "http://orders")
