"""What the workflows must run, what they may do, and what they tell the contract broker."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from pact_faststream.broker.webhooks import EVENT, PAYLOAD
from shop_harness.services import SERVICES

from tools.pythons.interpreters import SUPPORTED
from tools.scratch import ROOT

from .test_pipelines import HIDES_A_FAILURE, PYPROJECT

WORKFLOWS = {file.name: yaml.safe_load(file.read_text()) for file in (ROOT / ".github/workflows").glob("*.yml")}
PUBLISHES = "release.yml", "publish"
"""The one job that may do more than read: it proves to PyPI who it is."""


def jobs() -> Mapping[str, Mapping[str, Any]]:
    return {f"{name}: {job}": what for name, workflow in WORKFLOWS.items() for job, what in workflow["jobs"].items()}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_the_repository_and_nothing_else(name: str) -> None:
    workflow = WORKFLOWS[name]

    assert workflow["permissions"] == {"contents": "read"}
    assert [
        job
        for job, what in workflow["jobs"].items()
        if what.get("permissions", {"contents": "read"}) != {"contents": "read"} and (name, job) != PUBLISHES
    ] == []


@pytest.mark.parametrize("name", jobs())
def test_a_job_ends_and_leaves_no_credentials_to_the_tests(name: str) -> None:
    job = jobs()[name]
    checkouts = [step for step in job.get("steps", []) if step.get("uses", "").startswith("actions/checkout@")]

    assert "uses" in job or job["timeout-minutes"] <= 90
    assert [step for step in checkouts if step.get("with", {}).get("persist-credentials") is not False] == []


def steps() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each step with its workflow and a name."""
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            for step in job.get("steps", []):
                yield f"{name}: {step.get('name') or step.get('run') or step['uses']}", step


CONDITIONS = {
    "deployment.yml: may it be deployed?": "inputs.moment == 'before'",
    "deployment.yml: it is deployed": "inputs.moment == 'after'",
    "service.yml: may it be merged?": "github.event_name == 'pull_request' && env.PACT_BROKER_BASE_URL != ''",
    "service.yml: what a fork's pull request left out": "github.event.pull_request.head.repo.fork",
}
"""Every other step always runs."""


def test_every_step_runs_and_may_fail() -> None:
    assert {name: step["if"] for name, step in steps() if "if" in step} == CONDITIONS, (
        "a step that doesn't always run has its line in CONDITIONS"
    )
    assert [name for name, what in (*steps(), *jobs().items()) if "continue-on-error" in what] == []
    assert [name for name, step in steps() if HIDES_A_FAILURE.search(step.get("run", ""))] == []
    assert [name for name, job in jobs().items() if "if" in job] == [": ".join(PUBLISHES)]


def test_ci_runs_for_each_pull_request_and_whatever_comes_to_main() -> None:
    assert WORKFLOWS["ci.yml"][True] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert WORKFLOWS["ci.yml"]["jobs"]["test"]["steps"][-1] == {"run": "bash .ci/run"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_strangers_code_gets_secrets_and_no_strangers_text_is_a_command(name: str) -> None:
    workflow = WORKFLOWS[name]
    given = re.compile(r"\$\{\{(?!\s*(?:inputs\.service|matrix\.python)\s*\}\})")

    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow[True])
    assert [step["run"] for job in workflow["jobs"].values() for step in job.get("steps", ())
            if given.search(step.get("run", ""))] == []  # fmt: skip


def test_what_compares_with_main_has_its_history_and_knows_what_it_was() -> None:
    comparing = {name: job for name, job in jobs().items() if "AGAINST" in job.get("env", {})}

    assert comparing.keys() == {"ci.yml: test", "service.yml: ci"}
    for job in comparing.values():
        [checkout] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert checkout["with"]["fetch-depth"] == 0, "without it there is nothing to compare with, and all is well"
        assert "github.event_name == 'push' && github.event.before" in job["env"]["AGAINST"]
        assert "format('origin/{0}', github.base_ref || 'main')" in job["env"]["AGAINST"]


