"""What the Makefile and CI must run: a test that nobody runs is green."""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from shop_harness.services import SERVICES

from tools.scratch import ROOT, projects
from tools.uv import own_environment

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LEVELS = ("unit", "contract", "model", "parity", "integration", "journey", "e2e")
MAKEFILE = (ROOT / "Makefile").read_text()
CI = (ROOT / ".ci/run").read_text()
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
    "mistakes": "takes an hour; the workflow ci runs make drill, a part of it",
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
REQUIRED = {"kafka", "node", "containers", "faults", "pgbouncer", "prometheus", "chromium", "flake"}
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


TEXTS = {
    "story": {"ORDER"},
    "logs": {"ORDER"},
    "new-service": {"NAME", "READS", "PUBLISHES"},
    "remove-service": {"NAME"},
    "release-build": {"TAG"},
}
"""What somebody else may have written: an order's id in a ticket, a tag. A program reads it, and no shell."""


def test_the_texts_that_no_shell_may_read_are_exported() -> None:
    exported = re.findall(r"^([a-z -]+): export (\w+) := \$\((\w+)\)$", MAKEFILE, re.MULTILINE)

    assert {(target, name, name) for target, names in TEXTS.items() for name in names} == {
        (target, name, value) for targets, name, value in exported for target in targets.split()
    }


@pytest.mark.parametrize("target", TEXTS)
def test_no_shell_reads_a_text_that_somebody_else_may_have_written(target: str) -> None:
    said = recipe(target, **dict.fromkeys(TEXTS[target], "`id`"))

    assert said
    assert [line for line in said if "`id`" in line] == []


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


STAMPS = re.findall(r"^(\.venv\S*):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)


def test_what_was_installed_is_as_new_as_what_it_is_made_of() -> None:
    """Else each command installs it again."""
    assert {".venv", ".venv/plots"} <= {name for name, _ in STAMPS}
    assert [name for name, recipe in STAMPS if "\t@touch $@\n" not in recipe] == []


def test_what_a_few_commands_need_takes_nothing_out_that_others_need() -> None:
    synchronising = re.findall(r" sync --frozen.* --group .*", MAKEFILE)

    assert len(synchronising) >= 2
    assert [line for line in synchronising if " --inexact " not in line] == []


def test_what_is_fetched_is_what_is_locked() -> None:
    assert re.findall(r"\bnpm (?:install|i|add|update)\b|\bnpx\b|@latest\b", MAKEFILE + CI) == []
    assert "npm ci " in MAKEFILE
    [linters] = re.findall(r"@v\S+", CI)
    assert re.fullmatch(r"@v\d+\.\d+\.\d+", linters), "its release must turn no commit red"


def test_forms_of_events_are_kept_as_long_as_the_page_says() -> None:
    [days] = re.findall(r"^DAYS \?= (\d+)$", MAKEFILE, re.MULTILINE)

    assert f"more than DAYS ({days}) days ago" in MAKEFILE
    assert f"more than `DAYS` ({days}) days ago" in (ROOT / "docs/reference/commands.md").read_text()


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


def test_images_are_built_with_the_revision_that_they_are_of() -> None:
    build = next(command for command in recipe("images") if "docker compose build" in command)

    assert build.startswith("REVISION=$(git describe --always --abbrev=40 --dirty) "), "else their label says: unknown"


def test_a_commit_is_held_to_all_that_lint_looks_at() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    [hook] = repository["hooks"]

    assert (hook["entry"], hook["pass_filenames"]) == ("make lint", False)
    assert "python" in hook["types_or"]


def test_lint_looks_at_all_packages_all_tests_and_all_layers() -> None:
    commands = recipe("lint")
    packages, tests = (command for command in commands if " mypy " in command)
    configurations = {str(file.relative_to(ROOT)) for file in ROOT.glob("services/*/.importlinter")}

    folders = projects()
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
    r'BACKING_KAFKA=process make integration ARGS="-q -n auto --dist worksteal services libs/outboxed"',
    r'    make integration ARGS="-q -n auto --dist worksteal services libs/outboxed"',
)


@pytest.mark.parametrize("line", BESIDE_MAKE)
def test_ci_also_does(line: str) -> None:
    assert re.search(rf"^{line}$", CI, re.MULTILINE)


def test_ci_ends_what_it_started_and_nothing_else() -> None:
    """On a developer's machine an engine may run already, with containers of theirs."""
    assert re.search(r"^if ! docker version .*; then\n    trap 'deploy/engine/engine stop' EXIT", CI, re.MULTILINE)
    assert CI.count("engine stop") == 1
    started = CI.index("exec {broker}< <(")
    assert CI.index("trap 'kill \"$!\"' EXIT", started) < CI.index("read -r line <&", started)


def test_ci_waits_for_no_registry_that_does_not_answer() -> None:
    assert re.findall(r"\S+ \S+ docker compose pull", CI) == ["timeout 120 docker compose pull"]


def test_each_days_storm_is_another_one() -> None:
    [seed] = re.findall(r"make faults ARGS=.*--seed (.*) --no-measure", CI)

    assert seed == "$(date +%j)"


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
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    lines = "\n".join((CI, *(step["run"] for job in jobs for step in job["steps"] if "run" in step)))
    run = {target for target in targets if re.search(rf"^ *(?:[A-Z_]+=\S+ )*make {target}\b(?!-)", lines, re.MULTILINE)}
    proving = {target for target in targets if not target.startswith("bench-")}

    assert sorted(proving - run - {*NOT_IN_CI}) == [], "CI doesn't run them, and NOT_IN_CI doesn't say why"
    assert sorted(run & {*NOT_IN_CI}) == [], "CI runs what NOT_IN_CI says it doesn't"
    assert [target for target in NOT_IN_CI if target not in targets] == []


def test_a_python_without_venv_is_named_before_anything_is_made(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\n')
    python.chmod(0o755)
    environment = own_environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    command = ["make", "--always-make", ".tools/uv/bin/uv"]
    made = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)  # noqa: S603

    told = "make: python3 has no venv: on Debian and Ubuntu, apt install python3-venv"
    assert (made.returncode, made.stderr.splitlines()[0], made.stdout) == (2, told, "")
