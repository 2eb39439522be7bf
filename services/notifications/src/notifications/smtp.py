"""SMTP conversations: a connection is kept for the next e-mail, and whether the server may have an e-mail is known."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiosmtplib
import structlog

log = structlog.get_logger()

KEEP_SECONDS = 10.0
"""So long a connection waits for the next e-mail. A server waits for 5 minutes (RFC 5321, 4.5.3.2.7), some for less."""
GOODBYE_SECONDS = 0.2
_CLOSING = 421
"""The server ends the conversation, for instance after so many e-mails (RFC 5321, 4.2.3)."""


@dataclass(frozen=True)
class SmtpServer:
    """Where to send; `timeout` in seconds, for the whole conversation about an e-mail."""

    host: str
    port: int
    starttls: bool
    username: str
    password: str = field(repr=False)
    timeout: float


@dataclass(frozen=True)
class Mail:
    """An e-mail as it is sent: the addresses of its envelope, and its headers and body as bytes."""

    message_id: str
    sender: str
    recipient: str
    content: bytes


class Client(aiosmtplib.SMTP):
    """Knows whether the server may have the e-mail without having said so."""

    awaits_answer = False

    async def data(self, *arguments: Any, **named: Any) -> aiosmtplib.SMTPResponse:
        """From the command DATA on; a refusal is an answer, too."""
        self.awaits_answer = True
        try:
            answer = await super().data(*arguments, **named)
        except aiosmtplib.SMTPResponseException:
            self.awaits_answer = False
            raise
        self.awaits_answer = False
        return answer


class SmtpConnections:
    """Sends e-mails; a connection is kept for `keep` seconds after each of them, 0 for not at all."""

    def __init__(self, server: SmtpServer, *, keep: float) -> None:
        self.server = server
        self._keep = keep
        self._kept: dict[Client, asyncio.TimerHandle] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def send(self, mail: Mail) -> None:
        """Raises aiosmtplib's errors, OSError, and TimeoutError after the server's time-out."""
        async with asyncio.timeout(self.server.timeout):
            client = self._take()
            if client is None:
                client = await self._send(self._connection(), mail)
            else:
                try:
                    await self._send(client, mail)
                except aiosmtplib.SMTPException as error:
                    if client.awaits_answer or not _has_ended(error):
                        raise
                    # the server let go of the connection meanwhile, and knows nothing of this e-mail
                    client = await self._send(self._connection(), mail)
        await self._end(client)

    async def close(self) -> None:
        """End all conversations."""
        for client, timer in [*self._kept.items()]:
            timer.cancel()
            self._let_go(client)
        await asyncio.gather(*self._goodbyes)

    def _connection(self) -> Client:
        server = self.server
        return Client(
            hostname=server.host,
            port=server.port,
            start_tls=server.starttls,
            username=server.username or None,
            password=server.password or None,
            timeout=None,  # its own limit is for each step: a server that dawdles at each would take a multiple
        )

    def _take(self) -> Client | None:
        while self._kept:
            client, timer = self._kept.popitem()
            timer.cancel()
            if client.is_connected:
                return client
            client.close()
        return None

    async def _send(self, client: Client, mail: Mail) -> Client:
        """Not aiosmtplib.send: cut off, it still waits for the answer to its QUIT."""
        try:
            if not client.is_connected:
                await client.connect()
            await client.sendmail(mail.sender, mail.recipient, mail.content, mail_options=await _options(client, mail))
        except BaseException:
            client.close()
            raise
        finally:
            if client.awaits_answer:
                # a time-out is as unknown as a crash: the next attempt may send a second copy
                log.warning("mail_outcome_unknown", message_id=mail.message_id)
        return client

    async def _end(self, client: Client) -> None:
        if self._keep:
            self._kept[client] = asyncio.get_running_loop().call_later(self._keep, self._let_go, client)
        else:
            await _say_goodbye(client)

    def _let_go(self, client: Client) -> None:
        del self._kept[client]
        goodbye = asyncio.ensure_future(_say_goodbye(client))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)


async def _options(client: Client, mail: Mail) -> Sequence[str]:
    """What the server is asked for an address beyond ASCII (RFC 6531). Raises SMTPNotSupported."""
    if mail.recipient.isascii():
        return ()
    if client.is_ehlo_or_helo_needed:
        await client.ehlo()
    if not client.supports_extension("smtputf8"):
        raise aiosmtplib.SMTPNotSupported("the server takes no address beyond ASCII")
    return ("SMTPUTF8",)


def _has_ended(error: aiosmtplib.SMTPException) -> bool:
    """Whether the conversation is over, which says nothing about the e-mail."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(each.code == _CLOSING for each in error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return error.code == _CLOSING
    return isinstance(error, aiosmtplib.SMTPServerDisconnected)


async def _say_goodbye(client: Client) -> None:
    """Without effect on the outcome, also if it's cut: the server has the e-mail, and would get a second copy."""
    try:
        with suppress(aiosmtplib.SMTPException, OSError, asyncio.CancelledError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await client.quit()
    finally:
        client.close()
