"""The committed pacts: who expects what of whom."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Pact:
    """What a consumer expects of a provider: types of events, and calls such as `POST /v1/charges`."""

    consumer: str
    provider: str
    expects: Sequence[str]


class UnreadableError(ValueError):
    """A file that is no pact, or no folder of pacts; the message is a sentence."""


def read(folder: Path) -> Sequence[Pact]:
    """The pact files of a folder, by consumer and provider. Raises UnreadableError."""
    if not folder.is_dir():
        raise UnreadableError(f"CONSOLE_CONTRACTS: there is no folder {folder}")
    pacts = []
    for file in folder.glob("*.json"):
        try:
            pacts.append(_pact(json.loads(file.read_text())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UnreadableError(f"{file.name} can't be read as a pact: make it again by `make contracts`") from None
    return sorted(pacts, key=lambda pact: (pact.consumer, pact.provider))


def _pact(document: Mapping[str, Any]) -> Pact:
    expects = sorted({_expected(each) for each in document["interactions"]})
    return Pact(document["consumer"]["name"], document["provider"]["name"], expects)


def _expected(interaction: Mapping[str, Any]) -> str:
    if "request" in interaction:
        return f"{interaction['request']['method']} {interaction['request']['path']}"
    return str(interaction.get("metadata", {}).get("ce_type", interaction["description"]))
