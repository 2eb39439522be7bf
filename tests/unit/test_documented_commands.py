"""Every command in README and docs is run by CI or by a test, or it is said here why not."""

import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from shop_demo.__main__ import curl_script
from shop_harness.services import ROOT, SERVICES
from shop_harness.system import Ports

from .test_documentation import IDS, PAGES, commands

COMMAND = re.compile(r"(?:[A-Z_]+=\w+ )*(?:uv run (?:--package \w+ )?)?((?:make|python -m|docker|pip|pytest) .*)")
NO_COMMAND = re.compile(r"curl |TOKEN=|ORDER=|-[dH] |\| sed |for _|sleep|done|export |no published event|.*_PORT=0|$")
"""Lines that belong to a command before or after them, and output."""
CI, WORKFLOW = ".ci/run", ".github/workflows/ci.yml"
BROKER = "tools/broker_walkthrough/story.py"
RUN_BY = {
    r"make up$": ("demo/tests/integration/test_up.py", '"shop_demo", "up"'),
    r"make story": ("console/tests/integration/test_command.py", r'run\("story", order_id'),
    r"make (?:unit|contract|parity|lint|e2e)$|make images e2e": (CI, "make test"),
    r'make run SERVICE=\w+ ARGS=(?:"dead-letters list|doctor)': ("demo/tests/integration/test_up.py", '"ARGS=doctor"'),
    r"make logs ORDER=": ("demo/tests/integration/test_up.py", '"logs", f"ORDER='),
    r"python -m (?:<service>|\w+) doctor": ("services/payments/tests/integration/test_doctor.py", r'"doctor"'),
    r"make run SERVICE=\w+$": (CI, "make run SERVICE=payments ARGS=--help"),
    r"make ci( SERVICE=\w+)?$": (CI, "make ci-alone SERVICE="),
    r"make docs-check$": (CI, "chromium make test"),
    r"make console-pictures$": ("tools/console_check/pictures.py", "running"),
    r"make dashboards$": ("Makefile", "tools.dashboards$"),
    r"make browser-files$": ("tests/integration/test_browser_files.py", r"package\.fetch"),
    r"make engine(?:-stop)?$": (CI, "deploy/engine/engine (?:start|stop)"),
    r"make (new|remove)-service": ("tools/new_service_check/__main__.py", r'"\1-service"'),
    r"make broker-stand-in$": ("tests/integration/test_broker_stand_in.py", '"tools.broker_stand_in"'),
    r'make broker ARGS="([a-z-]+)': (BROKER, r'"\1"'),
    r'make broker SERVICE=\w+ ARGS="[a-z-]+ (--[a-z-]+)': (BROKER, r'"\1"'),
    r"make broker SERVICE=[\w-]+ ARGS=([a-z-]+)": (BROKER, r'"\1"'),
    r"make dashboards-check": (CI, "make dashboards-check"),
    r"make alarms|python -m tools.alarms": (CI, "make alarms ARGS="),
    r"make release-check": (".github/workflows/release.yml", "make release-check"),
    r"make release-build": (".github/workflows/release.yml", "make release-build TAG="),
    r"make contracts-drop": ("libs/asyncapi_gate/tests/integration/test_command.py", '"--drop-forms"'),
    r"make (drill|floors|pythons)": (WORKFLOW, r"run: make \1"),
    r"make (run SERVICE=payments ARGS=--help|[a-z-]+)": (CI, r"make \1"),
    r"docker compose up --wait$": ("tests/e2e/containers.py", '"up", "--wait"'),
    r"docker compose exec postgres psql": ("tests/e2e/test_journeys.py", '"postgres", "psql"'),
    r"pip install \./libs/(?:outboxed|backing_services|pact_faststream|asyncapi_gate)": (
        "tools/installed/__main__.py",
        r"INSTALL\.findall",
    ),
    r"pytest (?:services|libs)/\w+": (CI, "make test"),
    r"python -m (?:<service>|\w+) dead-letters": (
        "services/orders/tests/integration/test_command_line.py",
        '"dead-letters", "list"',
    ),
    r"python -m (?:\w+) migrate$": ("services/orders/tests/integration/test_command_line.py", '"orders", "migrate"'),
    r"python -m orders (seed-products|create-operator)": ("services/orders/pyproject.toml", r'\["\1"'),
    r"python -m payments reconcile": ("tools/faults/aftermath.py", '"payments", "reconcile"'),
    rf"python -m (?:{'|'.join(SERVICES)})(?: \[run\]| --role|$)": (
        "harness/src/shop_harness/system.py",
        r'"-m", module',
    ),
    r"python -m (payment_gateway|mail_catcher|partner)$": ("sandbox/tests/integration/test_programs.py", r'"\1"'),
    r"python -m asyncapi_gate --drop-forms": ("libs/asyncapi_gate/tests/integration/test_command.py", '"--drop-forms"'),
    r"python -m asyncapi_gate --against": ("libs/asyncapi_gate/tests/integration/test_command.py", '"--against"'),
    r"python -m backing_services.kafka --topic": (
        "libs/backing_services/tests/integration/test_kafka.py",
        '"backing_services.kafka", "--topic"',
    ),
    r"python -m outboxed dead-letters": (
        "libs/outboxed/tests/integration/joining/test_command.py",
        '"-m", "outboxed", "dead-letters"',
    ),
    r"python -m outboxed relay": (
        "libs/outboxed/tests/integration/joining/test_command.py",
        '"-m", "outboxed", "relay"',
    ),
    r"python -m (backing_services\.(?:kafka|faults)\.fetch)": ("Makefile", r"\1"),
    r"python -m pact_faststream.broker": (
        "libs/pact_faststream/tests/integration/test_broker_down.py",
        '"pact_faststream.broker"',
    ),
}
"""A command, and where it is run: a line of the file that is no comment has the text, a regular expression."""
NOT_RUN = {
    r"make (?:faults ARGS=|faults-drill|mistakes|flake|memory)": "takes minutes to hours; CI runs less of it",
    r"make mutation(?:$| ARGS=)": "takes an hour; CI runs make mutation-diff",
    r"make sql-mutation": "takes hours; tests/unit/test_sql_mutation.py holds which mutants are made",
    r"make history-check": "takes an hour, and CI may have no history",
    r"make (?:bench-|performance)": "measures, which needs a machine that does nothing else",
    r"make price ARGS=\"--write-baseline\"": "measures CPU, which needs a machine that does nothing else",
    r"make upgrade-check$": "finds what was published since, whatever the commit; its parts: test_upgrade_check.py",
    r"make (?:format|clean)$": "changes or removes files of whoever runs it",
    r"make watch": "waits for a person's saves",
    r"docker compose --profile broker up": "the Pact Broker's image is pulled from a registry",
    r"docker compose --profile observability (?:up|down)": "pulls images; tests/e2e/test_observability.py starts some",
    r"docker compose (?:port|exec -e ORDERS_OPERATOR)": "needs a person's choices, and their containers",
}
"""A command, and why it is run by hand only."""


