"""What is published and whom the broker calls, byte for byte as it was recorded of the Pact Broker's own tools."""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pact_faststream.broker.webhooks import PAYLOAD, webhook_id

from ..broker_commands import run, set_only
from ..recorded_broker import Exchange, RecordedBroker, Request, recorded, recorded_broker

RECORDED_WEBHOOK = "7f9c24e8-3b12-4fef-91e8-25b1d9d5a1c3"


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RecordedBroker]:
    """Payments 1.0.0, branch main, is the build that runs; nobody has heard of it yet."""
    with recorded_broker() as broker:
        broker.answer(unknown("payments"))
        build = {"PACT_BROKER_BASE_URL": broker.url, "PACT_VERSION": "1.0.0", "PACT_BRANCH": "main"}
        set_only(monkeypatch, dict(os.environ), **build)
        monkeypatch.chdir(tmp_path)
        yield broker


def unknown(service: str) -> Exchange:
    """What was recorded of a version that the broker doesn't know."""
    [exchange] = recorded("record-unknown-version")
    return replace(exchange, request=Request("GET", f"/pacticipants/{service}/versions/1.0.0"))


def recorded_pact(recording: str) -> dict[str, Any]:
    """The pact that was published in a recording."""
    [exchange] = recorded(recording)
    [contract] = exchange.request.body["contracts"]
    pact: dict[str, Any] = json.loads(base64.b64decode(contract["content"]))
    return pact


def write_pact(pact: dict[str, Any], folder: Path = Path("contracts")) -> None:
    """In an order of its own, which is not that of the broker's command line."""
    path = folder / "pacts" / f"{pact['consumer']['name']}-{pact['provider']['name']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(reversed(pact.items())), indent=2))


# --- publish ---


def test_publish_sends_what_the_pact_command_line_would_send(broker: RecordedBroker) -> None:
    broker.replay("publish")
    write_pact(recorded_pact("publish"))

    done = run("publish", "payments")

    assert (done.status, done.err) == (0, "")
    assert done.out == "published what payments expects of orders: version 1.0.0, branch main\n"
    assert [each.request for each in broker.writes] == [recorded("publish")[0].request]


def test_publish_sends_all_pacts_of_the_service_and_no_others_in_one_request(broker: RecordedBroker) -> None:
    pact = recorded_pact("publish")
    for consumer, provider in [("payments", "orders"), ("payments", "stock"), ("orders", "payments")]:
        write_pact({**pact, "consumer": {"name": consumer}, "provider": {"name": provider}}, Path("elsewhere"))
    accept_publication(broker, "orders", "stock")

    done = run("publish", "payments", "--contracts", "elsewhere")

    assert (done.status, done.err) == (0, "")
    [write] = broker.writes
    assert [contract["providerName"] for contract in write.body["contracts"]] == ["orders", "stock"]


def test_publish_is_not_done_when_the_broker_took_fewer_pacts(broker: RecordedBroker) -> None:
    pact = recorded_pact("publish")
    for provider in ("orders", "stock"):
        write_pact({**pact, "provider": {"name": provider}})
    accept_publication(broker, "orders", "stock", taken=1)

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert "did not say that it took payments-orders.json, payments-stock.json" in done.err


def accept_publication(broker: RecordedBroker, *providers: str, taken: int = 2) -> None:
    """The recorded answer to one pact, with as many links to pacts as are `taken`."""
    [exchange] = recorded("publish")
    [contract] = exchange.request.body["contracts"]
    pact = recorded_pact("publish")
    contracts = [
        {**contract, "providerName": name, "content": encoded({**pact, "provider": {"name": name}})}
        for name in providers
    ]
    request = Request("POST", "/contracts/publish", (), {**exchange.request.body, "contracts": contracts})
    links = exchange.response["_links"]
    answer = {**exchange.response, "_links": {**links, "pb:contracts": links["pb:contracts"] * taken}}
    broker.answer(Exchange(request, 200, exchange.headers, answer))


def encoded(pact: Mapping[str, Any]) -> str:
    return base64.b64encode(json.dumps(pact, sort_keys=True, separators=(",", ":")).encode()).decode()


def test_publishing_other_pacts_under_the_same_version_is_explained(broker: RecordedBroker) -> None:
    broker.replay("publish-other-content")
    write_pact(recorded_pact("publish-other-content"))

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert "version 1.0.0 of payments is already published with other pacts, and stays as it is" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_version_that_is_published_again_with_a_pact_less_is_refused(broker: RecordedBroker) -> None:
    [known, _] = recorded("record-deployment-again")
    other = f"{broker.url}/pacts/provider/stock%20room/consumer/payments/version/1.0.0"
    links = {"pb:pact-versions": [{"href": other}]}
    broker.answer(Exchange(unknown("payments").request, 200, known.headers, {**known.response, "_links": links}))
    write_pact(recorded_pact("publish"))
    broker.forget(unknown("payments"))

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert "version 1.0.0 of payments is already published with a pact with stock room as well, and stays" in done.err
    assert not broker.writes


