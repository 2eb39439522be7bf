"""What the API tests send and how they read errors."""

from typing import Any

import httpx

from ..factories import PASSWORD

NEW_USER = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
ORDER: dict[str, Any] = {"items": [{"sku": "ABC", "quantity": 4}], "payment_method": "pm_card_ok"}


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def key(value: str = "key-1") -> dict[str, str]:
    return {"Idempotency-Key": value}
