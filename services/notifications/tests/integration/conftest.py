"""The sandbox's mail catcher behind SMTP."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from mail_catcher import Faults, SmtpServer, Store
from mail_catcher.faults import Fault
from mail_catcher.smtp import Login
from notifications.mailer import SmtpMailer
from notifications.smtp import SmtpConnections
from notifications.smtp import SmtpServer as Server
from outboxed.process import bind
from outboxed.tasks import CallThread
from outboxed.testing.fixtures import certificate

__all__ = ["certificate"]


@dataclass(frozen=True)
class Mailbox:
    """The sandbox's mail catcher on a port of its own."""

    store: Store
    faults: Faults
    port: int

    def fault(self, **changes: Any) -> None:
        self.faults.replace([Fault.model_validate({"times": 1, **changes})])

    def mailer(self, *, timeout: float = 5, thread: CallThread | None = None, **changes: Any) -> SmtpMailer:
        parts = {"host": "127.0.0.1", "port": self.port, "starttls": False, "username": "", "password": "", **changes}
        server = Server(**parts, timeout=timeout)
        return SmtpMailer(
            SmtpConnections(server, keep=0), sender="Shop <orders@shop.example>", domain="shop.example", thread=thread
        )


@asynccontextmanager
async def mailbox_on_loopback(tls: ssl.SSLContext | None = None, login: Login | None = None) -> AsyncIterator[Mailbox]:
    store, faults = Store(), Faults()
    server = SmtpServer(store, faults, tls=tls, login=login)
    listener = bind("127.0.0.1", 0)
    await server.start(listener)
    try:
        yield Mailbox(store, faults, listener.getsockname()[1])
    finally:
        await server.stop()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mailbox_on_loopback() as mailbox:
        yield mailbox
