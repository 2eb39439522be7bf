"""What the Makefile, CI and the workflows must run: a test that nobody runs is green."""

import os
import re
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from shop_harness.services import SERVICES

from tools.pythons.interpreters import SUPPORTED
from tools.uv import own_environment

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LEVELS = ("unit", "contract", "model", "parity", "integration", "journey", "e2e")
CI = (ROOT / ".ci/run").read_text()
WORKFLOWS = {file.name: yaml.safe_load(file.read_text()) for file in (ROOT / ".github/workflows").glob("*.yml")}
NOT_IN_CI = {
    "help": "shows this list",
    "up": "runs until Ctrl-C; demo/tests/integration/test_up.py runs it",
    "logs": "reads what `make up` runs; demo/tests/integration/test_up.py runs it",
    "story": "needs a system that runs; console/tests/integration/test_command.py runs it",
    "watch": "waits for a person's saves",
    "format": "changes files",
    "release-build": "the workflow release builds what is tagged; tests/unit/test_release.py reads tags",
    "clean": "removes files",
    "lint": "a part of make test",
    "ci": "make ci-alone runs it",
    "broker": "make broker-walkthrough runs its commands",
    "broker-stand-in": "CI starts the program itself",
    "docs-check": "a part of make test, for which CI has Chromium",
    "console-pictures": "changes files; make console-check takes pictures of the same pages",
    "dashboards": "changes files; tests/unit/test_dashboards.py compares them with their description",
    "browser-files": "changes files; tests/integration/test_browser_files.py fetches the same",
    "contracts-drop": "changes files; libs/asyncapi_gate tests it",
    "new-service": "changes files; make new-service-check and tests/unit/test_new_service.py make services",
    "remove-service": "changes files; make new-service-check takes one out",
    "mistakes": "takes an hour; CI runs make drill, a part of it",
    "faults-drill": "takes half an hour",
    "sql-mutation": "takes hours",
    "history-check": "takes an hour, and CI may have no history",
    "flake": "takes hours",
    "mutation": "takes an hour; CI runs make mutation-diff",
    "memory": "takes ten minutes",
    "performance": "runs what measures",
    "upgrade-check": "finds what was published since, whatever the commit",
    "engine": "CI starts the engine itself",
    "engine-stop": "CI ends the engine itself",
    "release-check": "release.yml runs it before it publishes; its parts, examples and installed, are in CI",
}
"""Why a command isn't run by CI; the benchmarks measure, too."""
PUBLISHES = "release.yml", "publish"
"""The one job that may do more than read: it proves to PyPI who it is."""
REQUIRED = {"kafka", "node", "containers", "faults", "pgbouncer", "prometheus", "chromium"}
"""What a machine may lack, so that tests are skipped there: CI must have it. `pythons` is for the workflow's matrix."""


