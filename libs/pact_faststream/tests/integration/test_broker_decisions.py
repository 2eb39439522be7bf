"""May a version be merged or deployed? What the broker answers, and what a person does next."""

import re
from types import SimpleNamespace

import pytest
from pact_faststream.broker.decisions import Patience, can_i_merge
from pact_faststream.broker.settings import load_settings

from ..broker_commands import run
from ..broker_in_memory import InMemoryBroker, as_build, deployed, pact, published, verified

pytestmark = pytest.mark.usefixtures("broker")


@pytest.fixture
def in_production(broker: InMemoryBroker) -> None:
    """payments 1.0.0 reads an event of orders 1.0.0, and both are in production."""
    published(pact("payments", "orders"))
    verified("orders")
    del broker
    deployed("orders")
    deployed("payments")


@pytest.mark.usefixtures("in_production")
@pytest.mark.parametrize("service", ["orders", "payments"])
def test_what_was_verified_may_be_deployed_and_merged(service: str) -> None:
    deploy, merge = run("can-i-deploy", service), run("can-i-merge", service)

    assert (deploy.status, deploy.err, merge.status, merge.err) == (0, "", 0, "")
    assert deploy.out == (
        f"yes, {service} 1.0.0 can be deployed to production:\n"
        "  All required verification results are published and successful\n"
    )
    assert merge.out.startswith(f"yes, {service} 1.0.0 can be merged:\n")


