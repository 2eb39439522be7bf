"""What the Makefile, CI and the workflows must run: a test that nobody runs is green."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from pact_faststream.broker.webhooks import EVENT, PAYLOAD
from shop_harness.services import SERVICES

from tools.pythons.interpreters import SUPPORTED
from tools.scratch import MEMBERS
from tools.uv import own_environment

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LEVELS = ("unit", "contract", "model", "parity", "integration", "journey", "e2e")
MAKEFILE = (ROOT / "Makefile").read_text()
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
    folders = {file.relative_to(ROOT).parts[0] for file in (*ROOT.glob("tests"), *ROOT.glob("*/tests"))}
    assert folders | {"libs", "services"} == set(PYPROJECT["tool"]["pytest"]["ini_options"]["testpaths"])


HARMLESS = {"-q", "-n", "auto", "--dist", "worksteal", "-m"}
"""What pytest is told of how to run; anything else may leave tests out."""


def test_make_test_leaves_no_test_out() -> None:
    for call in pytest_calls(recipe("test")):
        assert {*shlex.split(call)} - HARMLESS - {"not e2e", "e2e"} == set()


@pytest.mark.parametrize("level", LEVELS)
def test_a_levels_command_runs_this_level_and_all_of_it(level: str) -> None:
    [call] = pytest_calls(recipe(level))

    assert shlex.split(call) == ["-m", level]


OF_A_COMMAND = {
    "drill": "-m tools.mistakes --part contracts",
    "faults-drill": "-m tools.mistakes --part delivery",
    "mutation-diff": "-m tools.mutation --against origin/main",
    "contracts-gate": "-m asyncapi_gate --against origin/main",
    "contracts": "-m pytest -q -m contract --write-contracts",
    "dashboards-check": "-m tools.dashboards --check",
    "docs-check": "REQUIRE=chromium ",
}
"""What makes a command another one than it would be without."""


@pytest.mark.parametrize("target", OF_A_COMMAND)
def test_a_command_does_what_its_name_says(target: str) -> None:
    said = " ".join(recipe(target, AGAINST="origin/main")).replace(" pytest ", " -m pytest ")

    assert OF_A_COMMAND[target] in said


def test_a_services_own_pipeline_has_no_code_of_the_others() -> None:
    alone = re.findall(r"^ci-alone:[^\n]*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[0]

    assert "find services -mindepth 1 -maxdepth 1 -type d ! -name $(NAMED) -exec rm -r {} +" in alone
    assert "$(MAKE) ci SERVICE=$(SERVICE)" in alone


def test_the_environment_is_that_of_the_lock_and_is_made_again_with_it() -> None:
    lines = [line for line in MAKEFILE.splitlines() if re.search(r"\$\(UV\) (?:sync|run)\b", line)]

    assert len(lines) >= 4
    assert [line for line in lines if "--frozen" not in line] == []
    assert re.search(r"^\.venv: .*\buv\.lock\b", MAKEFILE, re.MULTILINE)


AGAINST = "AGAINST ?= $(if $(HEAD_IS_MAIN),HEAD~1,origin/main)"


@pytest.mark.parametrize("target", ["mutation-diff", "contracts-gate"])
def test_a_command_that_compares_does_not_compare_with_itself(target: str) -> None:
    assert re.search(r"--against (origin/main|HEAD~1)\b", " ".join(recipe(target)))
    assert AGAINST in MAKEFILE.splitlines(), "on main itself the commit before is what there is to compare with"


HIDES_A_FAILURE = re.compile(
    r"\|\| *(?:true|:)(?!\w)|; *true\b|\bset \+|\bexit 0\b|^\t@?-|(?:\$\((?:RUN|MAKE|BROKER)\)|\bmake\b).*\|\| *echo"
)
GOES_ON = "\t@$(RUN) ruff check --fix --quiet . || true"
"""`make format` formats, too, where something is left that ruff can't fix."""


