"""What the handlers ask of the world outside."""

from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

from outboxed import ports
from outboxed.errors import TransientError

from notifications.domain import Kind, OrderNotifications


class MailerUnavailableError(TransientError):
    """The mail server can't be reached, or refused for now."""


class EmailRefusedError(Exception):
    """The mail server will never take this e-mail."""


class Mailer(Protocol):
    """The channel of e-mails."""

    async def send(self, kind: Kind, email: str, order_id: UUID) -> str:
        """Send one e-mail; its Message-ID, which is the same however often it is sent.

        Raises MailerUnavailableError, EmailRefusedError.
        """
        ...


class Notifications(Protocol):
    """The e-mails by order; `get` locks, `find` only looks."""

    async def get(self, key: UUID) -> OrderNotifications | None: ...
    async def find(self, key: UUID) -> OrderNotifications | None: ...
    async def find_many(self, keys: Iterable[UUID]) -> Mapping[UUID, OrderNotifications]: ...
    def add(self, aggregate: OrderNotifications) -> None: ...
    def save(self, aggregate: OrderNotifications) -> None: ...


class UnitOfWork(ports.UnitOfWork, Protocol):
    """One transaction of this service."""

    @property
    def notifications(self) -> Notifications: ...
