"""What a broker remembers."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

MAIN_BRANCHES = ("develop", "main", "master")
"""The first branch of such a name is taken for the main branch."""


class ConflictError(Exception):
    """A version's pact can't change."""


@dataclass
class Version:
    number: str
    order: int
    branches: list[str] = field(default_factory=list)
    build_url: str | None = None


@dataclass
class Participant:
    name: str
    main_branch: str | None = None
    repository_url: str | None = None
    versions: dict[str, Version] = field(default_factory=dict)

    def head(self, branch: str | None) -> Version | None:
        """The newest version of a branch."""
        return max(self.on(branch), key=lambda version: version.order, default=None)

    def on(self, branch: str | None) -> Iterator[Version]:
        return (version for version in self.versions.values() if branch in version.branches)

    @property
    def branches(self) -> Sequence[str]:
        return list(dict.fromkeys(branch for version in self.versions.values() for branch in version.branches))


@dataclass(frozen=True)
class Content:
    """A pact, apart from the versions that published it; results belong to it."""

    consumer: str
    provider: str
    sha: str
    document: Mapping[str, Any] = field(compare=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Content":
        counted = {name: part for name, part in document.items() if name != "metadata"}
        return cls(document["consumer"]["name"], document["provider"]["name"], sha_of(counted), document)


@dataclass(frozen=True)
class Publication:
    """A pact, as one version of the consumer published it."""

    content: Content
    version: Version


@dataclass(frozen=True)
class Verification:
    number: int
    content: Content
    version: Version
    success: bool
    order: int
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    uuid: str
    name: str
    display_name: str
    production: bool


@dataclass
class Placement:
    """A version that was deployed or released."""

    uuid: str
    is_release: bool
    participant: Participant
    version: Version
    environment: Environment
    instance: str | None = None
    is_there: bool = True


@dataclass
class State:
    participants: dict[str, Participant] = field(default_factory=dict)
    publications: list[Publication] = field(default_factory=list)
    verifications: list[Verification] = field(default_factory=list)
    environments: list[Environment] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    webhooks: dict[str, Any] = field(default_factory=dict)
    _order: Iterator[int] = field(default_factory=lambda: count(1))

    def participant(self, name: str) -> Participant:
        """Known from now on."""
        return self.participants.setdefault(name, Participant(name))

    def version(self, participant: str, number: str) -> Version:
        """Known from now on."""
        versions = self.participant(participant).versions
        return versions.setdefault(number, Version(number, next(self._order)))

    def add_to_branch(self, participant: str, number: str, branch: str) -> Version:
        version = self.version(participant, number)
        if branch not in version.branches:
            version.branches.append(branch)
        known = self.participant(participant)
        if known.main_branch is None and branch in MAIN_BRANCHES:
            known.main_branch = branch
        return version

    def publish(self, version: Version, documents: Sequence[Mapping[str, Any]]) -> Sequence[Publication]:
        """All or none. Raises ConflictError."""
        new = [Publication(Content.of(document), version) for document in documents]
        for each in new:
            known = self.published(each.content.consumer, version, each.content.provider)
            if known and known.content != each.content:
                raise ConflictError(each.content.provider)
        for each in new:
            self.participant(each.content.provider)
            if each not in self.publications:
                self.publications.append(each)
        return new

    def published(self, consumer: str, version: Version, provider: str) -> Publication | None:
        for each in self.publications:
            if (each.content.consumer, each.content.provider) == (consumer, provider) and each.version is version:
                return each
        return None

    def verify(self, content: Content, body: Mapping[str, Any]) -> Verification:
        version = self.version(content.provider, body["providerApplicationVersion"])
        number = len(self.verifications) + 1
        found = Verification(number, content, version, body["success"], next(self._order), body)
        self.verifications.append(found)
        return found

    def verification(self, content: Content, version: Version) -> Verification | None:
        """The newest result of a provider's version."""
        found = [each for each in self.verifications if each.content == content and each.version is version]
        return found[-1] if found else None

    def place(
        self, participant: str, number: str, environment: Environment, *, is_release: bool, instance: str | None = None
    ) -> Placement:
        """A deployment takes the place of the one before, on the same instance; a release takes nobody's."""
        known, version = self.participant(participant), self.version(participant, number)
        for each in self.there(environment, participant):
            if each.version is version and (each.is_release, each.instance) == (is_release, instance):
                return each
            if not is_release and not each.is_release and each.instance == instance:
                each.is_there = False
        placement = Placement(str(uuid4()), is_release, known, version, environment, instance)
        self.placements.append(placement)
        return placement

    def there(self, environment: Environment, participant: str | None = None) -> Sequence[Placement]:
        """What is in an environment now."""
        return [
            each
            for each in self.placements
            if each.is_there and each.environment == environment and participant in {None, each.participant.name}
        ]

    def environment(self, name: str) -> Environment | None:
        return next((each for each in self.environments if each.name == name), None)


def sha_of(document: Mapping[str, Any]) -> str:
    return hashlib.sha1(json.dumps(document, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
