"""What an answer that is no success means, in one line for a person."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx

from pact_faststream.broker.settings import BrokerSettings

ADDRESS = "PACT_BROKER_BASE_URL is the address that answers as the broker itself"


def refusal(settings: BrokerSettings, response: httpx.Response) -> str:
    """The rest of a sentence that begins with the broker."""
    status = status_of(response)
    match response.status_code:
        case HTTPStatus.UNAUTHORIZED:
            return (
                f"refuses the credentials ({status}): "
                "check PACT_BROKER_TOKEN, or PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD"
            )
        case HTTPStatus.FORBIDDEN:
            return f"forbids this ({status}){_errors(response)}: do the credentials give the right to do it?"
        case HTTPStatus.BAD_REQUEST if settings.token and not response.content:
            return (
                f"refuses the token ({status}): one with user and password takes no token, "
                "only PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD"
            )
        case _ if response.has_redirect_location:
            target = response.headers["location"].partition("?")[0]  # what follows may be a secret
            return (
                f"sends elsewhere ({status}, to {target}): is there a login before the broker, "
                f"or has it moved? {ADDRESS}"
            )
        case _:
            return f"answered {status}{_errors(response)}"


def status_of(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".rstrip()


def sent(response: httpx.Response) -> str:
    """Which kind of content came."""
    return f"it sent {response.headers.get('content-type', 'no content type')}"


def is_the_brokers_own(response: httpx.Response) -> bool:
    """Whether a broker refused, not something before it.

    A Pact Broker refuses in JSON, also what it doesn't have: `{"error": "The requested document was not found ..."}`.
    A web server or a proxy sends a page of its own.
    """
    document = _document(response)
    return "error" in document or "errors" in document or "title" in document


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _errors(response: httpx.Response) -> str:
    """The reasons in a refusal, in each form that a Pact Broker has.

    `{"errors": {"field": ["..."]}}` and `{"errors": ["..."]}` say what is wrong with a request, `{"error": "..."}` that
    it can't be done, `{"error": {"message": "...", "reference": "..."}}` that the broker failed. A problem document
    (RFC 9457) has `detail`, or a list of problems in `errors`. See pact_broker's
    lib/pact_broker/api/resources/error_handling_methods.rb and error_response_generator.rb.
    """
    document = _document(response)
    told = next((document[name] for name in ("errors", "error", "detail", "title") if document.get(name)), ())
    lines = list(dict.fromkeys(_messages(told)))
    return f": {'; '.join(lines)}" if lines else ""


def _messages(told: Any, field: str = "") -> Iterator[str]:
    match told:
        case str():
            yield f"{field} {told}".strip()
        case {"detail": str(text)} | {"message": str(text)}:
            yield from _messages(text, field)
        case dict():
            for name, part in told.items():
                yield from _messages(part, f"{field}.{name}" if field else str(name))
        case list():
            for part in told:
                yield from _messages(part, field)