def recipe(target: str, **variables: str) -> Sequence[str]:
    """The commands that make would run for a target, without its prerequisites."""
    given = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(  # noqa: S603
        ["make", "--dry-run", "--always-make", "--assume-old", ".venv", target, *given],  # noqa: S607 - the PATH's
        cwd=ROOT,
        env=own_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.replace("\\\n", " ").splitlines()
    return [line for line in lines if not line.startswith("#")]


def pytest_calls(commands: Sequence[str]) -> Sequence[str]:
    return [command.partition(" pytest ")[2] for command in commands if " pytest " in command]


def is_selected(level: str, call: str) -> bool:
    """Whether pytest runs the tests of a level in a call, which has all folders."""
    expression = re.search(r'-m (?:"([^"]+)"|(\S+))', call)
    if expression is None:
        return True
    names = dict.fromkeys(LEVELS, False) | {level: True}
    return bool(eval(expression[1] or expression[2], {}, names))  # noqa: S307 - pytest's own grammar is Python's


def test_make_test_runs_every_test_of_every_level() -> None:
    calls = pytest_calls(recipe("test"))
    words = {word for call in calls for word in re.sub(r'-m "[^"]+"|-\S+ ?(?:auto|worksteal|e2e)?', "", call).split()}

    assert [level for level in LEVELS if not any(is_selected(level, call) for call in calls)] == []
    assert words == set(), "make test runs the tests of all folders"
    assert {"libs", "services", "sandbox", "harness", "demo", "tests"} <= set(
        PYPROJECT["tool"]["pytest"]["ini_options"]["testpaths"]
    )


def test_make_test_begins_with_lint_and_ends_at_the_first_error() -> None:
    commands = recipe("test")

    assert any("ruff check" in command for command in commands)
    assert [command for command in commands if "||" in command or command.startswith("-")] == []


def test_a_recipe_ends_at_the_first_error_also_within_a_line() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert re.search(r"^SHELL := bash$", makefile, re.MULTILINE)
    assert re.search(r"^\.SHELLFLAGS := -euo pipefail -c$", makefile, re.MULTILINE)


def test_lint_looks_at_all_packages_all_tests_and_all_layers() -> None:
    commands = recipe("lint")
    packages, tests = (command for command in commands if " mypy " in command)
    configurations = {str(file.relative_to(ROOT)) for file in ROOT.glob("services/*/.importlinter")}

    assert {file.parent.name for file in ROOT.glob("*/*/src/*/__init__.py")} <= set(packages.split())
    own = [*ROOT.glob("libs/*/tests"), *ROOT.glob("services/*/tests")]  # an example has an environment of its own
    assert {str(folder.relative_to(ROOT)) for folder in own} <= set(tests.split())
    assert {"tests", "tools", "conftest.py"} <= set(tests.split())
    assert any(command.endswith("ruff check --quiet .") for command in commands)
    assert any(command.endswith("ruff format --check --quiet .") for command in commands)
    layers = next(command for command in commands if "lint-imports" in command)
    assert ".importlinter services/*/.importlinter" in layers
    assert len(configurations) == len(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_pipeline_holds_all_that_is_the_services_own(service: str) -> None:
    commands = " ".join(recipe("ci", SERVICE=service))

    for wanted in (
        f"ruff format --check --quiet services/{service}",
        f"ruff check --quiet services/{service}",
        f"mypy -p {service}",
        f"mypy services/{service}/tests",
        f"lint-imports --no-logo --config services/{service}/.importlinter",
        f"contracts-gate ARGS=contracts/asyncapi/{service}.json",
    ):
        assert wanted in commands
    [call] = pytest_calls(recipe("ci", SERVICE=service))
    assert f"services/{service}" in call.split()
    assert all(is_selected(level, call) for level in LEVELS)
    published = re.search(
        rf"broker publish {service} && .*broker verify {service} && .*register-version {service}", commands
    )
    assert published, "publish, verify, register, in this order: each needs the one before"


def test_ci_ends_at_the_first_error() -> None:
    assert "\nset -euo pipefail\n" in CI
    assert [line for line in CI.splitlines() if re.search(r"^make .*(\|\||; *true)", line)] == []


def test_ci_has_whatever_a_test_may_be_skipped_for() -> None:
    [required] = re.findall(r"^REQUIRE=(\S+) make test$", CI, re.MULTILINE)

    assert set(required.split(",")) == REQUIRED
    assert "\nexport REQUIRE=kafka,containers\n" in CI
    assert "\nREQUIRE=node make gate-matrix\n" in CI
    assert re.search(r"^REQUIRE=faults make faults ", CI, re.MULTILINE)


def test_ci_runs_what_touches_kafka_on_a_real_one_too() -> None:
    for level in ("integration", "journey"):
        assert re.search(rf"^BACKING_KAFKA=process make {level} ", CI, re.MULTILINE)
        assert re.search(rf"^    make {level} ", CI, re.MULTILINE), f"{level} on containers"
    assert "export BACKING_KAFKA=container BACKING_POSTGRES=container" in CI


def test_ci_holds_what_is_made_to_what_is_checked_in() -> None:
    assert re.search(r"^make contracts\ngit diff --exit-code contracts/$", CI, re.MULTILINE)


def test_ci_runs_every_command_that_proves_something() -> None:
    targets = re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    run = {target for target in targets if re.search(rf"^ *(?:[A-Z_]+=\S+ )*make {target}\b(?!-)", CI, re.MULTILINE)}
    proving = {target for target in targets if not target.startswith("bench-")}

    assert sorted(proving - run - {*NOT_IN_CI}) == [], ".ci/run doesn't run them, and NOT_IN_CI doesn't say why"
    assert sorted(run & {*NOT_IN_CI}) == [], ".ci/run runs what NOT_IN_CI says it doesn't"
    assert [target for target in NOT_IN_CI if target not in targets] == []


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


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_workflow_runs_its_own_pipeline_for_whatever_it_is_made_of(service: str) -> None:
    workflow = WORKFLOWS[f"{service}.yml"]
    triggers = workflow[True]  # YAML reads `on` as a boolean
    [job] = workflow["jobs"].values()

    assert job["with"] == {"service": service}
    assert job["uses"] == "./.github/workflows/service.yml"
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


def test_a_pull_request_asks_whether_it_may_be_merged() -> None:
    steps = WORKFLOWS["service.yml"]["jobs"]["ci"]["steps"]
    [asks] = [step for step in steps if 'ARGS="can-i-merge' in step.get("run", "")]

    assert asks["if"] == "github.event_name == 'pull_request' && env.PACT_BROKER_BASE_URL != ''"
    runs = [step.get("run", "") for step in steps]
    assert runs.index("make ci SERVICE=${{ inputs.service }}") < runs.index(asks["run"])


def test_the_oldest_and_the_newest_python_are_tested() -> None:
    pythons = WORKFLOWS["ci.yml"]["jobs"]["pythons"]

    assert pythons["strategy"]["matrix"]["python"] == [SUPPORTED[0], SUPPORTED[-1]]
    assert PYPROJECT["project"]["requires-python"] == f">={SUPPORTED[0]}"
    assert pythons["env"]["REQUIRE"] == "pythons"


def test_the_lowest_versions_are_tested_on_the_oldest_python() -> None:
    job = WORKFLOWS["ci.yml"]["jobs"]["floors"]

    assert job["steps"][-1]["run"] == "make floors"
    assert job["steps"][1]["with"]["python-version"] == SUPPORTED[0]
    assert "\nmake floors ARGS='--level \"unit or integration\"'\n" in CI


def test_a_warning_and_a_wrong_marker_are_errors() -> None:
    settings = PYPROJECT["tool"]["pytest"]["ini_options"]

    assert settings["filterwarnings"] == ["error"]
    assert settings["xfail_strict"] is True
    assert {"--strict-markers", "--strict-config"} <= set(settings["addopts"])


def test_a_python_without_venv_is_named_before_anything_is_made(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\n')
    python.chmod(0o755)
    environment = own_environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    command = ["make", "--always-make", ".tools/uv/bin/uv"]
    made = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)  # noqa: S603

    told = "make: python3 has no venv: on Debian and Ubuntu, apt install python3-venv"
    assert (made.returncode, made.stderr.splitlines()[0], made.stdout) == (2, told, "")
