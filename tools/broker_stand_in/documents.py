"""The HAL documents of a broker's resources: what is recorded of them, as far as a client reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tools.broker_stand_in.matrix import Answer, Row
from tools.broker_stand_in.selection import Selected
from tools.broker_stand_in.state import (
    Content,
    Environment,
    Participant,
    Placement,
    Publication,
    State,
    Verification,
    Version,
    sha_of,
)

Document = Mapping[str, Any]
INDEX = {
    "pb:publish-contracts": "/contracts/publish",
    "pb:pacticipants": "/pacticipants",
    "pb:pacticipant": "/pacticipants/{pacticipant}",
    "pb:webhooks": "/webhooks",
    "pb:webhook": "/webhooks/{uuid}",
    "pb:pacticipant-branch": "/pacticipants/{pacticipant}/branches/{branch}",
    "pb:pacticipant-branch-version": "/pacticipants/{pacticipant}/branches/{branch}/versions/{version}",
    "pb:pacticipant-version": "/pacticipants/{pacticipant}/versions/{version}",
    "pb:provider-pacts-for-verification": "/pacts/provider/{provider}/for-verification",
    "beta:provider-pacts-for-verification": "/pacts/provider/{provider}/for-verification",
    "pb:environments": "/environments",
    "pb:environment": "/environments/{uuid}",
}
PENDING = "This pact is in pending state for this version of {provider}. If this verification fails, it will not cause the overall build to fail."  # noqa: E501


@dataclass(frozen=True)
class Documents:
    """Makes them, with absolute links to `base`."""

    base: str
    state: State

    def index(self) -> Document:
        links = {name: self._link(path) for name, path in INDEX.items()}
        return {"_links": {"self": self._link(""), **links}}

    def participant(self, participant: Participant) -> Document:
        path = _path("pacticipants", participant.name)
        return {
            "name": participant.name,
            "displayName": participant.name.title(),
            "mainBranch": participant.main_branch,
            "repositoryUrl": participant.repository_url,
            "_links": {
                "self": self._link(path),
                "pb:version": self._link(f"{path}/versions/{{version}}"),
                "pb:branch-version": self._link(f"{path}/branches/{{branch}}/versions/{{version}}"),
            },
        }

    def version(self, participant: str, version: Version) -> Document:
        path = self._version_path(participant, version)
        pacts = [each for each in self.state.publications if each.version is version]
        there = [each for each in self.state.placements if each.version is version and each.is_there]
        environments = self.state.environments
        return {
            "number": version.number,
            "buildUrl": version.build_url,
            "_embedded": {"branchVersions": [{"name": branch} for branch in version.branches]},
            "_links": {
                "self": self._link(path, version.number),
                "pb:pacticipant": self._link(_path("pacticipants", participant), participant),
                "pb:pact-versions": [self._link(self._pact_path(pact), self._pact_name(pact)) for pact in pacts],
                "pb:deployed-environments": [
                    self._link(self._placement_path(each), each.environment.display_name)
                    for each in there
                    if not each.is_release
                ],
                "pb:record-deployment": [
                    self._link(f"{path}/deployed-versions/environment/{each.uuid}", each.name) for each in environments
                ],
                "pb:record-release": [
                    self._link(f"{path}/released-versions/environment/{each.uuid}", each.name) for each in environments
                ],
            },
        }

    def branch_version(self, participant: str, branch: str, version: Version) -> Document:
        path = _path("pacticipants", participant, "branches", branch)
        return {
            "_links": {
                "self": self._link(f"{path}/versions/{_quoted(version.number)}"),
                "pb:branch": self._link(path, branch),
                "pb:version": self._link(self._version_path(participant, version), version.number),
            }
        }

    def environment(self, environment: Environment) -> Document:
        path = f"/environments/{environment.uuid}"
        return {
            "uuid": environment.uuid,
            "name": environment.name,
            "displayName": environment.display_name,
            "production": environment.production,
            "_links": {
                "self": self._link(path, environment.name),
                "pb:currently-deployed-deployed-versions": self._link(f"{path}/deployed-versions/currently-deployed"),
                "pb:currently-supported-released-versions": self._link(f"{path}/released-versions/currently-supported"),
            },
        }

    def environments(self) -> Document:
        found = [self.environment(environment) for environment in self.state.environments]
        return {"_embedded": {"environments": found}, "_links": {"self": self._link("/environments")}}

    def placement(self, placement: Placement) -> Document:
        kind = "currentlySupported" if placement.is_release else "currentlyDeployed"
        return {
            "uuid": placement.uuid,
            kind: placement.is_there,
            **({} if placement.is_release else {"applicationInstance": placement.instance}),
            "_embedded": {
                "pacticipant": {"name": placement.participant.name},
                "version": {"number": placement.version.number},
                "environment": self.environment(placement.environment),
            },
            "_links": {"self": self._link(self._placement_path(placement))},
        }

    def placements(self, name: str, placements: Sequence[Placement]) -> Document:
        return {"_embedded": {name: [self.placement(each) for each in placements]}}

    def published(self, consumer: str, version: Version, publications: Sequence[Publication]) -> Document:
        return {
            "notices": [
                {
                    "type": "success",
                    "text": f"Pact successfully published for {consumer} version {version.number} "
                    f"and provider {each.content.provider}.",
                }
                for each in publications
            ],
            "_links": {
                "pb:pacticipant-version": self._link(self._version_path(consumer, version), version.number),
                "pb:contracts": [self._link(self._pact_path(each), self._pact_name(each)) for each in publications],
            },
        }

    def pact(self, publication: Publication) -> Document:
        content, version = publication.content, publication.version
        asked = {"q[][pacticipant]": content.consumer, "q[][version]": version.number, "latestby": "cvpv"}
        permalink = self._content_path(content)
        kinds = {
            kind: _with_ids(content.document[kind]) for kind in ("interactions", "messages") if kind in content.document
        }
        return {
            **content.document,
            **kinds,
            "_links": {
                "self": self._link(self._pact_path(publication), self._pact_name(publication)),
                "pb:consumer": self._link(_path("pacticipants", content.consumer), content.consumer),
                "pb:consumer-version": self._link(self._version_path(content.consumer, version), version.number),
                "pb:provider": self._link(_path("pacticipants", content.provider), content.provider),
                "pb:pact-version": self._link(permalink, content.sha),
                "pb:publish-verification-results": self._link(f"{permalink}/verification-results"),
                "pb:matrix-for-consumer-version": self._link(f"/matrix?{urlencode(asked)}"),
            },
        }

    def to_verify(self, provider: str, selected: Sequence[Selected]) -> Document:
        return {
            "_embedded": {"pacts": [self._selected(each) for each in selected]},
            "_links": {"self": self._link(_path("pacts", "provider", provider, "for-verification"))},
        }

    def _selected(self, selected: Selected) -> Document:
        content = selected.publication.content
        permalink = self._content_path(content)
        chosen = f"The pact at {self.base}{permalink} is being verified because it is: {', '.join(selected.reasons)}"
        notices = [chosen, *([PENDING.format(provider=content.provider)] if selected.is_pending else [])]
        return {
            "shortDescription": ", ".join(selected.reasons),
            "verificationProperties": {
                "pending": selected.is_pending,
                "notices": [{"when": "before_verification", "text": text} for text in notices],
            },
            "_links": {"self": self._link(permalink, self._pact_name(selected.publication))},
        }

    def verification(self, verification: Verification) -> Document:
        return {
            "providerName": verification.content.provider,
            **verification.body,
            "_links": {"self": self._link(self._verification_path(verification))},
        }

    def matrix(self, answer: Answer) -> Document:
        kind = "success" if answer.deployable else "error"
        return {
            "summary": {
                "deployable": answer.deployable,
                "reason": "\n".join(answer.reasons),
                "success": answer.counted(True),
                "failed": answer.counted(False),
                "unknown": answer.counted(None),
            },
            "notices": [{"type": kind, "text": reason} for reason in answer.reasons],
            "matrix": [self._row(row) for row in answer.rows],
        }

    def _row(self, row: Row) -> Document:
        verification = row.verification
        result = None
        if verification:
            result = {
                "success": verification.success,
                "_links": {"self": self._link(self._verification_path(verification))},
            }
        return {
            "consumer": self._party(row.content.consumer, row.publication.version),
            "provider": self._party(row.content.provider, verification.version if verification else None),
            "pact": {"_links": {"self": self._link(self._pact_path(row.publication))}},
            "verificationResult": result,
            **({"ignored": True} if row.is_ignored else {}),
        }

    def _party(self, name: str, version: Version | None) -> Document:
        return {"name": name, "version": {"number": version.number, "branches": version.branches} if version else None}

    def webhook(self, uuid: str, body: Document) -> Document:
        return {"uuid": uuid, **body, "_links": {"self": self._link(f"/webhooks/{uuid}")}}

    def _link(self, path: str, name: str | None = None) -> Document:
        return {"href": f"{self.base}{path}", **({"name": name} if name else {})}

    def _version_path(self, participant: str, version: Version) -> str:
        return _path("pacticipants", participant, "versions", version.number)

    def _pact_path(self, publication: Publication) -> str:
        content = publication.content
        pair = _path("pacts", "provider", content.provider, "consumer", content.consumer)
        return f"{pair}/version/{_quoted(publication.version.number)}"

    def _content_path(self, content: Content) -> str:
        return _path("pacts", "provider", content.provider, "consumer", content.consumer, "pact-version", content.sha)

    def _verification_path(self, verification: Verification) -> str:
        return f"{self._content_path(verification.content)}/verification-results/{verification.number}"

    def _placement_path(self, placement: Placement) -> str:
        return f"/{'released' if placement.is_release else 'deployed'}-versions/{placement.uuid}"

    def _pact_name(self, publication: Publication) -> str:
        content = publication.content
        return f"Pact between {content.consumer} ({publication.version.number}) and {content.provider}"


def _path(*parts: str) -> str:
    return "".join(f"/{_quoted(part)}" for part in parts)


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _with_ids(interactions: Sequence[Document]) -> Sequence[Document]:
    return [{"_id": sha_of(each), **each} for each in interactions]
