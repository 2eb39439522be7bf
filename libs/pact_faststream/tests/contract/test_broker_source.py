"""A provider's pacts from the broker, with the real verifier; the provider is payments' view of orders."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pact import Verifier
from pact_faststream.broker import BrokerError, BrokerSource, source_from_environment
from pact_faststream.callbacks import MESSAGE, Reply, message, served
from pact_faststream.sources import NoPactsError
from pact_faststream.verifying.repeated import is_repeatable

from ..broker_commands import run, set_only
from ..broker_stand_in import Exchange, Request, StandIn, recorded, stand_in

ORDER_PLACED = {"order_id": "o-77", "amount": 99.5}
PROVIDES = """
import pytest
from pact import Verifier
from pact_faststream.callbacks import MESSAGE, message, served

def test_it(pact_source):
    with served({MESSAGE: lambda _: message(b'{"order_id": "o-77", "amount": %s}', {"topic": "order.placed"})}) as port:
        verifier = Verifier("orders", host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
        pact_source.add_to(verifier, "orders", publish=True)
        verifier.verify()
"""
LEAN_PYTEST = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pact_faststream.plugin"}
"""Six times faster; `verify` starts one."""


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """Orders 1.0.0, branch main, is the build that runs."""
    with stand_in() as broker:
        build = {"PACT_BROKER_BASE_URL": broker.url, "PACT_VERSION": "1.0.0", "PACT_BRANCH": "main"}
        set_only(monkeypatch, dict(os.environ), **build, **LEAN_PYTEST, PACT_DO_NOT_TRACK="true")
        monkeypatch.chdir(tmp_path)
        yield broker


def verified_by_pact(source: BrokerSource, order: Mapping[str, Any] = ORDER_PLACED, *, publish: bool = True) -> bool:
    """One run; each message of orders has `order` as its data."""

    def answer(request: Mapping[str, Any]) -> Reply:
        return message(json.dumps(order).encode(), {"topic": request["description"]})

    with served({MESSAGE: answer}) as port:
        verifier = Verifier("orders", host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
        source.add_to(verifier, "orders", publish=publish)
        try:
            verifier.verify()
        except RuntimeError:
            return False
    return True


def matrix(consumer: str, version: str, response: Any) -> Exchange:
    """An answer to the question about one pact and orders of one version."""
    consumer_name, consumer_version = consumer.split()
    pairs = [
        ("q[][pacticipant]", consumer_name),
        ("q[][version]", consumer_version),
        ("q[][pacticipant]", "orders"),
        ("q[][version]", version),
        ("latestby", "cvpv"),
    ]
    return Exchange(Request("GET", "/matrix", tuple(pairs)), 200, {}, response)


def test_results_are_published_and_confirmed(broker: StandIn) -> None:
    broker.replay("verify", "matrix-verified")
    source = source_from_environment()

    assert verified_by_pact(source)
    source.confirm_published("orders")

    assert [(result.pact, result.success) for result in source.results("orders")] == [("payments 1.0.0", True)]
    published = [write.request for write in broker.writes if write.request.method == "POST"]
    assert [request.body for request in published] == [{"providerApplicationVersion": "1.0.0", "success": True}]


def test_a_run_that_does_not_publish_changes_nothing(broker: StandIn) -> None:
    broker.replay("verify")

    assert verified_by_pact(source_from_environment(), publish=False)

    assert not broker.writes


def test_what_was_to_be_verified_is_confirmed_though_the_broker_selects_it_no_more(broker: StandIn) -> None:
    [chosen] = [each for each in recorded("verify") if each.request == selection(each).request]
    broker.answer(chosen)
    broker.replay("verify", "matrix-verified")
    broker.answer(selection(recorded("verify-nothing-selected")[-1]))
    source = source_from_environment()

    assert verified_by_pact(source)

    assert [result.pact for result in source.results("orders")] == ["payments 1.0.0"]


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({"PACT_BROKER_TOKEN": "t"}, "Bearer t"),
        ({"PACT_BROKER_USERNAME": "ci", "PACT_BROKER_PASSWORD": "secret"}, "Basic Y2k6c2VjcmV0"),
        ({"PACT_BROKER_TOKEN": "t", "PACT_BROKER_USERNAME": "ci", "PACT_BROKER_PASSWORD": "secret"}, "Bearer t"),
    ],
    ids=["token", "user", "both"],
)
def test_the_verifier_and_the_source_ask_with_the_same_credentials(
    broker: StandIn, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str
) -> None:
    broker.replay("verify", "matrix-verified")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    source = source_from_environment()

    assert verified_by_pact(source)
    source.confirm_published("orders")

    assert {each.headers.get("authorization", each.headers.get("Authorization")) for each in broker.received} == {
        header
    }


def test_a_result_that_the_broker_refuses_is_an_error_though_the_verifier_is_content(
    broker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACT_VERSION", "1.0.1")
    [unverified] = recorded("can-i-deploy-unverified")
    broker.replay("verify-read-only")
    broker.answer(matrix("payments 1.0.0", "1.0.1", unverified.response))
    source = source_from_environment()

    assert verified_by_pact(source)
    with pytest.raises(BrokerError, match=r"no result of orders 1\.0\.1 for the pact of payments 1\.0\.0"):
        source.confirm_published("orders")


@pytest.mark.parametrize(
    ("old", "new"),
    [('"number": "1.0.0"', '"number": "0.9.0"'), ('"name": "orders"', '"name": "stock"')],
    ids=["of another version", "of another provider"],
)
def test_a_result_of_somebody_else_confirms_nothing(broker: StandIn, old: str, new: str) -> None:
    broker.replay("verify")
    broker.answer(*recorded("matrix-verified", **{old: new}))
    source = source_from_environment()

    with pytest.raises(BrokerError, match="no result of orders"):
        source.confirm_published("orders")


def test_a_row_without_a_result_confirms_nothing(broker: StandIn) -> None:
    broker.replay("verify")
    [exchange] = recorded("matrix-verified")
    [row] = exchange.response["matrix"]
    response = {**exchange.response, "matrix": [{**row, "verificationResult": None}]}
    broker.answer(Exchange(exchange.request, 200, exchange.headers, response))
    source = source_from_environment()

    with pytest.raises(BrokerError, match="no result of orders"):
        source.confirm_published("orders")


def test_the_selection_has_main_matching_and_deployed_versions_pending_and_work_in_progress(broker: StandIn) -> None:
    broker.replay("verify")

    verified_by_pact(source_from_environment())

    own, verifiers = [each.body for each in broker.received if each.request.method == "POST"][:2]
    since = own.pop("includeWipPactsSince")
    assert since == verifiers.pop("includeWipPactsSince")
    assert len(since) == len("2026-11-23")
    assert own == verifiers
    assert own == {
        "includePendingStatus": True,
        "consumerVersionSelectors": [{"mainBranch": True}, {"matchingBranch": True}, {"deployedOrReleased": True}],
        "providerVersionBranch": "main",
    }


def test_work_in_progress_that_is_broken_does_not_fail_the_provider_but_is_told(
    broker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACT_VERSION", "1.0.2")
    broker.replay("verify-work-in-progress")
    [verified], [failed] = recorded("matrix-verified"), recorded("can-i-deploy-failed")
    for consumer, answer in [("notifications", verified), ("payments", verified)]:
        row = json.dumps(answer.response).replace('"1.0.0"', '"1.0.2"').replace('"payments"', f'"{consumer}"')
        broker.answer(matrix(f"{consumer} 1.0.0", "1.0.2", json.loads(row)))
    row = json.dumps(failed.response).replace('"1.0.0"', '"1.0.2"')
    broker.answer(matrix("payments 1.1.0-x", "1.0.2", json.loads(row)))
    source = source_from_environment()

    assert verified_by_pact(source, {**ORDER_PLACED, "confirmed_at": "2026-01-01T00:00:00Z"})

    assert [result.success for result in source.results("orders")] == [True, True, False]


def test_a_pact_can_be_read_and_whether_it_is_pending(broker: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACT_VERSION", "1.0.2")
    broker.replay("verify-work-in-progress")

    documents = source_from_environment().documents("orders")

    assert [document.pending for document in documents] == [False, False, True]
    assert all(map(is_repeatable, documents))
    assert {document.content["provider"]["name"] for document in documents} == {"orders"}


def test_one_pact_by_its_address_as_a_webhook_names_it_can_fail(
    broker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.replay("verify-by-url")
    [failed] = recorded("can-i-deploy-failed")
    broker.answer(matrix("payments 1.1.0-x", "1.0.0", failed.response))
    # the broker may know itself by another name, and the credentials go there neither
    pact = "https://broker.example/pacts/provider/orders/consumer/payments/version/1.1.0-x"
    monkeypatch.setenv("PACT_URL", pact)
    source = source_from_environment()

    assert not verified_by_pact(source)

    assert [(result.pact, result.success) for result in source.results("orders")] == [("payments 1.1.0-x", False)]


def test_a_pact_about_another_provider_is_not_verified(broker: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.replay("verify-by-url")
    monkeypatch.setenv("PACT_URL", f"{broker.url}/pacts/provider/orders/consumer/payments/version/1.1.0-x")

    with pytest.raises(NoPactsError, match="is about orders, not stock"):
        source_from_environment().pacts("stock")


def test_a_pact_without_interactions_proves_nothing(broker: StandIn) -> None:
    for exchange in recorded("verify"):
        is_pact = isinstance(exchange.response, dict) and "interactions" in exchange.response
        response = {**exchange.response, "interactions": []} if is_pact else exchange.response
        broker.answer(Exchange(exchange.request, exchange.status, exchange.headers, response))

    with pytest.raises(NoPactsError, match="nothing would be verified"):
        source_from_environment().pacts("orders")


def test_a_provider_that_the_broker_does_not_know_is_told_apart(broker: StandIn) -> None:
    [get] = recorded("verify-unknown-provider")
    broker.answer(selection(get))

    with pytest.raises(NoPactsError, match="the broker knows no provider 'orders': the consumers publish their pacts"):
        source_from_environment().pacts("orders")


def test_a_provider_without_consumers_is_told_apart(broker: StandIn) -> None:
    broker.answer(selection(recorded("verify-nothing-selected")[-1]))

    with pytest.raises(NoPactsError, match="the broker has no pact to verify for 'orders'"):
        source_from_environment().pacts("orders")


def selection(exchange: Exchange) -> Exchange:
    """The same answer to the selection that is asked for here."""
    asked = next(each.request for each in recorded("verify") if each.request.method == "POST")
    return Exchange(asked, exchange.status, exchange.headers, exchange.response)


# --- the command ---


def provides(amount: str = "99.5") -> str:
    path = Path("test_provides.py")
    path.write_text(PROVIDES % amount)
    return str(path)


def test_verify_runs_the_providers_tests_and_says_what_arrived(broker: StandIn) -> None:
    broker.replay("verify", "matrix-verified")

    done = run("verify", "orders", "--tests", provides())

    assert (done.status, done.err) == (0, "")
    assert done.out == "verified 1 pacts of orders 1.0.0; the broker has the results:\n  payments 1.0.0: kept\n"


def test_verify_fails_when_tests_are_skipped_since_nothing_arrives(broker: StandIn) -> None:
    broker.replay("verify")
    [unverified] = recorded("can-i-deploy-unverified")
    broker.answer(matrix("payments 1.0.0", "1.0.0", unverified.response))
    Path("test_provides.py").write_text("import pytest\ndef test_it(): pytest.skip('later')")

    done = run("verify", "orders", "--tests", "test_provides.py")

    assert (done.status, done.out) == (1, "")
    assert "no result of orders 1.0.0 for the pact of payments 1.0.0" in done.err


@pytest.mark.parametrize(
    ("arrived", "reason"),
    [
        ("broken", "orders breaks what payments 1.0.0 expects"),
        ("kept", "orders keeps each pact, but its tests failed, or could not run to their end"),
        ("nothing", "the broker has no result of orders 1.0.0 for the pact of payments 1.0.0"),
    ],
)
def test_verify_says_why_the_tests_failed_by_what_arrived(broker: StandIn, arrived: str, reason: str) -> None:
    [row] = recorded("can-i-deploy-unverified" if arrived == "nothing" else "matrix-verified")
    response = json.loads(json.dumps(row.response))
    if arrived == "broken":
        response["matrix"][0]["verificationResult"]["success"] = False
    broker.replay("verify")
    broker.answer(matrix("payments 1.0.0", "1.0.0", response))
    Path("test_provides.py").write_text("def test_it(): raise RuntimeError")

    done = run("verify", "orders", "--tests", "test_provides.py")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"contracts: pytest ended with 1: {reason}")
    assert len(done.err.splitlines()) == 1


def test_verify_ends_tests_that_wait_for_a_broker_that_fell_silent(broker: StandIn) -> None:
    broker.replay("verify")
    Path("test_provides.py").write_text("import time\ndef test_it(): time.sleep(60)")

    done = run("verify", "orders", "--tests", "test_provides.py", "--seconds", "0.1")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: the provider tests were ended after 0.1 s: did the broker fall silent?\n"


def test_a_service_of_which_nobody_expects_anything_has_nothing_to_verify(broker: StandIn) -> None:
    broker.answer(selection(recorded("verify-nothing-selected")[-1]))

    done = run("verify", "orders", "--tests", provides())

    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("nothing to verify: the broker has no pact to verify for 'orders'")


def test_a_provider_without_tests_is_no_service_without_consumers(broker: StandIn) -> None:
    broker.replay("verify")

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert "no provider tests services/orders/tests/contract/test_provides.py, but payments expects" in done.err