def test_a_reader_may_ask(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    verified("orders")
    deployed("orders")
    broker.writes.clear()

    assert run("can-i-deploy", "payments").status == 0
    assert run("can-i-merge", "payments").status == 0
    assert not broker.writes


def test_an_environment_that_is_not_there_is_told_with_the_way_to_make_it(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    broker.writes.clear()

    done = run("can-i-deploy", "payments")

    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "contracts: the broker has no environment 'production', and no other: is the name right? "
        "If so, make it: create-environment production\n"
    )
    assert not broker.writes


@pytest.mark.usefixtures("in_production")
def test_a_consumer_that_needs_more_than_production_has_hears_which_provider_goes_first() -> None:
    published(pact("payments", "orders", "order_id", "channel"), version="1.1.0")
    verified("orders", "1.0.0", breaks=["payments 1.1.0"])
    alone = ask("payments", "1.1.0")
    verified("orders", "1.1.0")
    then = ask("payments", "1.1.0")

    head, reason, row = alone
    assert head == "no: payments 1.1.0 can not be deployed to production"
    assert "the version of orders currently in production (1.0.0) failed" in reason
    assert row.startswith(
        "  pact of payments 1.1.0 with orders 1.0.0: failed; next: mend orders, or expect less of it;"
    )
    assert row.rpartition("/")[0].endswith("/verification-results")
    assert "failed; next: get orders 1.1.0 to production first: it keeps this pact; see http" in then[2]


@pytest.mark.usefixtures("in_production")
def test_a_provider_that_takes_something_away_hears_which_consumer_goes_first() -> None:
    verified("orders", "2.0.0", breaks=["payments 1.0.0"])
    alone = ask("orders", "2.0.0")
    published(pact("payments", "orders", "id"), version="1.1.0")
    verified("orders", "2.0.0", breaks=["payments 1.0.0"])
    then = ask("orders", "2.0.0")

    assert alone[0] == "no: orders 2.0.0 can not be deployed to production"
    assert "failed; next: keep what payments expects, until a version of it that expects less is in" in alone[2]
    assert "failed; next: get payments 1.1.0 to production first: this version keeps what it expects" in then[2]


def ask(service: str, version: str) -> list[str]:
    as_build(version)
    done = run("can-i-deploy", service)
    assert (done.status, done.err) == (1, "")
    return done.out.splitlines()


@pytest.mark.usefixtures("in_production")
def test_each_reason_has_a_line() -> None:
    published(pact("notifications", "orders", "id"))
    deployed("notifications")
    verified("orders", "2.0.0", breaks=["payments 1.0.0", "notifications 1.0.0"])

    _head, *reasons = ask("orders", "2.0.0")

    assert len(reasons) == 4
    assert [reason.startswith("  The verification for the pact") for reason in reasons] == [True, True, False, False]


@pytest.mark.usefixtures("in_production")
def test_a_commit_is_shown_short_but_not_within_an_address() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    published(pact("payments", "orders", "channel"), version=commit)
    verified("orders", "1.0.0", breaks=[f"payments {commit}"])

    head, _reason, row = ask("payments", commit)

    assert head == "no: payments 01234567 can not be deployed to production"
    assert row.startswith("  pact of payments 01234567 with orders 1.0.0: failed")
    assert re.search(r"/pact-version/[0-9a-f]{40}/", row)


@pytest.mark.usefixtures("in_production")
def test_two_instances_of_a_service_must_both_be_fitting() -> None:
    verified("orders", "1.1.0")
    deployed("orders", "1.1.0", "--instance", "green")
    published(pact("payments", "orders", "channel"), version="1.1.0")
    verified("orders", "1.1.0")

    lines = ask("payments", "1.1.0")

    assert lines[0].startswith("not yet known, so no")
    assert any("pact of payments 1.1.0 with orders 1.1.0: verified" in line for line in lines)
    assert any("pact of payments 1.1.0 with orders: not verified; next:" in line for line in lines)


@pytest.fixture
def three_consumers(broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in production, at a broker that decides on two of them; the first one is broken by orders 2.0.0."""
    monkeypatch.setattr("tools.broker_stand_in.matrix.MOST_ROWS", 2)
    del broker
    for consumer in ("payments", "notifications", "reports"):
        published(pact(consumer, "orders", consumer))
        deployed(consumer)
    verified("orders", "2.0.0", breaks=["payments 1.0.0"])


@pytest.mark.usefixtures("three_consumers")
def test_a_yes_is_about_all_consumers_however_many_there_are() -> None:
    head, *_ = ask("orders", "2.0.0")

    assert head == "no: orders 2.0.0 can not be deployed to production"


@pytest.mark.usefixtures("three_consumers")
def test_a_yes_that_may_lack_a_consumer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pact_faststream.broker.decisions.MOST_ROWS", 2)
    as_build("2.0.0")

    done = run("can-i-deploy", "orders")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: the broker says yes by 2 rows, and has more: a no may be among the others\n"


# --- the first deployment ---


@pytest.fixture
def waiting_for_each_other(broker: InMemoryBroker) -> None:
    """orders and payments read events of each other, and neither is in production."""
    published(pact("payments", "orders"))
    published(pact("orders", "payments"))
    for service in ("orders", "payments"):
        verified(service)
    del broker
    run("create-environment", "production", "--production")


@pytest.mark.usefixtures("waiting_for_each_other")
def test_of_two_that_wait_for_each_other_one_ignores_the_other() -> None:
    alone = ask("orders", "1.0.0")
    ignoring = run("can-i-deploy", "orders", "--ignore", "payments")
    deployed("orders")
    then = run("can-i-deploy", "payments")

    assert alone[0].startswith("not yet known, so no")
    assert "next: get payments 1.0.0 to production first: it keeps this pact" in alone[-1]
    assert alone[-1].endswith("(where two wait for each other, one goes first with --ignore)")
    assert (ignoring.status, ignoring.err) == (0, "")
    assert ignoring.out.startswith("yes, orders 1.0.0 can be deployed to production, payments ignored as asked:\n")
    assert (then.status, then.err) == (0, "")


@pytest.mark.usefixtures("waiting_for_each_other")
def test_what_is_ignored_is_ignored_in_a_merge_too_and_told() -> None:
    published(pact("payments", "orders", "channel"), version="1.1.0")
    verified("orders", "1.0.0", breaks=["payments 1.1.0"])
    as_build("1.1.0")

    alone, ignoring = run("can-i-merge", "payments"), run("can-i-merge", "payments", "--ignore", "orders")

    assert alone.status == 1
    assert ignoring.status == 0
    assert ignoring.out.startswith("yes, payments 1.1.0 can be merged, orders ignored as asked:\n")


def test_a_no_tells_what_was_ignored_beside_what_was_not() -> None:
    published(pact("payments", "orders"), pact("payments", "stock"))
    verified("orders")

    _head, *reasons = run("can-i-merge", "payments", "--ignore", "orders").out.splitlines()

    assert "  pact of payments 1.0.0 with orders 1.0.0: ignored, as asked" in reasons
    assert any(reason.startswith("  pact of payments 1.0.0 with stock: not verified; next: ") for reason in reasons)


# --- what isn't known yet ---


def test_an_unverified_pact_is_a_no_that_says_who_verifies() -> None:
    published(pact("payments", "orders"))

    done = run("can-i-merge", "payments")

    assert (done.status, done.err) == (1, "")
    assert done.out.startswith("not yet known, so no: payments 1.0.0 can not be merged\n")
    assert (
        "pact of payments 1.0.0 with orders: not verified; next: verify orders as it is in the main branch" in done.out
    )


def test_a_provider_that_has_not_verified_is_told_to() -> None:
    published(pact("payments", "orders"))
    verified("orders", "0.9.0")
    deployed("payments", "1.0.0")
    run("register-version", "orders")

    done = run("can-i-deploy", "orders")

    assert "pact of payments 1.0.0 with orders: not verified; next: verify orders at this version" in done.out


def test_while_a_verification_is_missing_the_broker_is_asked_again() -> None:
    published(pact("payments", "orders"))
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == 2:
            verified("orders")

    decision = Patience(5, 0, tell).ask(lambda: can_i_merge(load_settings(), "payments"))

    assert decision.yes
    assert [line.splitlines()[-1] for line in told] == [
        f"  asking again in 0 s, {left} times at most" for left in (5, 4)
    ]
    assert "pact of payments 1.0.0 with orders: not verified" in told[0]


def test_before_it_is_asked_again_the_providers_have_time(monkeypatch: pytest.MonkeyPatch) -> None:
    published(pact("payments", "orders"))
    waits: list[float] = []
    monkeypatch.setattr("pact_faststream.broker.decisions.time", SimpleNamespace(sleep=waits.append))

    run("can-i-merge", "payments", "--retry-while-unknown", "3", "--retry-interval", "10")

    assert waits == [10, 10, 10]


@pytest.mark.usefixtures("in_production")
def test_a_no_that_is_known_is_final() -> None:
    verified("orders", "2.0.0", breaks=["payments 1.0.0"])
    as_build("2.0.0")

    done = run("can-i-deploy", "orders", "--retry-while-unknown", "5", "--retry-interval", "0")

    assert (done.status, done.err) == (1, "")
    assert "asking again" not in done.out


def test_what_stays_unknown_is_no_yes() -> None:
    published(pact("payments", "orders"))

    done = run("can-i-merge", "payments", "--retry-while-unknown", "2", "--retry-interval", "0")

    assert (done.status, done.err) == (1, "")
    assert done.out.count("asking again") == 2
    assert "\nnot yet known, so no: payments 1.0.0" in done.out


@pytest.mark.parametrize("command", ["can-i-deploy", "can-i-merge", "record-deployment", "record-release"])
@pytest.mark.parametrize("service", ["payments", "nobody"])
def test_a_version_that_the_broker_never_saw_is_told_with_the_way_to_make_it_known(command: str, service: str) -> None:
    published(pact("payments", "orders"))
    deployed("payments")
    as_build("9.9.9")

    done = run(command, service)

    assert (done.status, done.out) == (1, "")
    assert f"knows no version 9.9.9 of {service}: publish its pacts or verify" in done.err
    assert "or register-version" in done.err