LOGIN = {"PACT_BROKER_TOKEN", "PACT_BROKER_USERNAME", "PACT_BROKER_PASSWORD"}


@pytest.mark.parametrize("name", ["deployment.yml: broker", "service.yml: ci", "verification.yml: verify"])
def test_a_job_that_asks_the_broker_has_its_address_and_its_login(name: str) -> None:
    environment = jobs()[name]["env"]

    assert environment["PACT_BROKER_BASE_URL"] == (
        "${{ !github.event.pull_request.head.repo.fork && vars.PACT_BROKER_BASE_URL || '' }}"
        if name.startswith("service.yml")  # a fork's pull request has no login
        else "${{ vars.PACT_BROKER_BASE_URL }}"
    )
    assert {variable: environment.get(variable) for variable in LOGIN} == {
        variable: f"${{{{ secrets.{variable} }}}}" for variable in LOGIN
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_workflow_passes_the_brokers_login_on(service: str) -> None:
    [job] = WORKFLOWS[f"{service}.yml"]["jobs"].values()

    assert job["secrets"] == {variable: f"${{{{ secrets.{variable} }}}}" for variable in LOGIN}
    assert set(WORKFLOWS["service.yml"][True]["workflow_call"]["secrets"]) == LOGIN


def test_a_deployment_asks_before_and_tells_after() -> None:
    runs = {name: step["run"] for name, step in steps() if name.startswith("deployment.yml") and "run" in step}

    assert ' can-i-deploy "$SERVICE" ' in runs["deployment.yml: may it be deployed?"]
    assert ' record-deployment "$SERVICE" ' in runs["deployment.yml: it is deployed"]
    assert WORKFLOWS["verification.yml"]["jobs"]["verify"]["steps"][-1]["run"].endswith('broker verify "$PROVIDER"')
    assert "--retry-while-unknown 30 --retry-interval 10" in runs["deployment.yml: may it be deployed?"], (
        "right after a merge a verification is under way"
    )
    assert WORKFLOWS["verification.yml"][True] == {
        "repository_dispatch": {"types": ["contract_requiring_verification_published"]}
    }


def besides_the_broker(job: str) -> Mapping[str, str]:
    environment = jobs()[job]["env"]
    return {name: environment[name] for name in environment if name not in {*LOGIN, "PACT_BROKER_BASE_URL"}}


def test_the_broker_is_asked_about_the_version_and_the_environment_that_are_deployed() -> None:
    inputs = {"PACT_VERSION": "version", "PACT_ENVIRONMENT": "environment", "SERVICE": "service", "OPTIONS": "options"}

    assert besides_the_broker("deployment.yml: broker") == {
        name: f"${{{{ inputs.{given} }}}}" for name, given in inputs.items()
    }


@pytest.mark.parametrize("by", ["workflow_call", "workflow_dispatch"])
def test_who_deploys_says_what_and_whoever_says_not_where_means_production(by: str) -> None:
    inputs = WORKFLOWS["deployment.yml"][True][by]["inputs"]

    assert {name for name, each in inputs.items() if each.get("required")} == {"moment", "service", "version"}
    assert {name: each["default"] for name, each in inputs.items() if not each.get("required")} == {
        "environment": "production",
        "options": "",
    }


def test_a_verification_is_one_of_the_code_that_is_checked_out() -> None:
    """A version of its own would have the broker believe of one commit what was seen of another."""
    [checkout] = [step["with"] for step in jobs()["verification.yml: verify"]["steps"] if "ref" in step.get("with", {})]

    assert checkout["ref"] == "${{ github.event.client_payload.provider_version || github.sha }}"
    assert besides_the_broker("verification.yml: verify").keys() == {"PACT_URL", "PACT_BRANCH", "PROVIDER"}


def test_the_webhook_tells_what_the_workflow_asks_of_it() -> None:
    asked = re.findall(r"client_payload\.(\w+)", (ROOT / ".github/workflows/verification.yml").read_text())

    assert {"pact_url", "provider", "provider_version", "provider_branch"} == set(asked)
    assert set(asked) <= PAYLOAD.keys()
    assert WORKFLOWS["verification.yml"][True]["repository_dispatch"]["types"] == [EVENT]


VERSION = r"[0-9a-f]{40}|(?:release/)?v\d+(?:\.\d+)*"
"""A commit, or a tag."""


def test_what_runs_in_a_workflow_is_a_version_and_no_branch() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}
    runners = {job["runs-on"] for job in jobs().values() if "runs-on" in job}

    moving = [name for name in used if not re.fullmatch(rf"[\w./-]+@(?:{VERSION})", name)]
    assert moving == [], "name a version or a commit: a branch is somebody else's next commit"
    assert [name for name in runners if name.endswith("-latest")] == [], "name the release: it changes by itself"


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_workflow_runs_its_own_pipeline_for_whatever_it_is_made_of(service: str) -> None:
    workflow = WORKFLOWS[f"{service}.yml"]
    triggers = workflow[True]  # YAML reads `on` as a boolean
    [job] = workflow["jobs"].values()

    assert job["with"] == {"service": service}
    assert job["uses"] == "./.github/workflows/service.yml"
    assert "merge_group" in triggers, "a queue of merges would wait for it for ever"
    assert triggers["push"]["branches"] == ["main"]
    assert "branches" not in triggers["pull_request"], "a pull request onto a pull request would be tried by nobody"
    for event in ("push", "pull_request"):
        assert {
            f"services/{service}/**",
            "libs/**",
            "sandbox/**",
            "contracts/**",
            "pyproject.toml",
            "uv.lock",
            "Makefile",
            f".github/workflows/{service}.yml",
            ".github/workflows/service.yml",
        } <= set(triggers[event]["paths"])


