"""Where a provider's pacts come from: a folder of pact files, or a Pact Broker (see pact_faststream.broker)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pact import Verifier


class NoPactsError(AssertionError):
    """There is nothing to verify, which must not look like success."""


class NoConsumersError(NoPactsError):
    """Nobody expects anything of this provider yet, which is as it should be for a service that provides nothing."""


@dataclass(frozen=True)
class PactDocument:
    """A pact as it is read; the failure of a `pending` one doesn't count against the provider."""

    content: Mapping[str, Any]
    pending: bool = False


class PactSource(Protocol):
    """Gives pacts to a verifier, and may publish its results."""

    @property
    def publishes(self) -> bool:
        """Whether results are published: the last run of a verification is then made with `publish`."""
        ...

    def add_to(self, verifier: Verifier, provider: str, *, publish: bool) -> None:
        """Add the provider's pacts. Raises NoPactsError if there are none, as far as the source can tell."""
        ...

    def confirm_published(self, provider: str) -> None:
        """Raise unless the results of the last run have arrived, because the verifier only logs a refusal."""
        ...


@runtime_checkable
class ReadableSource(PactSource, Protocol):
    """A source whose pacts can be read, so that one run of the verifier sees all variants."""

    def documents(self, provider: str) -> Sequence[PactDocument]:
        """The provider's pacts. Raises NoPactsError as `add_to` does."""
        ...


@dataclass(frozen=True)
class PactFolder:
    """All pact files of a folder that are about the provider; nothing is published."""

    folder: Path

    @property
    def publishes(self) -> bool:
        """See PactSource."""
        return False

    def add_to(self, verifier: Verifier, provider: str, *, publish: bool) -> None:  # noqa: ARG002 - nobody to tell
        """Raises NoPactsError: no file is about this provider, or one has no interaction."""
        for path in self._pacts_of(provider):
            verifier.add_source(path)

    def documents(self, provider: str) -> Sequence[PactDocument]:
        """See ReadableSource."""
        return [PactDocument(json.loads(path.read_text())) for path in self._pacts_of(provider)]

    def confirm_published(self, provider: str) -> None:
        """See PactSource."""

    def _pacts_of(self, provider: str) -> list[Path]:
        documents = {path: json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))}
        found = [path for path, document in documents.items() if _provider(document) == provider]
        if not found:
            others = sorted({_provider(document) for document in documents.values()})
            raise NoPactsError(
                f"no pact file in {self.folder} is about {provider!r}, only about {', '.join(others) or 'nobody'}: "
                "is the provider's name right, and did `make contracts` run?"
            )
        for path in found:
            if not documents[path]["interactions"]:
                raise NoPactsError(f"{path.name} has no interaction: nothing would be verified")
        return found


def _provider(document: dict[str, Any]) -> str:
    name: str = document["provider"]["name"]
    return name
