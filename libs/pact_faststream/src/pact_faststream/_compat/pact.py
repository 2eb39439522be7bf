"""Pact's verifier: its requests and its results. Bounds: `pact-python<4.3`, `pact-python-ffi<0.6`.

- `Verifier.results` is a public `dict[str, Any]`, but its keys are not documented. The keys come from pact-python-ffi,
  some of them only since 0.5.8 (https://github.com/pact-foundation/pact-reference/pull/549).
- The verifier asks an HTTP server for messages and states, by a protocol that is not documented. We don't use
  pact-python's own server: see pact_faststream.callbacks.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pact import Verifier

State = tuple[str, Mapping[str, Any]]
"""A provider state's name and parameters."""


@dataclass(frozen=True)
class Found:
    """One interaction, as the verifier judged it."""

    consumer: str
    description: str
    states: tuple[str, ...]
    pending: bool
    mismatches: tuple[str, ...]


def found_by(verifier: Verifier) -> Sequence[Found]:
    """All interactions of a verifier that has run."""
    return [_found(each) for each in verifier.results.get("interactionResults", ())]


def errors_of(verifier: Verifier) -> str:
    """The verifier's errors, for a person."""
    return str(verifier.results.get("errors", ""))


def _found(each: Mapping[str, Any]) -> Found:
    return Found(
        consumer=each["consumer"],
        description=each["description"],
        states=tuple(each.get("providerStates") or ()),
        pending=bool(each["pending"]),
        mismatches=() if each["result"] == "OK" else tuple(_mismatches(each.get("mismatch") or {})),
    )


def _mismatches(mismatch: Mapping[str, Any]) -> Iterator[str]:
    for detail in mismatch.get("mismatches") or [mismatch]:
        where = detail.get("path") or detail.get("key")
        text = detail.get("mismatch") or detail.get("message") or str(dict(detail)) or "no reason was given"
        yield f"{where}: {text}" if where else text


def message_asked(request: Mapping[str, Any]) -> tuple[str, Sequence[State]]:
    """The description of the message that the verifier wants, and its provider states."""
    states = request.get("providerStates") or []
    return request["description"], [(state["name"], state.get("params") or {}) for state in states]


def state_asked(request: Mapping[str, Any]) -> State:
    """The provider state that the verifier wants."""
    return request["state"], request.get("params") or {}


def message_headers(metadata: Mapping[str, str], content_type: str) -> Mapping[str, str]:
    """The headers with which a message is sent back."""
    told = json.dumps({**metadata, "contentType": content_type})
    return {"Content-Type": content_type, "Pact-Message-Metadata": base64.b64encode(told.encode()).decode()}
