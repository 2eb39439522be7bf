"""Valid things to send; a test names only what it is about."""

from email.message import EmailMessage
from typing import Any


def a_charge(**changes: Any) -> dict[str, Any]:
    valid = {"amount": "47.50", "currency": "EUR", "payment_method": "pm_card_ok", "reference": "order-1"}
    return valid | changes


def a_fault(**changes: Any) -> dict[str, Any]:
    return {"operation": "charge", "action": "garbage", "times": 1} | changes


def a_mail(**headers: str) -> EmailMessage:
    mail = EmailMessage()
    valid = {
        "From": "Shop <shop@shop.example>",
        "To": "Ada <ada@example.com>",
        "Subject": "Your order",
        "Message-ID": "<confirmation.order-1@shop.example>",
    }
    for name, value in (valid | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        mail[name] = value
    mail.set_content("Thank you\nfor your order.")
    mail.add_alternative("<p>Thank you</p>", subtype="html")
    return mail