def test_no_command_of_the_makefile_goes_on_after_a_failure() -> None:
    recipes = [line for line in MAKEFILE.splitlines() if line.startswith("\t")]

    assert [line for line in recipes if HIDES_A_FAILURE.search(line) and line != GOES_ON] == []
    assert not re.search(r"^\.IGNORE|^MAKEFLAGS\b.*(?: -[ik]|--ignore-errors|--keep-going)", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", MAKEFILE))))
def test_a_program_of_the_makefile_is_there(module: str) -> None:
    found = find_spec(module)

    assert found
    assert found.submodule_search_locations is None or find_spec(f"{module}.__main__")


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

    folders = [folder for member in MEMBERS for folder in ROOT.glob(member)]
    assert {file.parent.name for each in folders for file in each.glob("src/*/__init__.py")} <= set(packages.split())
    own = [each / "tests" for each in folders if (each / "tests").exists()]
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
    assert {*shlex.split(call)} - HARMLESS == {f"services/{service}", "tests/unit/test_canvas.py"}
    published = re.search(
        rf"broker publish {service} && .*broker verify {service} && .*register-version {service}", commands
    )
    assert published, "publish, verify, register, in this order: each needs the one before"


MADE = re.compile(r"^ *(?:[A-Z_]+=\S+ )*make\b")
NOT_ALWAYS = {"images-offline", "integration", "journey", "ci-alone"}
"""What CI makes within a loop, a condition or a shell of its own."""


def test_ci_ends_at_the_first_error() -> None:
    made = [line for line in CI.splitlines() if MADE.search(line)]

    assert "\nset -euo pipefail\n" in CI
    assert [line for line in made if re.search(r"\|\||;|&\s*$|&&", line)] == []
    assert not re.search(r"\bset \+|^\s*(?:exit|return)\b|\bif (?:false|!? ?make)\b", CI, re.MULTILINE)
    assert {target for line in made for target in re.findall(r"^ +.*?make ([a-z-]+)", line)} == NOT_ALWAYS, (
        "a command that doesn't always run has its line in NOT_ALWAYS"
    )


def test_ci_leaves_nothing_out_of_what_it_makes() -> None:
    made = [line for line in CI.splitlines() if MADE.search(line)]
    less = re.compile(r"--(?:only|help|co|collect-only|ignore|deselect)\b| -k |AGAINST=")

    assert [line for line in made if less.search(line)] == [
        'make alarms ARGS="--only stopped --only poison --healthy 50"',
        "make run SERVICE=payments ARGS=--help > /dev/null",
    ]


PROFILES = sorted(
    {
        profile
        for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
        for profile in service.get("profiles", ())
    }
)
BESIDE_MAKE = (
    r"docker compose config --quiet",
    *(rf"docker compose --profile {profile} config --quiet" for profile in PROFILES),
    r"ldconfig -p \| grep -q libnss_wrapper\.so \|\| apt_install libnss-wrapper",
    r"    \.tools/go/actionlint",
    r"git grep -lE .* \| xargs shellcheck\b.*",
    r'    for service in services/\*/; do\n        make ci-alone SERVICE="\$\(basename "\$service"\)"\n    done',
    r"MODEL_EXAMPLES=\d{4,} make model .*",
    r'make contracts ARGS="--shuffle -n \d"',
    r'BACKING_KAFKA=process make integration ARGS="-q services libs/outboxed"',
    r'    make integration ARGS="-q services libs/outboxed"',
)


@pytest.mark.parametrize("line", BESIDE_MAKE)
def test_ci_also_does(line: str) -> None:
    assert re.search(rf"^{line}$", CI, re.MULTILINE)


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

    assert "vars.PACT_BROKER_BASE_URL" in environment["PACT_BROKER_BASE_URL"]
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
    assert WORKFLOWS["verification.yml"][True] == {
        "repository_dispatch": {"types": ["contract_requiring_verification_published"]}
    }


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
    assert settings["empty_parameter_set_mark"] == "fail_at_collect"
    assert {"--strict-markers", "--strict-config"} <= set(settings["addopts"])


def test_pytest_collects_what_it_collects_by_default_and_ends_what_hangs() -> None:
    settings = PYPROJECT["tool"]["pytest"]["ini_options"]
    less = re.compile(r"-[mkx]|--(?:ignore|deselect|maxfail|lf|ff|co)|-pno:|-p no:")

    assert [name for name in settings if name.startswith(("python_", "norecursedirs", "collect_", "required_"))] == []
    assert [option for option in settings["addopts"] if less.match(option)] == []
    assert settings["asyncio_mode"] == "auto"
    assert 60 <= settings["timeout"] <= 600


SEEN_BY_RUFF = {
    "ASYNC251": "import time\n\n\nasync def wait():\n    time.sleep(1)\n",
    "B006": "def add(one, to=[]):\n    to.append(one)\n",
    "B015": "def check(one):\n    one == 1\n",
    "BLE001": "def swallow(do):\n    try:\n        do()\n    except Exception:\n        return\n",
    "DTZ005": "from datetime import datetime\n\nNOW = datetime.now()\n",
    "F631": "def check(one):\n    assert (one, 'is one')\n",
    "F811": "def test_one():\n    pass\n\n\ndef test_one():\n    pass\n",
    "RUF006": "import asyncio\n\n\nasync def begin(work):\n    asyncio.create_task(work())\n",
    "S110": "def swallow_all(do):\n    try:\n        do()\n    except Exception:\n        pass\n",
    "S608": "def query(name):\n    return f'select * from orders where name = {name}'\n",
    "TID251": "import asyncio\nimport unittest.mock\n\n\nasync def wait(it):\n    await asyncio.wait_for(it, 1)\n",
}
"""Mistakes that no test may see, by the rule of ruff's that sees them."""
PLACES = (
    "libs/outboxed/src/outboxed/relay/x.py",
    "services/orders/src/orders/x.py",
    "services/orders/tests/unit/test_x.py",
    "console/src/shop_console/x.py",
    "harness/src/shop_harness/x.py",
    "tests/unit/test_x.py",
)


@pytest.mark.parametrize("place", PLACES)
def test_lint_sees_mistakes_that_no_test_may_see(place: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--force-exclude", "--output-format", "concise"]
    code = "\n\n".join(SEEN_BY_RUFF.values())

    done = subprocess.run(  # noqa: S603 - ruff
        [*command, "--stdin-filename", place, "-"], cwd=ROOT, input=code, check=False, capture_output=True, text=True
    )

    assert SEEN_BY_RUFF.keys() - set(re.findall(r" ([A-Z]+\d+) ", done.stdout)) == set()


def test_mypy_is_strict_with_all_that_is_ours() -> None:
    settings = PYPROJECT["tool"]["mypy"]
    ours = {file.parent.name for file in (*ROOT.glob("*/src/*/__init__.py"), *ROOT.glob("*/*/src/*/__init__.py"))}
    overridden = {module.partition(".")[0] for each in settings["overrides"] for module in each["module"]}

    assert settings["strict"] is True
    assert "unused-awaitable" in settings["enable_error_code"]
    assert settings["exclude"] == ["/migrations/versions/"]
    assert not {"ignore_errors", "disable_error_code", "follow_imports", "ignore_missing_imports"} & settings.keys()
    assert overridden & {*ours, "tests", "tools", "*"} == set()


def test_a_python_without_venv_is_named_before_anything_is_made(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\n')
    python.chmod(0o755)
    environment = own_environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    command = ["make", "--always-make", ".tools/uv/bin/uv"]
    made = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)  # noqa: S603

    told = "make: python3 has no venv: on Debian and Ubuntu, apt install python3-venv"
    assert (made.returncode, made.stderr.splitlines()[0], made.stdout) == (2, told, "")
