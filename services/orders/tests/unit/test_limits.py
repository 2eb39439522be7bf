"""Each limit of what a customer sends: what is at it is taken, and what is beyond is refused."""

from typing import Any

import pytest
from orders.addressing import Email, Name
from orders.schemas import Password, PaymentMethod, PlaceOrderRequest, Quantity, Sku
from pydantic import TypeAdapter, ValidationError

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
