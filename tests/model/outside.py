"""What the services call: requests wait until a test lets them arrive, be answered, or be cut off."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import aiosmtplib
from notifications.smtp import Mail as OutgoingMail
from notifications.smtp import SmtpServer
from payments.domain import Charge
from payments.ports import GatewayCharge, GatewayUnavailableError, PaymentDeclinedError, ServiceTimeoutError
from shop_harness.evidence import Mail

GATEWAY_FAULTS: dict[str, Exception] = {
    "answers 503": GatewayUnavailableError("503"),
    "gives no answer in time": ServiceTimeoutError("no answer"),
}
MAIL_FAULTS: dict[str, Exception] = {
    "refuses for now": aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(451, "later", "")]),
    "refuses for good": aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(550, "never", "")]),
    "drops the connection": aiosmtplib.SMTPServerDisconnected("gone"),
}
CALLER: ContextVar[UUID] = ContextVar("CALLER")
"""The lease's token of the task whose call it is."""
NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
AFTER_ARRIVAL = ("gives no answer in time", "drops the connection")
"""What may still go wrong once the request has taken effect."""


@dataclass(eq=False)
class Call:
    """A request on its way; `reply` is what the other side answered when it arrived."""

    to: str
    asks: str
    take_effect: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    arrived: bool = False
    reply: Any = None

    @property
    def faults(self) -> Sequence[str]:
        """What may go wrong with it now."""
        every = GATEWAY_FAULTS if self.to == "the gateway" else MAIL_FAULTS
        return [fault for fault in every if not self.arrived or fault in AFTER_ARRIVAL]

    def arrive(self) -> None:
        """Take effect, once."""
        if not self.arrived:
            self.arrived, self.reply = True, self.take_effect()

    def be_answered(self) -> None:
        """Let the caller hear the answer."""
        self.arrive()
        if isinstance(self.reply, Exception):
            self.answer.set_exception(self.reply)
        else:
            self.answer.set_result(self.reply)

    def fail(self, fault: str) -> None:
        """Let the caller hear of a fault instead."""
        self.answer.set_exception({**GATEWAY_FAULTS, **MAIL_FAULTS}[fault])


class CallsInFlight:
    """The calls under way, by who makes each: the value of CALLER, which a caller's own tasks inherit."""

    def __init__(self) -> None:
        self.by_caller: dict[UUID, Call] = {}

    async def ask(self, to: str, asks: str, take_effect: Callable[[], Any]) -> Any:
        caller = CALLER.get()
        call = Call(to, asks, take_effect, asyncio.get_running_loop().create_future())
        self.by_caller[caller] = call
        try:
            return await call.answer
        finally:
            del self.by_caller[caller]


@dataclass
class Gateway:
    """See payments.ports.PaymentGateway; it remembers every key that it charged, for which order, and how much."""

    in_flight: CallsInFlight
    accepts: dict[UUID, bool] = field(default_factory=dict)
    charged: dict[str, tuple[UUID, Decimal]] = field(default_factory=dict)
    refunded: set[str] = field(default_factory=set)

    async def charge(self, charge: Charge, *, idempotency_key: UUID, reference: UUID) -> str:
        assert isinstance(charge.amount, Decimal)
        key = str(idempotency_key)

        def take_effect() -> str | PaymentDeclinedError:
            if key in self.refunded:
                return PaymentDeclinedError("key_refunded")
            if not self.accepts[reference]:
                return PaymentDeclinedError("card_declined")
            self.charged.setdefault(key, (reference, charge.amount))
            return f"charge-{key}"

        return str(await self.in_flight.ask("the gateway", "to charge", take_effect))

    async def refund(self, *, idempotency_key: str) -> str | None:
        def take_effect() -> str | None:
            self.refunded.add(idempotency_key)
            return f"charge-{idempotency_key}" if idempotency_key in self.charged else None

        refunded: str | None = await self.in_flight.ask("the gateway", "to return the money", take_effect)
        return refunded

    async def charges(self, *, reference: UUID) -> Sequence[GatewayCharge]:
        def take_effect() -> Sequence[GatewayCharge]:
            return [
                GatewayCharge(
                    f"charge-{key}", key, Decimal(1), "EUR", "refunded" if key in self.refunded else "succeeded"
                )
                for key, (order_id, _) in self.charged.items()
                if order_id == reference
            ]

        found: Sequence[GatewayCharge] = await self.in_flight.ask("the gateway", "for earlier charges", take_effect)
        return found


class MailServer:
    """A mail server that the test plays."""

    def __init__(self, calls: CallsInFlight) -> None:
        self.delivered: list[Mail] = []
        self.server = SmtpServer("mail.test", 25, starttls=False, username="", password="", timeout=5)
        self._calls = calls

    async def send(self, outgoing: OutgoingMail) -> None:
        mail = Mail(outgoing.recipient, outgoing.message_id.strip("<>"), NOON)
        await self._calls.ask("the mail server", "to take the e-mail", lambda: self.delivered.append(mail))

    async def close(self) -> None:
        """Nothing to do."""
