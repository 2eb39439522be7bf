"""Each limit of what a customer sends: what is at it is taken, and what is beyond is refused."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from orders.addressing import Email, Name
from orders.api import PREFIX
from orders.domain import User
from orders.schemas import Password, PaymentMethod, PlaceOrderRequest, Quantity, Sku
from pydantic import TypeAdapter, ValidationError

from .calls import ORDER
from .conftest import Headers

DOMAIN = f"{'b' * 63}.{'b' * 63}.{'b' * 57}.com"
LIMITS: list[tuple[Any, object, object]] = [
    (Email, f"{'a' * 64}@{DOMAIN}", f"{'a' * 64}@{DOMAIN}m"),
    (Email, f"{'a' * 64}@example.com", f"{'a' * 65}@example.com"),
    (Name, "n" * 200, "n" * 201),
    (Password, "p" * 8, "p" * 7),
    (Password, "p" * 128, "p" * 129),
    (Sku, "s" * 100, "s" * 101),
    (Sku, "s", ""),
    (PaymentMethod, f"pm_{'a' * 60}", f"pm_{'a' * 61}"),
    (Quantity, 1, 0),
    (Quantity, 1000, 1001),
]


@pytest.mark.parametrize(("kind", "at_it", "beyond"), LIMITS, ids=range(len(LIMITS)))
def test_what_is_at_a_limit_is_taken_and_what_is_beyond_is_refused(kind: Any, at_it: object, beyond: object) -> None:
    adapter = TypeAdapter(kind)

    assert adapter.validate_python(at_it) == at_it
    with pytest.raises(ValidationError):
        adapter.validate_python(beyond)


def test_an_order_has_fifty_products_and_no_more() -> None:
    items = [{"sku": str(number), "quantity": 1} for number in range(51)]

    assert len(PlaceOrderRequest.model_validate({"items": items[:50], "payment_method": "pm_a"}).items) == 50
    with pytest.raises(ValidationError):
        PlaceOrderRequest.model_validate({"items": items, "payment_method": "pm_a"})


def test_a_name_has_no_blanks_around_it() -> None:
    assert TypeAdapter(Name).validate_python("  Ada Lovelace\t") == "Ada Lovelace"


PARAMETERS: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {
    ("POST", "/orders", "header", "Idempotency-Key"): [("~", ""), ("~" * 255, "~" * 256), ("a b", "a\tb")],
    ("GET", "/orders", "query", "limit"): [("1", "0"), ("100", "101")],
}
"""What is at a limit of a parameter, and what is beyond it, by the call."""
UNLIMITED = {"type", "title", "default", "anyOf"}


def test_each_limit_of_a_parameter_is_tried(app: FastAPI) -> None:
    limited = {
        (method.upper(), path.removeprefix(PREFIX), parameter["in"], parameter["name"])
        for path, methods in app.openapi()["paths"].items()
        if path.startswith(PREFIX)
        for method, call in methods.items()
        for parameter in call.get("parameters", ())
        if parameter["schema"].keys() - UNLIMITED
    }

    assert limited == PARAMETERS.keys(), "say here what is at its limits"


@pytest.mark.parametrize("call", PARAMETERS, ids=" ".join)
async def test_a_parameter_at_its_limit_is_taken_and_beyond_it_is_refused(
    client: httpx.AsyncClient, customer: User, bearer: Headers, call: tuple[str, str, str, str]
) -> None:
    method, url, where, name = call

    async def status(value: str) -> int:
        given = {"header": bearer(customer), "query": {}}
        given[where][name] = value
        body = ORDER if method == "POST" else None
        response = await client.request(method, url, json=body, headers=given["header"], params=given["query"])
        return response.status_code

    answers = [(await status(at_it), await status(beyond)) for at_it, beyond in PARAMETERS[call]]

    assert answers == [(201 if method == "POST" else 200, 422)] * len(answers)
