"""The used parts of the broker's answers; an answer of any other shape raises BrokerError."""

import json
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from pydantic.alias_generators import to_camel


class BrokerError(Exception):
    """The broker is out of reach, refuses, or isn't one; the message is one line for a person."""


class ConflictError(BrokerError):
    """The broker holds something else under this name."""


class Answer(BaseModel):
    """A JSON object; unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Link(Answer):
    href: str
    name: str | None = None


class Resource(Answer):
    """A HAL document."""

    links: dict[str, Link | list[Link]] = Field(alias="_links")

    def link(self, relation: str, **values: str) -> Link:
        """One link, with `values` put into its template. Raises BrokerError."""
        link = self.links.get(relation)
        if not isinstance(link, Link):
            raise BrokerError(f"the Pact Broker names no {relation}: is it older than 2.100?")
        href = link.href
        for name, value in values.items():
            href = href.replace(f"{{{name}}}", quote(value, safe=""))
        return Link(href=href, name=link.name)

    def links_of(self, relation: str) -> list[Link]:
        """All links of a relation, in their order."""
        links = self.links.get(relation, [])
        return links if isinstance(links, list) else [links]


class Named(Answer):
    name: str


class Version(Answer):
    number: str


class Participant(Named):
    version: Version | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version.number}" if self.version else self.name


class VerificationResult(Resource):
    success: StrictBool


class Row(Answer):
    """One pact and one provider version; no result if that version did not verify it."""

    consumer: Participant
    provider: Participant
    verification_result: VerificationResult | None


class Summary(Answer):
    deployable: StrictBool | None  # None: something was not verified
    reason: str


class Matrix(Answer):
    summary: Summary
    matrix: list[Row]


class VerificationProperties(Answer):
    pending: StrictBool = False


class SelectedPact(Resource):
    verification_properties: VerificationProperties = VerificationProperties()


class EmbeddedPacts(Answer):
    pacts: list[SelectedPact]


class PactsForVerification(Answer):
    embedded: EmbeddedPacts = Field(alias="_embedded")


class PublishedPact(Resource):
    consumer: Named
    provider: Named
    interactions: list[Any] = []
    messages: list[Any] = []
    metadata: dict[str, Any] = {}
    pending: bool = False  # the selection says so, not the pact

    @property
    def consumer_version(self) -> str:
        """The version that published the pact, the latest of several."""
        return self.link("pb:consumer-version").name or "?"


class EmbeddedEnvironments(Answer):
    environments: list[Named]


class Environments(Answer):
    embedded: EmbeddedEnvironments = Field(alias="_embedded")

    @property
    def names(self) -> list[str]:
        return [environment.name for environment in self.embedded.environments]


class Deployment(Resource):
    currently_deployed: StrictBool


A = TypeVar("A", bound=Answer)


def read_answer(model: type[A], text: str | bytes, whose: str) -> A:
    """The answer as `model`. Raises BrokerError, which says `whose` answer it was."""
    try:
        return model.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        raise BrokerError(f"{whose} answered nonsense, not a {model.__name__}") from None
