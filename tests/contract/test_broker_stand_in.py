"""The stand-in of the Pact Broker answers as the real one did, whose answers were recorded."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from libs.pact_faststream.tests.recorded_broker import RECORDED_AT, RECORDINGS, Exchange, recorded
from tools.broker_stand_in import create_app

Json = dict[str, Any]
URL = "http://127.0.0.1:9293"
ENVIRONMENTS = {"ae3375df-8f33-4d4f-bf5b-d1af918ab427": "production", "c0368594-043a-4e70-9ce6-9d6c252735f1": "test"}


class Broker:
    """What happened before a recording, step by step, through the stand-in's own resources."""

    def __init__(self) -> None:
        self._app = create_app()

    def replay(self, *recordings: str) -> None:
        for name in recordings:
            for exchange in recorded(name):
                self.answer(exchange)

    def answer(self, exchange: Exchange) -> httpx.Response:
        request = exchange.request
        return self.ask(request.method, self._here(request.path), request.body or None, list(request.query))

    def ask(self, method: str, url: str, body: Any = None, query: Any = None) -> httpx.Response:
        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url=URL) as client:
                return await client.request(method, url, params=query, json=body)

        return asyncio.run(asked())

    def links(self, url: str) -> Json:
        links: Json = self.ask("GET", url).json()["_links"]
        return links

    def publish(self, pact: Json, version: str, branch: str) -> None:
        contract = {"content": base64.b64encode(json.dumps(pact).encode()).decode()}
        body = {"pacticipantName": pact["consumer"]["name"], "pacticipantVersionNumber": version, "branch": branch}
        self.post("/contracts/publish", {**body, "contracts": [contract]})

    def verify(self, pact: str, version: str, branch: str, *, success: bool) -> None:
        self.ask("PUT", f"/pacticipants/orders/branches/{quote(branch, safe='')}/versions/{version}")
        body = {"providerApplicationVersion": version, "success": success}
        self.post(self.links(pact)["pb:publish-verification-results"]["href"], body)

    def deploy(self, service: str, version: str) -> None:
        links = self.links(f"/pacticipants/{service}/versions/{version}")["pb:record-deployment"]
        [link] = [link for link in links if link["name"] == "production"]
        self.post(link["href"], {})

    def post(self, url: str, body: Json) -> None:
        assert self.ask("POST", url, body).is_success

    def _here(self, path: str) -> str:
        """The recorded address of an environment, as that of the stand-in's environment of the same name."""
        for uuid, name in ENVIRONMENTS.items():
            if uuid in path:
                found = self.ask("GET", "/environments").json()["_embedded"]["environments"]
                [own] = [each["uuid"] for each in found if each["name"] == name]
                return path.replace(uuid, own)
        return path


def pact_of(consumer: str) -> Json:
    """The pact with orders that the recorded broker had of a consumer's main branch."""
    for exchange in recorded("verify-work-in-progress"):
        if exchange.request.path.startswith(f"/pacts/provider/orders/consumer/{consumer}/pact-version"):
            return {name: part for name, part in exchange.response.items() if name != "_links"}
    raise LookupError(consumer)


FEATURE = {**pact_of("payments"), "interactions": [{"description": "order.placed", "more": True}]}
PAYMENTS = "/pacts/provider/orders/consumer/payments/version/1.0.0"
NOTIFICATIONS = "/pacts/provider/orders/consumer/notifications/version/1.0.0"


def nothing(broker: Broker) -> None:
    """An empty broker."""
    del broker


def environments(broker: Broker) -> None:
    broker.replay("create-test", "create-production")


def published(broker: Broker) -> None:
    environments(broker)
    broker.replay("publish")


def verified(broker: Broker) -> None:
    published(broker)
    broker.publish(pact_of("notifications"), "1.0.0", "main")
    broker.verify(PAYMENTS, "1.0.0", "main", success=True)
    broker.verify(NOTIFICATIONS, "1.0.0", "main", success=True)


def in_production(broker: Broker) -> None:
    verified(broker)
    for service in ("orders", "payments", "notifications"):
        broker.deploy(service, "1.0.0")


def with_a_feature(broker: Broker) -> None:
    in_production(broker)
    broker.publish(FEATURE, "1.1.0-x", "feat/x")


def with_a_feature_that_failed(broker: Broker) -> None:
    with_a_feature(broker)
    broker.verify("/pacts/provider/orders/consumer/payments/version/1.1.0-x", "1.0.0", "main", success=False)


def verified_again(broker: Broker) -> None:
    verified(broker)
    broker.verify(PAYMENTS, "1.0.3", "main", success=True)


def with_a_provider_that_breaks(broker: Broker) -> None:
    in_production(broker)
    broker.verify(PAYMENTS, "2.0.0-y", "feat/y", success=False)
    broker.verify(NOTIFICATIONS, "2.0.0-y", "feat/y", success=True)


