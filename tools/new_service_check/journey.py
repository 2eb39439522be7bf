"""`python -m tools.new_service_check.journey NAME`: orders through the running shop, and what a service makes of it."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any
from uuid import uuid4

import httpx
from asyncapi_gate import read_document
from backing_services.waiting import eventually
from outboxed.testing.topic_log import header, read_topics
from shop_harness.customers import API, OrdersApi
from shop_harness.services import ALL, ROOT, TOPICS
from shop_harness.system import OPERATOR_EMAIL, OPERATOR_PASSWORD, Ports, System

WITHIN = 60.0
"""Seconds for everything that comes of the orders."""
CUSTOMER = "ada@example.com"
PAID, DECLINED = "pm_card_ok", "pm_card_declined"


def main(service: str) -> int:
    seen = asyncio.run(_seen(service))
    print(f"journey: {', '.join(f'{count} {event}' for event, count in seen.items()) or 'its page has them'}")
    return 0


async def _seen(service: str) -> Mapping[str, int]:
    """How often each event that the service publishes was seen; waits until all were.

    One order is paid, confirmed, cancelled and refunded, another is declined: so every event of the shop is published.
    """
    async with System(Ports.free(), print) as system, httpx.AsyncClient(trust_env=False, timeout=10) as http:
        base = system.ports.url("orders") + API
        shop = OrdersApi(http, addresses=(base,))
        (await shop.register(CUSTOMER)).raise_for_status()
        headers = await shop.log_in(CUSTOMER)
        orders = [await _place(shop, method, headers) for method in (PAID, DECLINED)]
        await eventually(lambda: _is(shop, orders[0], "CONFIRMED", headers), within=WITHIN)
        (await http.post(f"{base}/orders/{orders[0]}/cancel", headers=headers)).raise_for_status()
        operator = await shop.log_in(OPERATOR_EMAIL, OPERATOR_PASSWORD)
        page = f"{system.ports.url(service)}{API}/{_path(service)}"
        subjects = orders if ALL[service].reads else [await _ask(http, page, service, operator)]
        await eventually(lambda: _is_on_page(http, page, service, subjects, operator), within=WITHIN)
        wanted = sorted(read_document(ROOT / f"contracts/asyncapi/{service}.json").sent)
        await eventually(lambda: _are_published(system, wanted, subjects), within=WITHIN)
        return await _published(system, wanted, subjects)


async def _place(shop: OrdersApi, method: str, headers: Mapping[str, str]) -> str:
    order = {"items": [{"sku": "ABC", "quantity": 1}], "payment_method": method}
    answer = await shop.place(order, key=method, headers=headers)
    return str(answer.raise_for_status().json()["id"])


async def _is(shop: OrdersApi, order_id: str, status: str, headers: Mapping[str, str]) -> bool:
    return bool((await shop.read(order_id, headers=headers)).json()["status"] == status)


async def _ask(http: httpx.AsyncClient, page: str, service: str, operator: Mapping[str, str]) -> str:
    """Of a service that reads nothing, what an operator asks of it."""
    subject = str(uuid4())
    answer = await http.post(page, json={_key(service): subject}, headers=operator)
    answer.raise_for_status()
    return subject


async def _is_on_page(
    http: httpx.AsyncClient, page: str, service: str, subjects: Sequence[str], operator: Mapping[str, str]
) -> bool:
    """Whether the partner has done something for one of them, as the operators' page says."""
    answers = [await http.get(page, params={_key(service): subject}, headers=operator) for subject in subjects]
    return any(item["reference"] for answer in answers for item in answer.raise_for_status().json()["items"])


async def _are_published(system: System, wanted: Sequence[str], subjects: Sequence[str]) -> bool:
    return set(await _published(system, wanted, subjects)) == set(wanted)


async def _published(system: System, wanted: Sequence[str], subjects: Sequence[str]) -> Mapping[str, int]:
    records = await read_topics(system.kafka.bootstrap_servers, TOPICS)
    types = [header(one, "ce_type") for one in records if (one.key or b"").decode() in subjects]
    return {event: types.count(event) for event in wanted if event in types}


def _path(service: str) -> str:
    """Of the operators' page: the one path of its API."""
    return next(path for path in _api(service) if path.startswith(API)).removeprefix(f"{API}/")


def _key(service: str) -> str:
    [parameter] = _api(service)[f"{API}/{_path(service)}"]["get"]["parameters"]
    return str(parameter["name"])


def _api(service: str) -> Mapping[str, Any]:
    paths: Mapping[str, Any] = import_module(f"{service}.app").create_app().openapi()["paths"]
    return paths


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
