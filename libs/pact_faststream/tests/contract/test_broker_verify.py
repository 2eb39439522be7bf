"""`verify`: the broker's pacts, the provider's tests with the real verifier, and the results at the broker."""

import os
import select
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from pact_faststream.broker.client import TRY_AGAIN_AFTER

from ..broker_commands import run
from ..broker_in_memory import InMemoryBroker, as_build, deployed, pact, published, verified

PROVIDES = """
from pact import Verifier
from pact_faststream.callbacks import MESSAGE, message, served
from pact_faststream.verification import raise_for, verified

def test_it(pact_source):
    with served({MESSAGE: lambda _: message(b'{"order_id": "o-77"}', {})}) as port:
        for pact in pact_source.pacts("orders"):
            verifier = Verifier("orders", host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
            results = verified(verifier, pact)
            pact_source.keep(pact, results)
            raise_for("orders", results)
"""
TABLE = """
[tool.pact-faststream.provider-tests]
"*" = "tests/test_{provider}.py"
orders = "tests/test_provides.py"
"""
LEAN_PYTEST = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pact_faststream.plugin"}
"""Six times faster; `verify` starts one."""
RESULTS = "/verification-results"
PATIENCE = 10  # seconds


@pytest.fixture(autouse=True)
def orders(broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """orders' repository: its messages have an order_id."""
    for name, value in LEAN_PYTEST.items():
        monkeypatch.setenv(name, value)
    tests = Path("tests/test_provides.py")
    tests.parent.mkdir()
    tests.write_text(PROVIDES)
    Path("pyproject.toml").write_text(TABLE)
    del broker


def results(broker: InMemoryBroker) -> list[str]:
    """What was published, in its order."""
    return [path.removeprefix("POST ").removesuffix(RESULTS) for path in broker.writes if path.endswith(RESULTS)]


def test_the_pacts_are_verified_and_the_results_are_at_the_broker(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    as_build("2.0.0")

    done = run("verify", "orders")

    assert (done.status, done.err) == (0, "")
    assert done.out == "verified 1 pacts of orders 2.0.0; the broker has the results:\n  payments 1.0.0: kept\n"
    [answer] = broker.get("/matrix?q[][pacticipant]=payments&q[][pacticipant]=orders")["matrix"]
    assert (answer["provider"]["version"]["number"], answer["verificationResult"]["success"]) == ("2.0.0", True)


def test_a_version_is_the_head_of_its_branch_after_its_results_only(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    broker.writes.clear()

    run("verify", "orders")

    assert [write.split()[0] for write in broker.writes] == ["POST", "PUT"]
    assert broker.writes[1] == "PUT /pacticipants/orders/branches/main/versions/1.0.0"


def test_it_runs_from_any_folder_of_the_project() -> None:
    published(pact("payments", "orders"))
    below = Path("tests/deep")
    below.mkdir()

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        assert run("publish", "payments").status == 0
        assert run("verify", "orders").status == 0


def test_main_matching_and_deployed_versions_are_verified_and_work_in_progress() -> None:
    published(pact("payments", "orders"), version="0.9.0")
    deployed("payments", "0.9.0")
    published(pact("payments", "orders", "order_id", "note"), version="1.0.0")
    published(pact("payments", "orders", "order_id", "more"), version="1.1.0", branch="feat/y")
    published(pact("payments", "orders", "order_id", "other"), version="1.2.0", branch="feat/z")
    as_build("2.0.0", "feat/y")

    done = run("verify", "orders")

    named = [line.split(":")[0].strip() for line in done.out.splitlines() if line.startswith("  payments")]
    assert sorted(named) == ["payments 0.9.0", "payments 1.0.0", "payments 1.1.0", "payments 1.2.0"]


def test_a_pending_pact_that_is_broken_fails_nobody_and_shows_its_mismatch(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    verified("orders")
    published(pact("payments", "orders", "order_id", "channel"), version="1.1.0", branch="feat/x")
    as_build("1.0.1")

    done = run("verify", "orders")

    assert (done.status, done.err) == (0, "")
    assert "  payments 1.0.0: kept\n" in done.out
    assert "  payments 1.1.0: broken, but not binding yet\n" in done.out
    assert "payments expects 'an order was placed'" in done.out
    assert "channel" in done.out
    assert len(results(broker)) == 3


def test_the_broker_has_each_mismatch(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders", "channel"))
    run("verify", "orders")

    [row] = broker.get("/matrix?q[][pacticipant]=payments&q[][pacticipant]=orders")["matrix"]
    result = broker.get(row["verificationResult"]["_links"]["self"]["href"].removeprefix(broker.url))

    [test] = result["testResults"]
    assert (result["success"], test["success"]) == (False, False)
    assert test["interactionId"]
    assert any("channel" in mismatch["description"] for mismatch in test["mismatches"])


def test_each_interaction_has_a_result_of_its_own(broker: InMemoryBroker) -> None:
    kept, broken = pact("payments", "orders"), pact("payments", "orders", "channel")
    broken["interactions"][0]["description"] = "an order was cancelled"
    published({**kept, "interactions": [*kept["interactions"], *broken["interactions"]]})

    run("verify", "orders")

    [row] = broker.get("/matrix?q[][pacticipant]=payments&q[][pacticipant]=orders")["matrix"]
    result = broker.get(row["verificationResult"]["_links"]["self"]["href"].removeprefix(broker.url))
    assert result["success"] is False
    assert [(test["success"], bool(test["mismatches"])) for test in result["testResults"]] == [
        (True, False),
        (False, True),
    ]


def test_a_binding_pact_that_is_broken_fails_and_is_named(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders", "channel"))
    verified("orders")
    as_build("2.0.0")

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: orders breaks what payments 1.0.0 expects; the broker has the results\n"
    assert len(results(broker)) == 2


def test_one_pact_by_its_address_as_a_webhook_names_it_can_fail(
    broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(pact("payments", "orders"))
    published(pact("payments", "orders", "channel"), version="1.1.0", branch="feat/x")
    # the broker may know itself by another name, and the credentials go there neither
    monkeypatch.setenv("PACT_URL", "https://broker.example/pacts/provider/orders/consumer/payments/version/1.1.0")

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert "orders breaks what payments 1.1.0 expects" in done.err
    assert len(results(broker)) == 1


def test_a_pact_about_another_provider_is_not_verified(broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    published(pact("payments", "orders"))
    monkeypatch.setenv("PACT_URL", f"{broker.url}/pacts/provider/orders/consumer/payments/version/1.0.0")

    done = run("verify", "stock", "--tests", "tests/test_provides.py")

    assert (done.status, done.out) == (1, "")
    assert "is about orders, not stock" in done.err


def test_a_pact_without_interactions_proves_nothing(broker: InMemoryBroker) -> None:
    published({**pact("payments", "orders"), "interactions": []})

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: the pact of payments 1.0.0 has no interaction: nothing would be verified\n"
    assert not results(broker)


# --- services without consumers ---


def test_a_service_of_which_nobody_expects_anything_has_nothing_to_verify() -> None:
    published(pact("payments", "orders"))

    done = run("verify", "payments")

    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("nothing to verify: no consumer has published a pact with 'payments'")


def test_so_has_one_that_the_broker_does_not_know() -> None:
    assert run("verify", "orders").out.startswith("nothing to verify: no consumer has published a pact with 'orders'")


@pytest.mark.parametrize("table", ["", "[tool.pact-faststream]\n"])
def test_a_provider_without_tests_is_no_service_without_consumers(table: str) -> None:
    published(pact("payments", "orders"))
    Path("pyproject.toml").write_text(table)

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert "nothing says where the provider tests are, but payments expects something of orders" in done.err


def test_tests_that_are_not_where_pyproject_says_are_told() -> None:
    published(pact("payments", "stock"))

    done = run("verify", "stock")

    assert (done.status, done.out) == (1, "")
    assert "there are no provider tests tests/test_stock.py, but payments expects" in done.err


def test_a_pyproject_that_can_not_be_read_is_told() -> None:
    Path("pyproject.toml").write_text("[tool")

    done = run("verify", "orders")

    assert (done.status, done.out) == (2, "")
    assert "pyproject.toml can't be read" in done.err


# --- what goes wrong ---


def write_tests(code: str) -> None:
    Path("tests/test_provides.py").write_text(code)


@pytest.mark.parametrize(
    "code",
    [
        "import pytest\ndef test_it(): pytest.skip('later')",
        "def test_it(): raise RuntimeError",
        PROVIDES.replace('pacts("orders")', 'pacts("order")'),
    ],
    ids=["skipped", "failed before", "another provider"],
)
def test_without_a_result_of_each_pact_nothing_is_published(broker: InMemoryBroker, code: str) -> None:
    published(pact("payments", "orders"))
    write_tests(code)
    broker.writes.clear()

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert "the provider tests left no result of the pact of payments 1.0.0: were they skipped" in done.err
    assert not broker.writes


def test_another_test_that_fails_is_no_broken_pact(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    write_tests(f"{PROVIDES}\ndef test_other(): raise RuntimeError")

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert "orders keeps each pact, and the broker has the results, but pytest ended with 1: another" in done.err
    assert len(results(broker)) == 1


def test_tests_that_hang_are_ended(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    write_tests("import threading\ndef test_it(): threading.Event().wait()")
    broker.writes.clear()

    done = run("verify", "orders", "--seconds", "0.1")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: the provider tests were ended after 0.1 s; nothing was published\n"
    assert not broker.writes


def test_what_the_tests_started_is_ended_with_them() -> None:
    published(pact("payments", "orders"))
    os.mkfifo("alive")
    write_tests("""
import subprocess
def test_it():
    with open("alive", "wb") as alive:
        subprocess.run(["sleep", "60"], stdout=alive)
""")

    with os.fdopen(os.open("alive", os.O_RDONLY | os.O_NONBLOCK)) as alive:
        done = run("verify", "orders", "--seconds", "3")
        end_of_file, _, _ = select.select([alive], [], [], PATIENCE)

    assert "ended after 3 s" in done.err
    assert end_of_file, "whoever runs still has it open"


@pytest.mark.parametrize("status", [401, 403, 500])
def test_results_that_the_broker_refuses_are_told_with_what_is_left(broker: InMemoryBroker, status: int) -> None:
    published(pact("payments", "orders"))
    as_build("2.0.0")
    broker.faults = {RESULTS: [status]}

    done = run("verify", "orders")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("contracts: the results were not published: the Pact Broker at")
    assert str(status) in done.err
    assert done.err.endswith("it knows nothing of orders 2.0.0: verify again\n")


def test_a_version_that_published_pacts_is_left_without_results_and_that_is_told(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    published(pact("orders", "stock"), version="2.0.0")
    broker.faults = {RESULTS: [500]}

    done = run("verify", "orders")

    assert "it knows orders 2.0.0 without all of its results, so whoever asks about it hears" in done.err


def test_a_read_that_fails_for_a_moment_is_tried_again(broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    clock = SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    monkeypatch.setattr("pact_faststream.broker.client.time", clock)
    published(pact("payments", "orders"))
    broker.faults = {"/for-verification": [503, 500], "/": [502]}

    assert run("verify", "orders").status == 0
    assert waits == [TRY_AGAIN_AFTER[0], *TRY_AGAIN_AFTER]