BEFORE: Mapping[str, Callable[[Broker], None]] = {
    "can-i-deploy-failed": with_a_feature_that_failed,
    "can-i-deploy-provider-failed": with_a_provider_that_breaks,
    "can-i-deploy-unknown-pacticipant": published,
    "can-i-deploy-unknown-version": published,
    "can-i-deploy-unverified": published,
    "can-i-deploy-yes": in_production,
    "can-i-merge-no": with_a_provider_that_breaks,
    "can-i-merge-yes": verified_again,
    "create-production": nothing,
    "create-test": nothing,
    "create-test-again": environments,
    "environments": environments,
    "matrix-verified": verified,
    "no-environments": nothing,
    "publish": nothing,
    "publish-other-content": published,
    "record-deployment-again": in_production,
    "record-first-deployment": verified,
    "record-unknown-version": published,
    "verify-unknown-provider": nothing,
}
"""What had happened before each recording."""
ELSEWHERE = {
    "index",  # below
    "no-login", "publish-read-only", "token-at-basic-auth", "unavailable",  # the stand-in knows no users and is up
    "verify", "verify-nothing-selected", "verify-work-in-progress",  # below
    "webhook-created", "webhook-http-refused", "webhook-updated",  # below
}  # fmt: skip


@pytest.fixture
def broker() -> Broker:
    return Broker()


def told(document: Any) -> Any:
    """What a client reads of a document, without addresses and times."""
    match document:
        case {"summary": summary, "matrix": rows}:
            return summary["deployable"], sorted(summary["reason"].splitlines()), sorted(map(row, rows), key=str)
        case {"_embedded": {"pacts": pacts}}:
            return sorted((each["_links"]["self"]["name"], each["verificationProperties"]["pending"]) for each in pacts)
        case {"_embedded": {"environments": found}}:
            return sorted(map(told, found), key=str)
        case {"errors": errors}:
            return str(errors)[:40]
        case {"_links": {"pb:contracts": links}}:
            return [link["name"] for link in links]
    read = ("name", "production", "currentlyDeployed", "number", "description", "events", "provider", "error")
    return {name: document[name] for name in read if document.get(name) is not None}


def row(each: Json) -> Any:
    consumer, provider = (
        (side["name"], side["version"]["number"] if side["version"] else None)
        for side in (each["consumer"], each["provider"])
    )
    return consumer, provider, each["verificationResult"] and each["verificationResult"]["success"]


@pytest.mark.parametrize("name", BEFORE)
def test_the_stand_in_answers_as_the_real_broker_did(broker: Broker, name: str) -> None:
    BEFORE[name](broker)

    for exchange in recorded(name):
        answer = broker.answer(exchange)

        assert (answer.status_code, told(answer.json())) == (exchange.status, told(exchange.response))


def selection(recording: str) -> Exchange:
    [asked] = [
        each for each in recorded(recording) if each.request.path.endswith("for-verification") and each.request.body
    ]
    return asked


def test_a_pact_that_was_never_verified_is_pending(broker: Broker) -> None:
    broker.replay("publish")
    asked = selection("verify")

    assert told(broker.answer(asked).json()) == told(asked.response)
    assert told(asked.response) == [("Pact between payments (1.0.0) and orders", True)]


def test_work_in_progress_is_pending_beside_what_is_binding(broker: Broker) -> None:
    with_a_feature(broker)
    asked = selection("verify-work-in-progress")
    body = {**asked.request.body, "includeWipPactsSince": "2020-01-01"}

    assert told(broker.answer(Exchange(replace(asked.request, body=body))).json()) == told(asked.response)


def test_selectors_that_match_nothing_select_nothing(broker: Broker) -> None:
    verified(broker)
    asked = selection("verify-nothing-selected")

    assert told(broker.answer(asked).json()) == told(asked.response) == []


def webhook(recording: str) -> tuple[str, Json, Json]:
    """Path, request and answer."""
    [exchange] = json.loads((RECORDINGS / f"{recording}.json").read_text())["exchanges"]
    return exchange["path"], exchange["request"], exchange["response"]


@pytest.mark.parametrize(("recording", "status"), [("webhook-created", 201), ("webhook-updated", 200)])
def test_a_webhook_is_made_once_and_changed_later(broker: Broker, recording: str, status: int) -> None:
    path, request, answered = webhook(recording)
    secure = {**request, "request": {**request["request"], "url": "https://ci.example"}}  # the real one allowed http
    if status == 200:
        broker.ask("PUT", path, secure)

    answer = broker.ask("PUT", path, secure)

    assert (answer.status_code, told(answer.json())) == (status, told(answered))


def test_a_webhook_by_http_is_refused(broker: Broker) -> None:
    path, request, answered = webhook("webhook-http-refused")

    answer = broker.ask("PUT", path, request)

    assert (answer.status_code, answer.json()) == (400, answered)


def test_a_branch_is_deleted_without_a_word(broker: Broker) -> None:
    with_a_feature(broker)
    answers = [broker.ask("DELETE", "/pacticipants/payments/branches/feat%2Fx") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert not answers[0].content  # a server refuses to send the content of a 204, and logs a traceback


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/pacticipants/payments/branches/feat/x"), ("GET", "/nothing"), ("GET", "/pacticipants/nobody")],
)
def test_what_is_not_there_is_told_as_the_real_one_tells_it(broker: Broker, method: str, path: str) -> None:
    with_a_feature(broker)
    [unknown] = recorded("record-unknown-version")

    answer = broker.ask(method, path)

    assert (answer.status_code, answer.json()) == (404, unknown.response)


def test_the_index_names_what_the_real_one_names(broker: Broker) -> None:
    [exchange] = recorded("index")
    real = {name: link["href"] for name, link in exchange.response["_links"].items() if name != "curies"}
    own = {name: link["href"] for name, link in broker.links("/").items()}

    assert own == {name: RECORDED_AT.sub(URL, real[name]) for name in own}


def test_no_recording_is_forgotten() -> None:
    assert {path.stem for path in RECORDINGS.glob("*.json")} == BEFORE.keys() | ELSEWHERE