def test_what_is_published_is_a_commit_that_somebody_can_deploy() -> None:
    """Not the merge that GitHub makes for a pull request: it exists nowhere else."""
    [checkout] = [
        step
        for step in WORKFLOWS["service.yml"]["jobs"]["ci"]["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]

    assert checkout["with"]["ref"] == "${{ github.event.pull_request.head.sha || github.sha }}"


def test_a_pull_request_asks_whether_it_may_be_merged() -> None:
    steps = WORKFLOWS["service.yml"]["jobs"]["ci"]["steps"]
    [asks] = [step for step in steps if 'ARGS="can-i-merge' in step.get("run", "")]

    assert asks["if"] == "github.event_name == 'pull_request' && env.PACT_BROKER_BASE_URL != ''"
    runs = [step.get("run", "") for step in steps]
    assert runs.index("make ci SERVICE=${{ inputs.service }}") < runs.index(asks["run"])


def test_the_oldest_and_the_newest_python_are_tested() -> None:
    pythons = WORKFLOWS["ci.yml"]["jobs"]["pythons"]

    assert pythons["strategy"]["matrix"]["python"] == [SUPPORTED[0], SUPPORTED[-1]]
    assert pythons["strategy"]["fail-fast"] is False, "what one refuses would hide what the other does"
    assert PYPROJECT["project"]["requires-python"] == f">={SUPPORTED[0]}"
    assert pythons["env"]["REQUIRE"] == "pythons"


def test_the_lowest_versions_are_tested_on_the_oldest_python() -> None:
    job = WORKFLOWS["ci.yml"]["jobs"]["floors"]

    assert [step["run"] for step in job["steps"][2:]] == [
        "make fetch-kafka",
        "make floors ARGS='--level \"unit or integration\"'",
    ]
    assert job["steps"][1]["with"]["python-version"] == SUPPORTED[0]
    assert job["env"]["REQUIRE"] == "kafka"


def test_the_gates_are_tried_with_mistakes_by_a_job_that_has_what_they_need() -> None:
    job = WORKFLOWS["ci.yml"]["jobs"]["drill"]

    assert [step["run"] for step in job["steps"][2:]] == ["make fetch-kafka fetch-asyncapi-parser", "make drill"]
    assert job["env"]["REQUIRE"] == "kafka,node"
