"""How the other builds charge a card and send an e-mail: on connections that are kept."""

import asyncio
from decimal import Decimal
from email.message import EmailMessage
from uuid import UUID

import aiosmtplib
import httpx

TEXTS = {
    "confirmation": "Thank you: your order {} is paid and confirmed.",
    "cancellation": "Your order {} is cancelled.",
}


class Gateway:
    """The payment gateway."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=2, trust_env=False)

    async def charge(
        self, order_id: UUID, amount: Decimal, currency: str, payment_method: str, *, key: str
    ) -> str | None:
        """The charge's id; None if the card is declined. Raises httpx.HTTPError."""
        body = {
            "amount": f"{amount:.2f}",
            "currency": currency,
            "payment_method": payment_method,
            "reference": str(order_id),
        }
        answer = await self._http.post("/v1/charges", json=body, headers={"Idempotency-Key": key})
        if answer.status_code == httpx.codes.PAYMENT_REQUIRED:
            return None
        return str(answer.raise_for_status().json()["id"])

    async def close(self) -> None:
        await self._http.aclose()


class MailServer:
    """The mail server; `sender` is the domain of the Message-IDs."""

    def __init__(self, host: str, port: int, sender: str) -> None:
        self._smtp = aiosmtplib.SMTP(hostname=host, port=port)
        self._sender = sender
        self._sending = asyncio.Lock()

    async def send(self, kind: str, to: str, order_id: UUID) -> None:
        """Send an e-mail of a kind. Raises aiosmtplib.SMTPException."""
        message = EmailMessage()
        message["From"] = "shop@example.com"
        message["To"] = to
        message["Subject"] = f"Your order: {kind}"
        message["Message-ID"] = f"<{kind}.{order_id}@{self._sender}>"
        text = TEXTS[kind].format(order_id)
        message.set_content(text)
        message.add_alternative(f"<p>{text}</p>", subtype="html")
        async with self._sending:
            if not self._smtp.is_connected:
                await self._smtp.connect()
            await self._smtp.send_message(message)

    def close(self) -> None:
        self._smtp.close()