def test_publishing_with_a_login_that_may_only_read_is_refused(broker: RecordedBroker) -> None:
    [exchange] = recorded("publish-read-only")
    broker.answer(Exchange(recorded("publish")[0].request, exchange.status, exchange.headers))
    write_pact(recorded_pact("publish"))

    done = run("publish", "payments")

    assert done.status == 1
    assert "refuses the credentials (401 Unauthorized)" in done.err


def test_a_provider_that_expects_nothing_of_others_has_nothing_to_publish(broker: RecordedBroker) -> None:
    write_pact(recorded_pact("publish"))

    done = run("publish", "orders")

    assert (done.status, done.err) == (0, "")
    assert done.out == "nothing to publish: orders is a provider and expects nothing of others\n"
    assert not broker.received


def test_a_mistyped_service_is_an_error_that_names_the_others(broker: RecordedBroker) -> None:
    write_pact(recorded_pact("publish"))

    done = run("publish", "paymnets")

    assert (done.status, done.out) == (1, "")
    assert "is about 'paymnets', only about orders, payments" in done.err
    assert not broker.received


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"consumer": "payments"}'])
def test_a_file_that_is_no_pact_stops_the_publication(broker: RecordedBroker, text: str) -> None:
    write_pact(recorded_pact("publish"))
    Path("contracts/pacts/broken.json").write_text(text)

    done = run("publish", "payments")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: contracts/pacts/broken.json is no pact file\n"
    assert not broker.received


# --- who asks ---


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, None),
        ({"PACT_BROKER_TOKEN": "t"}, "Bearer t"),
        ({"PACT_BROKER_USERNAME": "ci", "PACT_BROKER_PASSWORD": "secret"}, "Basic Y2k6c2VjcmV0"),
        ({"PACT_BROKER_TOKEN": "t", "PACT_BROKER_USERNAME": "ci", "PACT_BROKER_PASSWORD": "secret"}, "Bearer t"),
    ],
    ids=["nobody", "token", "user", "both"],
)
def test_each_request_carries_the_credentials(
    broker: RecordedBroker, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str | None
) -> None:
    broker.replay("publish")
    write_pact(recorded_pact("publish"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    done = run("publish", "payments")

    assert done.status == 0
    assert len(broker.received) == 3
    assert {each.headers.get("authorization", each.headers.get("Authorization")) for each in broker.received} == {
        header
    }


# --- the webhook ---


def known(service: str) -> Exchange:
    """What was recorded of a participant."""
    found = next(each for each in recorded("verify") if each.request.path == "/pacticipants/orders")
    return replace(found, request=Request("GET", f"/pacticipants/{service}"))


@pytest.mark.parametrize(("recording", "word"), [("webhook-created", "created"), ("webhook-updated", "updated")])
def test_the_webhook_of_a_service_is_made_once_and_changed_later(
    broker: RecordedBroker, monkeypatch: pytest.MonkeyPatch, recording: str, word: str
) -> None:
    uuid = str(webhook_id("orders"))
    broker.answer(known("orders"), *recorded(recording, **{RECORDED_WEBHOOK: uuid}))
    monkeypatch.setenv("WEBHOOK_URL", "https://ci.example/dispatches?key=hush")
    monkeypatch.setenv("WEBHOOK_AUTHORIZATION", "Bearer hush")

    done = run("create-webhook", "orders")

    assert (done.status, done.err) == (0, "")
    assert done.out == f"{word} webhook {uuid}: ci.example is called for each pact that orders has to verify\n"
    [write] = broker.writes
    assert write.body == {
        "description": "verify orders",
        "events": [{"name": "contract_requiring_verification_published"}],
        "provider": {"name": "orders"},
        "request": {
            "method": "POST",
            "url": "https://ci.example/dispatches?key=hush",
            "headers": {"Content-Type": "application/json", "Authorization": "Bearer hush"},
            "body": {"event_type": "contract_requiring_verification_published", "client_payload": PAYLOAD},
        },
    }


def test_a_webhook_by_http_is_refused_with_the_brokers_reason(
    broker: RecordedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.answer(known("orders"), *recorded("webhook-http-refused", **{RECORDED_WEBHOOK: str(webhook_id("orders"))}))
    monkeypatch.setenv("WEBHOOK_URL", "http://ci.example")

    done = run("create-webhook", "orders")

    assert (done.status, done.out) == (1, "")
    assert "answered 400 Bad Request: request.url scheme must be https" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_webhook_needs_an_address(broker: RecordedBroker) -> None:
    done = run("create-webhook", "orders")

    assert (done.status, done.out) == (2, "")
    assert done.err == "contracts: WEBHOOK_URL is not set: whom shall the broker call?\n"
    assert not broker.received


def test_each_service_has_a_webhook_of_its_own() -> None:
    assert webhook_id("orders") != webhook_id("payments")
