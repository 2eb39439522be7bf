"""What is recorded of environments, versions and branches."""

from typing import Any

import httpx
import pytest

from tools.broker_stand_in.state import Placement, State

from ..broker_commands import run
from ..broker_in_memory import InMemoryBroker, as_build, deployed, pact, published, verified

THERE = {"deployed": "pb:currently-deployed-deployed-versions", "released": "pb:currently-supported-released-versions"}


def there(broker: InMemoryBroker, kind: str = "deployed") -> list[tuple[str, str, str | None]]:
    """Service, version and instance of all that is in production."""
    [production] = broker.get("/environments")["_embedded"]["environments"]
    path = production["_links"][THERE[kind]]["href"].removeprefix(broker.url)
    found = broker.get(path)["_embedded"][f"{kind}Versions"]
    parts = [each["_embedded"] for each in found]
    return [
        (part["pacticipant"]["name"], part["version"]["number"], each.get("applicationInstance"))
        for part, each in zip(parts, found, strict=True)
    ]


@pytest.fixture
def two_versions(broker: InMemoryBroker) -> None:
    """payments 1.0.0 and 1.1.0 are published, and there is a production."""
    for version in ("1.0.0", "1.1.0"):
        published(pact("payments", "orders"), version=version)
    del broker
    run("create-environment", "production", "--production")


def test_an_environment_is_made_once(broker: InMemoryBroker) -> None:
    first, second = (run("create-environment", "production", "--production") for _ in range(2))

    assert (first.status, first.out) == (0, "made the environment production\n")
    assert (second.status, second.out) == (0, "the environment production is there already\n")
    [made] = broker.get("/environments")["_embedded"]["environments"]
    assert (made["name"], made["displayName"], made["production"]) == ("production", "Production", True)


def test_without_the_right_to_make_it_there_is_no_environment(broker: InMemoryBroker) -> None:
    broker.empty(may_write=False)

    done = run("create-environment", "production")

    assert (done.status, done.out) == (1, "")
    assert "refuses the credentials (401 Unauthorized)" in done.err


