"""The used parts of the broker's answers; an answer of any other shape raises BrokerError."""

import json
from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from pact_faststream.sources import INTERACTIONS, Interaction


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


class VersionResource(Resource):
    """A version of a participant, with links to what is known of it."""

    number: str

    @property
    def providers(self) -> list[str]:
        """With whom this version has a pact."""
        paths = [urlsplit(link.href).path.split("/") for link in self.links_of("pb:pact-versions")]
        return [unquote(path[path.index("provider") + 1]) for path in paths]


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
    ignored: bool | None = None


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
    document: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _keep(cls, answer: Any) -> Any:
        return {**answer, "document": answer} if isinstance(answer, dict) else answer

    @property
    def consumer_version(self) -> str:
        """The version that published the pact, the latest of several."""
        return self.link("pb:consumer-version").name or "?"

    @property
    def interaction_ids(self) -> Iterator[tuple[Interaction, str | None]]:
        """The broker's own name of each interaction."""
        for each in (each for kind in INTERACTIONS for each in self.document.get(kind, ())):
            yield Interaction.of(each), each.get("_id")


class Environment(Resource):
    name: str


class EmbeddedEnvironments(Answer):
    environments: list[Environment]


class Environments(Answer):
    embedded: EmbeddedEnvironments = Field(alias="_embedded")


class Deployment(Resource):
    """A version that is, or was, in an environment: deployed or released."""

    application_instance: str | None = None
    currently_deployed: StrictBool | None = None
    currently_supported: StrictBool | None = None

    @property
    def is_there(self) -> bool:
        return bool(self.currently_deployed or self.currently_supported)


class EmbeddedDeployments(Answer):
    deployed_versions: list[Deployment] = []
    released_versions: list[Deployment] = []


class Deployments(Answer):
    embedded: EmbeddedDeployments = Field(alias="_embedded")


class ParticipantResource(Resource):
    name: str
    main_branch: str | None = None


A = TypeVar("A", bound=Answer)


def read_answer(model: type[A], text: str | bytes, whose: str) -> A:
    """The answer as `model`. Raises BrokerError, which says `whose` answer it was."""
    try:
        return model.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        raise BrokerError(f"{whose} answered nonsense, not a {model.__name__}") from None
