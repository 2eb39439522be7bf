"""The broker's resources over HTTP."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tools.broker_stand_in.documents import Document, Documents
from tools.broker_stand_in.matrix import MOST_ROWS, Question, QuestionError, Selector, answer
from tools.broker_stand_in.selection import selected
from tools.broker_stand_in.state import ConflictError, Content, Environment, Participant, Placement, State, Version

CHANGED = "Cannot change the content of the pact for {} version {} and provider {}, as race conditions will cause unreliable results for can-i-deploy."  # noqa: E501
CREATED, NO_CONTENT = 201, 204
MERGE_PATCH = "application/merge-patch+json"


class RefusedError(Exception):
    """An answer that isn't a success."""

    def __init__(self, status: int, content: Document) -> None:
        super().__init__(status)
        self.status, self.content = status, content


@dataclass(frozen=True)
class Call:
    """A request, and what there is to answer it."""

    state: State
    documents: Documents
    path: Mapping[str, Any]
    query: Sequence[tuple[str, str]]
    body: Any

    @property
    def participant(self) -> Participant:
        return _found(self.state.participants.get(self.path["name"]))

    @property
    def version(self) -> Version:
        return _found(self.participant.versions.get(self.path["number"]))

    @property
    def environment(self) -> Environment:
        return _found(next((each for each in self.state.environments if each.uuid == self.path["uuid"]), None))

    @property
    def placement(self) -> Placement:
        return _found(next((each for each in self.state.placements if each.uuid == self.path["uuid"]), None))

    @property
    def content(self) -> Content:
        asked = (self.path["consumer"], self.path["provider"], self.path["sha"])
        found = (each.content for each in self.state.publications)
        return _found(next((each for each in found if (each.consumer, each.provider, each.sha) == asked), None))


Handler = Callable[[Call], Document | tuple[int, Document]]


def create_app(*, may_write: bool = True) -> Starlette:
    """An empty broker. Without `may_write`, whoever asks has a reader's rights."""
    state = State()

    def route(method: str, path: str, handler: Handler) -> Route:
        is_read = method == "GET" or path.endswith("for-verification")

        async def endpoint(request: Request) -> Response:
            if not (is_read or may_write):
                return Response(status_code=401)
            if method == "PATCH" and request.headers.get("content-type") != MERGE_PATCH:
                return Response(status_code=415)
            sent = await request.body()
            call = Call(
                state,
                Documents(str(request.base_url).rstrip("/"), state),
                {name: unquote(part) if isinstance(part, str) else part for name, part in request.path_params.items()},
                parse_qsl(request.url.query),
                json.loads(sent) if sent else {},
            )
            try:
                answered = handler(call)
            except RefusedError as error:
                return JSONResponse(error.content, error.status)
            status, document = answered if isinstance(answered, tuple) else (200, answered)
            if status == NO_CONTENT:
                return Response(status_code=status)
            return JSONResponse(document, status, media_type="application/hal+json;charset=utf-8")

        return Route(path, endpoint, methods=[method])

    async def not_found(_request: Request, _error: Exception) -> Response:
        return JSONResponse(_missing().content, 404)

    return Starlette(
        routes=[route(*each) for each in _routes()],
        middleware=[Middleware(_AsItCame)],
        exception_handlers={404: not_found},
    )


