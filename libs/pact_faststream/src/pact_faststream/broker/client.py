"""The broker's HTTP interface, by the links in its own answers."""

import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPMethod, HTTPStatus
from threading import Thread
from typing import Any, Self, TypeVar

import httpx

from pact_faststream.broker.answers import Answer, BrokerError, ConflictError, Link, Resource, read_answer
from pact_faststream.broker.refusals import ADDRESS, is_the_brokers_own, refusal, sent, status_of
from pact_faststream.broker.settings import BrokerSettings

__all__ = ["Broker", "BrokerError"]

NEEDED = (
    "pb:environments",
    "pb:pacticipant",
    "pb:pacticipant-branch",
    "pb:pacticipant-branch-version",
    "pb:pacticipant-version",
    "pb:provider-pacts-for-verification",
    "pb:publish-contracts",
    "pb:webhook",
)
TRY_AGAIN_AFTER = (0.3, 1.0)
"""Seconds before a read is tried again, within PACT_BROKER_TIMEOUT. A write is tried once: it may have been heard."""
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
MERGE_PATCH = "application/merge-patch+json"
R = TypeVar("R")
A = TypeVar("A", bound=Answer)


class Broker:
    """A broker that has answered once, so that no work begins with a broker that is down."""

    def __init__(self, settings: BrokerSettings, index: Resource) -> None:
        self._settings = settings
        self.index = index
        own = index.links.get("self")
        self._home = own.href.rstrip("/") if isinstance(own, Link) else settings.broker_base_url

    @classmethod
    def connect(cls, settings: BrokerSettings) -> Self:
        """Raises BrokerError unless a Pact Broker that takes the credentials answers within PACT_BROKER_TIMEOUT."""
        seconds = settings.broker_timeout
        where = f"the Pact Broker at {settings.broker_base_url}"
        try:
            response = _answer(settings, HTTPMethod.GET, f"{settings.broker_base_url}/", is_read=True)
        except (TimeoutError, httpx.TimeoutException):
            raise BrokerError(f"{where} did not answer within {seconds:g} s (PACT_BROKER_TIMEOUT)") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: no such host name
            raise BrokerError(f"{where} can't be reached: {error}{_untrusted(error)}") from None
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise _no_broker(response, settings.broker_base_url)
        if response.status_code != HTTPStatus.OK:
            raise BrokerError(f"{where} {refusal(settings, response)}")
        index = _index(response, settings.broker_base_url)
        return cls(settings, index)

    def get(self, link: Link, model: type[A]) -> A:
        """Raises BrokerError."""
        return self._read(model, self._send(HTTPMethod.GET, link))

    def find(self, link: Link, model: type[A]) -> A | None:
        """The answer; None for status 404. Raises BrokerError."""
        return self._found(model, self._send(HTTPMethod.GET, link))

    def ask(self, link: Link, question: Any, model: type[A]) -> A | None:
        """The answer to a question that changes nothing; None for status 404. Raises BrokerError."""
        return self._found(model, self._send(HTTPMethod.POST, link, question, is_read=True))

    def post(self, link: Link, body: Any, model: type[A]) -> A:
        """Raises BrokerError, ConflictError."""
        return self._read(model, self._send(HTTPMethod.POST, link, body))

    def put(self, link: Link, body: Any) -> bool:
        """Put a resource; returns whether it is new. Raises BrokerError."""
        return self._checked(self._send(HTTPMethod.PUT, link, body)).status_code == HTTPStatus.CREATED

    def patch(self, link: Link, body: Any) -> None:
        """Change the named fields of a resource. Raises BrokerError."""
        self._checked(self._send(HTTPMethod.PATCH, link, body))

    def delete(self, link: Link) -> bool:
        """Delete a resource; returns whether it was there. Raises BrokerError."""
        response = self._send(HTTPMethod.DELETE, link)
        return not self._is_missing(response) and bool(self._checked(response))

    def at(self, path: str) -> Link:
        """A resource that the index doesn't name, such as `/matrix`."""
        return Link(href=f"{self._home}{path}")

    def _at_home(self, href: str) -> str:
        """The same address below the one that was configured.

        A broker behind a proxy may link to another host, to http, or without the path under which the proxy serves it.
        The credentials go to the configured host only.
        """
        base, own = httpx.URL(self._settings.broker_base_url), httpx.URL(self._home)
        path, prefix = httpx.URL(href).raw_path, own.raw_path.rstrip(b"/")
        if path.startswith(prefix + b"/"):
            path = base.raw_path.rstrip(b"/") + path.removeprefix(prefix)
        return str(base.copy_with(raw_path=path))

    def _read(self, model: type[A], response: httpx.Response) -> A:
        return read_answer(model, self._checked(response).content, str(self))

    def _found(self, model: type[A], response: httpx.Response) -> A | None:
        return None if self._is_missing(response) else self._read(model, response)

    def _is_missing(self, response: httpx.Response) -> bool:
        """Whether the broker says that it has no such thing. Raises BrokerError if something else says so."""
        if response.status_code != HTTPStatus.NOT_FOUND:
            return False
        if not is_the_brokers_own(response):
            path = response.request.url.raw_path.decode().partition("?")[0]
            raise BrokerError(
                f"{self} answered {status_of(response)} to {path}, but not as a Pact Broker does ({sent(response)}): "
                "does a proxy before it refuse this address?"
            )
        return True

    def _send(self, method: HTTPMethod, link: Link, body: Any = None, *, is_read: bool = False) -> httpx.Response:
        is_read = is_read or method is HTTPMethod.GET
        try:
            return _answer(self._settings, method, self._at_home(link.href), body, is_read=is_read)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            timed_out = isinstance(error, TimeoutError | httpx.TimeoutException)
            reason = (
                f"within {self._settings.broker_timeout:g} s" if timed_out else f"({error or type(error).__name__})"
            )
            unsure = "" if is_read else "; whether it heard is unknown, but doing it again does no harm"
            raise BrokerError(f"{self} stopped answering {reason}{unsure}") from None

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        error = ConflictError if response.status_code == HTTPStatus.CONFLICT else BrokerError
        raise error(f"{self} {refusal(self._settings, response)}")

    def __str__(self) -> str:
        return f"the Pact Broker at {self._settings.broker_base_url}"