@pytest.mark.usefixtures("two_versions")
@pytest.mark.parametrize(
    "command", ["can-i-deploy", "record-deployment", "record-undeployment", "record-release", "record-support-ended"]
)
def test_a_mistyped_environment_is_not_made(
    broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PACT_ENVIRONMENT", "prodution")
    broker.writes.clear()

    done = run(command, "payments")

    assert (done.status, done.out) == (1, "")
    assert "no environment 'prodution', only production: is the name right?" in done.err
    assert not broker.writes


@pytest.mark.usefixtures("two_versions")
def test_a_deployment_takes_the_place_of_the_one_before(broker: InMemoryBroker) -> None:
    deployed("payments", "1.0.0")
    done = deployed("payments", "1.1.0")

    assert done.out == "recorded that payments 1.1.0 is in production\n"
    assert there(broker) == [("payments", "1.1.0", None)]


@pytest.mark.usefixtures("two_versions")
def test_instances_are_deployed_and_taken_away_each_by_itself(broker: InMemoryBroker) -> None:
    deployed("payments", "1.0.0", "--instance", "blue")
    done = deployed("payments", "1.1.0", "--instance", "green")
    both = there(broker)
    unnamed = run("record-undeployment", "payments")
    named = run("record-undeployment", "payments", "--instance", "blue")

    assert done.out == "recorded that payments 1.1.0 is in production, instance green\n"
    assert both == [("payments", "1.0.0", "blue"), ("payments", "1.1.0", "green")]
    assert (unnamed.status, unnamed.out) == (1, "")
    assert (
        "payments without an instance's name is not in production, only instances blue, green: name one" in unnamed.err
    )
    assert (named.status, named.out) == (0, "recorded that instance blue of payments is no longer in production\n")
    assert there(broker) == [("payments", "1.1.0", "green")]


@pytest.mark.parametrize(
    ("record", "end", "kind"),
    [
        ("record-deployment", "record-undeployment", "deployed"),
        ("record-release", "record-support-ended", "released"),
    ],
)
def test_one_services_end_is_no_others(broker: InMemoryBroker, record: str, end: str, kind: str) -> None:
    published(pact("payments", "orders"))
    run("register-version", "orders")
    run("create-environment", "production", "--production")
    for service in ("orders", "payments"):
        assert run(record, service).status == 0

    run(end, "payments")

    assert there(broker, kind) == [("orders", "1.0.0", None)]


@pytest.mark.usefixtures("two_versions")
def test_what_is_not_there_can_not_be_taken_away() -> None:
    done = run("record-undeployment", "payments")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: payments without an instance's name is not in production\n"


@pytest.mark.usefixtures("two_versions")
def test_releases_stay_beside_each_other_until_their_support_ends(broker: InMemoryBroker) -> None:
    for version in ("1.0.0", "1.1.0"):
        as_build(version)
        assert run("record-release", "payments").out == f"recorded that payments {version} is released in production\n"
    both = there(broker, "released")
    as_build("1.0.0")
    ended, again = (run("record-support-ended", "payments") for _ in range(2))

    assert [version for _, version, _ in both] == ["1.0.0", "1.1.0"]
    assert ended.out == "recorded that payments 1.0.0 is no longer supported in production\n"
    assert [version for _, version, _ in there(broker, "released")] == ["1.1.0"]
    assert (again.status, again.err) == (1, "contracts: payments 1.0.0 is not released in production\n")


@pytest.mark.usefixtures("two_versions")
def test_a_record_that_the_broker_does_not_show_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    place = State.place

    def forget(*args: Any, **options: Any) -> Placement:
        placed = place(*args, **options)
        placed.is_there = False
        return placed

    monkeypatch.setattr(State, "place", forget)

    done = run("record-deployment", "payments")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: the broker took the record, but doesn't show it\n"


# --- versions ---


def test_a_service_without_pacts_is_known_by_its_registered_version(broker: InMemoryBroker) -> None:
    done = run("register-version", "reports")
    run("create-environment", "production")

    assert (done.status, done.out) == (0, "registered reports: version 1.0.0, branch main\n")
    assert run("can-i-deploy", "reports").status == 0
    assert run("record-deployment", "reports").status == 0
    assert broker.get("/pacticipants/reports")["mainBranch"] == "main"


CODE = "https://code.example/a/shop"
AT_GITHUB = {"GITHUB_SERVER_URL": "https://code.example", "GITHUB_REPOSITORY": "a/shop", "GITHUB_RUN_ID": "7"}


@pytest.mark.parametrize(
    ("variables", "build"),
    [
        ({"PACT_BUILD_URL": "https://ci.example/7", "PACT_REPOSITORY_URL": CODE}, "https://ci.example/7"),
        (AT_GITHUB, f"{CODE}/actions/runs/7"),
        ({**AT_GITHUB, "PACT_BUILD_URL": "https://ci.example/7"}, "https://ci.example/7"),
    ],
    ids=["named", "at GitHub", "at GitHub, with a build of its own"],
)
def test_a_version_has_the_address_of_its_build_and_a_service_that_of_its_code(
    broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], build: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    done = run("register-version", "reports")

    assert done.out.endswith(f"; build: {build}; code: {CODE}\n")
    assert broker.get("/pacticipants/reports/versions/1.0.0")["buildUrl"] == build
    assert broker.get("/pacticipants/reports")["repositoryUrl"] == CODE


# --- branches ---


def test_a_deleted_branch_is_work_in_progress_no_more(broker: InMemoryBroker) -> None:
    published(pact("payments", "orders"))
    verified("orders")
    published(pact("payments", "orders", "channel"), version="1.1.0", branch="feat/x")
    before = to_verify(broker)

    done = run("delete-branch", "payments", "feat/x")

    assert before == ["Pact between payments (1.0.0) and orders", "Pact between payments (1.1.0) and orders"]
    assert (done.status, done.out) == (0, "deleted the branch feat/x of payments\n")
    assert to_verify(broker) == ["Pact between payments (1.0.0) and orders"]
    assert (
        run("delete-branch", "payments", "feat/x").out == "payments has no branch feat/x: there is nothing to delete\n"
    )


def to_verify(broker: InMemoryBroker) -> list[str]:
    asked = {"includePendingStatus": True, "includeWipPactsSince": "2020-01-01", "providerVersionBranch": "main"}
    answer = httpx.post(f"{broker.url}/pacts/provider/orders/for-verification", json=asked).json()
    return [pact["_links"]["self"]["name"] for pact in answer["_embedded"]["pacts"]]


@pytest.mark.usefixtures("broker")
def test_the_main_branch_is_not_deleted() -> None:
    published(pact("payments", "orders"))

    done = run("delete-branch", "payments", "main")

    assert (done.status, done.out) == (1, "")
    assert done.err == "contracts: main is the main branch of payments: its pacts are what every provider verifies\n"


@pytest.mark.usefixtures("broker")
def test_a_branch_of_nobody_is_an_error() -> None:
    done = run("delete-branch", "paymnets", "feat/x")

    assert (done.status, done.err) == (1, "contracts: the broker knows no paymnets\n")


def test_a_webhook_can_be_made_before_its_provider_has_published(
    broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://ci.example")

    done = run("create-webhook", "orders")

    assert (done.status, done.err) == (0, "")
    assert broker.get("/pacticipants/orders")["name"] == "orders"