class _AsItCame:
    """Finds the resource by the address as it came: a slash within a name is %2F there, and no other one will do.

    So does the real broker, which splits the address first, then decodes each part: `identifier_from_path` in
    pact_broker's lib/pact_broker/api/resources/base_resource.rb.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        as_it_came = scope["raw_path"].decode("ascii")
        await self._app({**scope, "path": as_it_came}, receive, send)


def _routes() -> Iterator[tuple[str, str, Handler]]:
    version = "/pacticipants/{name}/versions/{number}"
    branch = "/pacticipants/{name}/branches/{branch}"
    pacts = "/pacts/provider/{provider}/consumer/{consumer}"
    results = f"{pacts}/pact-version/{{sha}}/verification-results"
    yield "GET", "/", lambda call: call.documents.index()
    yield "POST", "/contracts/publish", _publish
    yield "GET", "/environments", lambda call: call.documents.environments()
    yield "POST", "/environments", _create_environment
    yield "GET", "/environments/{uuid}/deployed-versions/currently-deployed", _deployed
    yield "GET", "/environments/{uuid}/released-versions/currently-supported", _released
    yield "GET", "/pacticipants/{name}", lambda call: call.documents.participant(call.participant)
    yield "PATCH", "/pacticipants/{name}", _change_participant
    yield "GET", version, lambda call: call.documents.version(call.path["name"], call.version)
    yield "PATCH", version, _change_version
    yield "POST", f"{version}/deployed-versions/environment/{{uuid}}", _deploy
    yield "POST", f"{version}/released-versions/environment/{{uuid}}", _release
    yield "PUT", f"{branch}/versions/{{number}}", _add_to_branch
    yield "DELETE", branch, _delete_branch
    for kind in ("deployed", "released"):
        yield "GET", f"/{kind}-versions/{{uuid}}", lambda call: call.documents.placement(call.placement)
        yield "PATCH", f"/{kind}-versions/{{uuid}}", _end_placement
    for method in ("GET", "POST"):
        yield method, "/pacts/provider/{provider}/for-verification", _for_verification
    yield "GET", f"{pacts}/version/{{number}}", _pact_of_version
    yield "GET", f"{pacts}/pact-version/{{sha}}", _pact
    yield "POST", results, _add_result
    yield "GET", f"{results}/{{result:int}}", _result
    yield "GET", "/matrix", _matrix
    yield "PUT", "/webhooks/{uuid}", _put_webhook


def _publish(call: Call) -> Document:
    body, state = call.body, call.state
    consumer, number = body["pacticipantName"], body["pacticipantVersionNumber"]
    documents = [json.loads(b64decode(contract["content"])) for contract in body["contracts"]]
    version = state.version(consumer, number)
    try:
        published = state.publish(version, documents)
    except ConflictError as error:
        raise RefusedError(409, {"errors": {"contracts": [CHANGED.format(consumer, number, error)]}}) from None
    if body.get("branch"):
        state.add_to_branch(consumer, number, body["branch"])
    return call.documents.published(consumer, version, published)


def _create_environment(call: Call) -> tuple[int, Document]:
    name = call.body["name"]
    if call.state.environment(name):
        raise RefusedError(400, {"errors": {"name": [f"name '{name}' is already used by an existing environment."]}})
    made = Environment(str(uuid4()), name, call.body.get("displayName", name), bool(call.body.get("production")))
    call.state.environments.append(made)
    return CREATED, call.documents.environment(made)


def _deployed(call: Call) -> Document:
    return call.documents.placements("deployedVersions", _there(call, is_release=False))


def _released(call: Call) -> Document:
    return call.documents.placements("releasedVersions", _there(call, is_release=True))


def _there(call: Call, *, is_release: bool) -> Sequence[Placement]:
    asked = dict(call.query)
    there = call.state.there(call.environment, asked.get("pacticipant"))
    number = asked.get("version")
    return [each for each in there if each.is_release is is_release and number in {None, each.version.number}]


def _change_participant(call: Call) -> Document:
    participant = call.state.participant(call.path["name"])
    participant.repository_url = call.body.get("repositoryUrl", participant.repository_url)
    participant.main_branch = call.body.get("mainBranch", participant.main_branch)
    return call.documents.participant(participant)


def _change_version(call: Call) -> Document:
    version = call.state.version(call.path["name"], call.path["number"])
    version.build_url = call.body.get("buildUrl", version.build_url)
    return call.documents.version(call.path["name"], version)


def _deploy(call: Call) -> tuple[int, Document]:
    return _placed(call, is_release=False)


def _release(call: Call) -> tuple[int, Document]:
    return _placed(call, is_release=True)


def _placed(call: Call, *, is_release: bool) -> tuple[int, Document]:
    instance = call.body.get("applicationInstance")
    placed = call.state.place(
        call.participant.name, call.version.number, call.environment, is_release=is_release, instance=instance
    )
    return CREATED, call.documents.placement(placed)


def _add_to_branch(call: Call) -> tuple[int, Document]:
    name, branch, number = call.path["name"], call.path["branch"], call.path["number"]
    known = call.state.participants.get(name)
    is_new = known is None or number not in known.versions or branch not in known.versions[number].branches
    version = call.state.add_to_branch(name, number, branch)
    return CREATED if is_new else 200, call.documents.branch_version(name, branch, version)


def _delete_branch(call: Call) -> tuple[int, Document]:
    branch = call.path["branch"]
    versions = list(call.participant.on(branch))
    if not versions:
        raise _missing()
    for version in versions:
        version.branches.remove(branch)
    return NO_CONTENT, {}


def _end_placement(call: Call) -> Document:
    placement = call.placement
    if call.body.get("currentlySupported" if placement.is_release else "currentlyDeployed") is False:
        placement.is_there = False
    return call.documents.placement(placement)


def _for_verification(call: Call) -> Document:
    provider = call.path["provider"]
    if provider not in call.state.participants:
        raise RefusedError(404, {"error": f"No provider with name '{provider}' found"})
    return call.documents.to_verify(provider, selected(call.state, provider, call.body))


def _pact_of_version(call: Call) -> Document:
    consumer = _found(call.state.participants.get(call.path["consumer"]))
    version = _found(consumer.versions.get(call.path["number"]))
    return call.documents.pact(_found(call.state.published(consumer.name, version, call.path["provider"])))


def _pact(call: Call) -> Document:
    published = [each for each in call.state.publications if each.content == call.content]
    return call.documents.pact(max(published, key=lambda each: each.version.order))


def _add_result(call: Call) -> tuple[int, Document]:
    return CREATED, call.documents.verification(call.state.verify(call.content, call.body))


def _result(call: Call) -> Document:
    asked = (call.content, call.path["result"])
    found = (each for each in call.state.verifications if (each.content, each.number) == asked)
    return call.documents.verification(_found(next(found, None)))


def _matrix(call: Call) -> Document:
    try:
        return call.documents.matrix(answer(call.state, _question(call)))
    except QuestionError as error:
        raise RefusedError(400, {"errors": [str(error)]}) from None


def _question(call: Call) -> Question:
    """A selector begins with its participant; what follows belongs to it."""
    selectors: list[Selector] = []
    others = {name: value for name, value in call.query if "[]" not in name}
    for name, value in call.query:
        match name:
            case "q[][pacticipant]":
                selectors.append(Selector(value))
            case "q[][version]":
                selectors[-1] = replace(selectors[-1], version=value)
            case "q[][branch]":  # its newest version, with q[][latest]
                selectors[-1] = replace(selectors[-1], branch=value)
    environment = call.state.environment(others.get("environment", ""))
    if "environment" in others and environment is None:
        raise QuestionError(f"Environment with name '{others['environment']}' does not exist")
    ignored = [value for name, value in call.query if name == "ignore[][pacticipant]"]
    limit = int(others.get("limit", MOST_ROWS))
    return Question(selectors, environment, others.get("mainBranch") == "true", ignored, limit)


def _put_webhook(call: Call) -> tuple[int, Document]:
    uuid = call.path["uuid"]
    if not call.body["request"]["url"].startswith("https://"):
        text = "scheme must be https. See /doc/webhooks#whitelist for more information."
        raise RefusedError(400, {"errors": {"request.url": [text]}})
    is_new = uuid not in call.state.webhooks
    call.state.webhooks[uuid] = call.body
    return CREATED if is_new else 200, call.documents.webhook(uuid, call.body)


T = TypeVar("T")


def _found(value: T | None) -> T:
    if value is None:
        raise _missing()
    return value


def _missing() -> RefusedError:
    return RefusedError(404, {"error": "The requested document was not found on this server."})
