"""What the handlers ask of the world outside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from outboxed import ports
from outboxed.errors import TransientError

from payments.domain import Charge, Payment


class PaymentDeclinedError(Exception):
    """The gateway's final no; the message is its code."""


class ServiceTimeoutError(TransientError):
    """No answer in time: an unknown outcome, never a decline."""


class GatewayUnavailableError(TransientError):
    """The gateway can't be reached, or its answer makes no sense: an unknown outcome."""


@dataclass(frozen=True)
class GatewayCharge:
    """A charge as the gateway has it; `status` is succeeded or refunded."""

    id: str
    idempotency_key: str
    amount: Decimal
    currency: str
    status: str

    @property
    def succeeded(self) -> bool:
        """Whether the gateway still has the money."""
        return self.status == "succeeded"


class PaymentGateway(Protocol):
    """The card processor. Every call raises ServiceTimeoutError or GatewayUnavailableError."""

    async def charge(self, charge: Charge, *, idempotency_key: UUID, reference: UUID) -> str:
        """Charge once, however often it is asked; returns the charge's id. Raises PaymentDeclinedError."""
        ...

    async def refund(self, *, idempotency_key: str) -> str | None:
        """Return whatever the key charged and refuse the key from then on; the refunded charge's id, if any."""
        ...

    async def charges(self, *, reference: UUID) -> Sequence[GatewayCharge]:
        """Every charge that succeeded for an order."""
        ...


class Payments(Protocol):
    """The payments; `get` locks, `find` only looks."""

    async def get(self, key: UUID) -> Payment | None: ...
    async def find(self, key: UUID) -> Payment | None: ...
    async def find_many(self, keys: Iterable[UUID]) -> Mapping[UUID, Payment]: ...
    async def page(self, *, after: UUID | None, limit: int) -> Sequence[Payment]:
        """All payments by id, from behind `after`."""
        ...

    def add(self, aggregate: Payment) -> None: ...
    def save(self, aggregate: Payment) -> None: ...


class UnitOfWork(ports.UnitOfWork, Protocol):
    """One transaction of this service."""

    @property
    def payments(self) -> Payments: ...
