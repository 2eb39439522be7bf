"""The SMTP side: takes every mail for everybody, with STARTTLS and a login where they are set, and faults on demand."""

import asyncio
import hmac
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mail_catcher.faults import Faults
from mail_catcher.message import RawMessage
from mail_catcher.store import Store

_SECONDS_HUNG = 60
_REFUSALS = {451: "451 4.3.0 Try again later", 550: "550 5.1.1 No such mailbox"}

Sleep = Callable[[float], Awaitable[None]]

logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd writes a line for every command


@dataclass(frozen=True)
class Login:
    username: str
    password: str = field(repr=False)

    def matches(self, given: LoginPassword) -> bool:
        username = hmac.compare_digest(given.login, self.username.encode())
        return hmac.compare_digest(given.password, self.password.encode()) and username


class SmtpServer:
    """`start` it on a bound socket, `stop` cuts every connection. With a login, clients have to use it, over TLS."""

    def __init__(
        self,
        store: Store,
        faults: Faults,
        *,
        tls: ssl.SSLContext | None = None,
        login: Login | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._handler = _CatchAll(store, faults, sleep)
        self._tls = tls
        self._login = login
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._connection, sock=listener)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._server.wait_closed()

    def _connection(self) -> "_Connection":
        connection = _Connection(
            self._handler,
            hostname="mail-catcher",
            enable_SMTPUTF8=True,
            tls_context=self._tls,
            auth_required=self._login is not None,
            auth_require_tls=self._login is not None,
            authenticator=self._authenticate,
            loop=asyncio.get_running_loop(),
        )
        connection.open_connections = self._connections
        return connection

    def _authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, given: LoginPassword) -> AuthResult:
        return AuthResult(success=self._login is None or self._login.matches(given), handled=False)


class _Connection(SMTP):
    """aiosmtpd's protocol, listed among the open ones."""

    open_connections: "set[_Connection]"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.open_connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.open_connections.discard(self)

    def abort(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


@dataclass(frozen=True)
class _CatchAll:
    """The hooks that aiosmtpd calls; what they return is the answer."""

    store: Store
    faults: Faults
    sleep: Sleep

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _: _Connection, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fault = self.faults.take("recipient", [address])
        if fault is not None and fault.status is not None:
            return _REFUSALS[fault.status]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, connection: _Connection, _: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        fault = self.faults.take("data", envelope.rcpt_tos)
        if fault is not None and fault.action == "hang":
            # A client that hangs up cancels this, so its mail isn't stored: it was never told that it was.
            await self.sleep(_SECONDS_HUNG if fault.seconds is None else fault.seconds)
        content, sender = envelope.original_content or b"", envelope.mail_from or ""
        self.store.add(RawMessage(content, sender, tuple(envelope.rcpt_tos)))
        if fault is not None and fault.action == "drop_after_data":
            connection.abort()
            await asyncio.get_running_loop().create_future()  # the loss of the connection cancels it
        return "250 OK"