def _answer(
    settings: BrokerSettings, method: HTTPMethod, url: str, body: Any = None, *, is_read: bool
) -> httpx.Response:
    """The answer within PACT_BROKER_TIMEOUT, that of the last try. Raises TimeoutError, httpx.HTTPError."""
    ends = time.monotonic() + settings.broker_timeout
    for wait in TRY_AGAIN_AFTER if is_read else ():
        try:
            response = _sent(settings, method, url, body, ends)
            if not _may_pass(response) or time.monotonic() + wait >= ends:
                return response
        except (TimeoutError, httpx.TransportError):
            if time.monotonic() + wait >= ends:
                raise
        time.sleep(wait)
    return _sent(settings, method, url, body, ends)


def _untrusted(error: Exception) -> str:
    return "; SSL_CERT_FILE names the authorities to trust" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""


def _may_pass(response: httpx.Response) -> bool:
    return response.is_server_error or response.status_code in PASSING


def _sent(settings: BrokerSettings, method: HTTPMethod, url: str, body: Any, ends: float) -> httpx.Response:
    headers = {"Accept": "application/hal+json, application/json"}
    if method is HTTPMethod.PATCH:
        headers["Content-Type"] = MERGE_PATCH
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    seconds = ends - time.monotonic()

    def send() -> httpx.Response:
        with _client(settings, url, seconds) as client:
            return client.request(method, url, headers=headers, json=body)

    # httpx limits each read, but not their sum or the look-up of a host name
    return _in_time(send, seconds)


def _client(settings: BrokerSettings, url: str, seconds: float) -> httpx.Client:
    try:
        return httpx.Client(auth=settings.login, timeout=seconds, verify=_trusted(url))
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        variables = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE"
        raise BrokerError(f"the environment says how to reach a server ({variables}), but not right: {error}") from None


def _trusted(url: str) -> ssl.SSLContext:
    """For plain HTTP without certificates: to load them takes longer than the broker's answer."""
    return httpx.create_ssl_context() if httpx.URL(url).scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _in_time(call: Callable[[], R], seconds: float) -> R:
    """The call's result. After `seconds` raises TimeoutError; the call then goes on in a daemon thread."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - the waiting thread raises it
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result(seconds)


def _index(response: httpx.Response, base_url: str) -> Resource:
    try:
        index = read_answer(Resource, response.content, base_url)
    except BrokerError:
        raise _no_broker(response, base_url) from None
    for relation in NEEDED:
        if relation not in index.links:
            raise BrokerError(f"what answers at {base_url} is no Pact Broker, or an old one: it names no {relation}")
    return index


def _no_broker(response: httpx.Response, base_url: str) -> BrokerError:
    answer = sent(response) if response.is_success else f"{status_of(response)}, {sent(response)}"
    return BrokerError(f"what answers at {base_url} is no Pact Broker ({answer}): {ADDRESS}")