@cache
def _documented(page: Path) -> Sequence[str]:
    documented = []
    for line in commands(page):
        command = line.split("  #")[0].strip()
        if found := COMMAND.fullmatch(command):
            documented.append(found[1])
        else:
            assert NO_COMMAND.match(command), f"is `{command}` a command?"
    return documented


def _is_run(file: str, text: str) -> bool:
    lines = (ROOT / file).read_text().splitlines()
    return any(
        re.search(rf"{text}(?![\w-])", line) for line in lines if not line.lstrip().startswith(("#", "step ", '"""'))
    )


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_is_run_somewhere(page: Path) -> None:
    for command in _documented(page):
        if any(re.match(pattern, command) for pattern in NOT_RUN):
            continue
        match = next((match for pattern in RUN_BY if (match := re.match(pattern, command))), None)
        assert match, f"nobody runs `{command}`"
        file, text = RUN_BY[match.re.pattern]
        assert _is_run(file, match.expand(text)), f"{file} doesn't run `{command}` any more"


OF_A_SERVICE = re.compile(rf"python -m ({'|'.join(SERVICES)}|<service>)((?: .*)?)")
PLACEHOLDER = re.compile(r"[\[\]|\\]|\.\.\.")
"""Of a command's usage: `[--role ...]`, `list|show`."""


def _lacks(command: str) -> str | None:
    """The first word of a service's command that its command line doesn't know."""
    if not (found := OF_A_SERVICE.match(command)):
        return None
    here = command_line_of(found[1].replace("<service>", "orders"))
    for word in PLACEHOLDER.sub(" ", found[2]).split():
        if word.startswith("#"):
            break
        known = {option for part in here.params for option in part.opts}
        if word.startswith("--"):
            if word.partition("=")[0] not in known | {"--help"}:
                return word
        else:
            here = getattr(here, "commands", {}).get(word, here)
    return None


@cache
def command_line_of(service: str) -> Any:
    return typer.main.get_command(import_module(f"{service}.__main__").command_line.typer)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_services_command_has_the_options_that_a_page_shows(page: Path) -> None:
    assert [command for command in commands(page) if _lacks(command)] == []


@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        ("python -m payments dead-letters list --source outbox", None),
        ("python -m orders [run] [--role ...]", None),
        ("python -m payments dead-letters list --state open", "--state"),
        ("python -m payments doctor --fix", "--fix"),
        ("make run SERVICE=payments", None),
    ],
)
def test_an_option_that_there_is_not_is_found(command: str, lacks: str | None) -> None:
    assert _lacks(command) == lacks


@pytest.mark.parametrize("pattern", [*RUN_BY, *NOT_RUN])
def test_nothing_is_explained_that_no_page_mentions(pattern: str) -> None:
    assert any(re.match(pattern, command) for page in PAGES for command in _documented(page))


def test_the_order_that_the_page_places_is_that_of_make_up() -> None:
    """Which a test pastes into a shell: demo/tests/integration/test_up.py."""
    shown = re.findall(r"```sh\n(curl .*?)```", (ROOT / "docs/start/run-it.md").read_text(), re.DOTALL)

    assert [script.strip() for script in shown] == [curl_script(Ports.usual()).strip()]
