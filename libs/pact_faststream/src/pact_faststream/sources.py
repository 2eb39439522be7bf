"""Where a provider's pacts come from, and where the results go: a folder of files, or a verification for the broker."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from pydantic import TypeAdapter

Document = Mapping[str, Any]
INTERACTIONS = ("interactions", "messages")
"""Where a pact has its interactions; one of the specification's version 3 has messages."""


class NoPactsError(AssertionError):
    """There is nothing to verify, which must not look like success."""


@dataclass(frozen=True)
class Interaction:
    """What identifies an interaction among the pacts of one provider and consumer."""

    description: str
    states: tuple[str, ...]

    @classmethod
    def of(cls, written: Document) -> Self:
        """Of an interaction as a pact has it; before the specification's version 3, it has one `providerState`."""
        states = tuple(state["name"] for state in written.get("providerStates") or ())
        return cls(written["description"], states or tuple(filter(None, [written.get("providerState")])))


@dataclass(frozen=True)
class Result:
    """One interaction with one variant; the failure of a `pending` one doesn't count against the provider."""

    consumer: str
    interaction: Interaction
    mismatches: tuple[str, ...] = ()
    pending: bool = False
    variant: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The values that the consumer asks for."""

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the interaction's provider states."""
        return self.interaction.states

    @property
    def ok(self) -> bool:
        """Whether the message was as expected."""
        return not self.mismatches

    @property
    def fails(self) -> bool:
        """Whether this result blocks the provider's release."""
        return not self.ok and not self.pending

    def lines(self) -> Iterator[str]:
        """The result as lines for a person."""
        variant = f" ({self.variant})" if self.variant else ""
        yield f"  {self.consumer} expects {self.interaction.description!r}{variant}:"
        for mismatch in self.mismatches:
            yield f"    {mismatch}"


@dataclass(frozen=True)
class PactToVerify:
    """A pact, as its consumer published it.

    `origin` is its file or address. A failure of a `pending` one doesn't count against the provider.
    """

    document: Document
    origin: str
    pending: bool = False

    def __post_init__(self) -> None:
        if not any(map(self.document.get, INTERACTIONS)):
            raise NoPactsError(f"{self.origin} has no interaction: nothing would be verified")


class PactSource(Protocol):
    """Gives pacts to a provider's test, and hears the results."""

    def pacts(self, provider: str) -> Sequence[PactToVerify]:
        """Raises NoPactsError if there are none."""
        ...

    def keep(self, pact: PactToVerify, results: Sequence[Result]) -> None:
        """Take the results of one pact, before the test fails of them."""
        ...


@dataclass(frozen=True)
class PactFolder:
    """All pact files of a folder that are about the provider; the results are for the test alone."""

    folder: Path

    def pacts(self, provider: str) -> Sequence[PactToVerify]:
        """Raises NoPactsError: no file is about this provider, or one has no interaction."""
        documents = {path: json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))}
        found = [
            PactToVerify(document, path.name) for path, document in documents.items() if _provider(document) == provider
        ]
        if not found:
            others = sorted({_provider(document) for document in documents.values()})
            raise NoPactsError(
                f"no pact file in {self.folder} is about {provider!r}, only about {', '.join(others) or 'nobody'}: "
                "is the provider's name right, and did `make contracts` run?"
            )
        return found

    def keep(self, pact: PactToVerify, results: Sequence[Result]) -> None:
        """See PactSource."""


@dataclass(frozen=True)
class HandedOver:
    """Pacts that another process chose and whose results it awaits, in a folder of both.

    So the tests need no broker and none of its credentials.
    """

    folder: Path

    def hand_over(self, pacts: Sequence[PactToVerify]) -> None:
        """Give the pacts to the tests of another process."""
        for number, pact in enumerate(pacts):
            (self.folder / f"pact-{number}.json").write_bytes(_PACT.dump_json(pact))

    def pacts(self, provider: str) -> Sequence[PactToVerify]:
        """Raises NoPactsError: none of them is about this provider."""
        found = [pact for pact in self._all().values() if _provider(pact.document) == provider]
        if not found:
            raise NoPactsError(f"no pact with {provider!r} was handed over: is the provider's name right in its test?")
        return found

    def keep(self, pact: PactToVerify, results: Sequence[Result]) -> None:
        """See PactSource."""
        self._results_of(pact).write_bytes(_RESULTS.dump_json(list(results)))

    def results(self, pact: PactToVerify) -> Sequence[Result]:
        """Those that the tests left; none if they did not verify the pact."""
        path = self._results_of(pact)
        return _RESULTS.validate_json(path.read_bytes()) if path.exists() else []

    def _all(self) -> Mapping[Path, PactToVerify]:
        return {path: _PACT.validate_json(path.read_bytes()) for path in sorted(self.folder.glob("pact-*.json"))}

    def _results_of(self, pact: PactToVerify) -> Path:
        path = next(path for path, each in self._all().items() if each == pact)
        return path.with_name(f"results-of-{path.name}")


def _provider(document: Document) -> str:
    name: str = document["provider"]["name"]
    return name


_PACT, _RESULTS = TypeAdapter(PactToVerify), TypeAdapter(list[Result])
