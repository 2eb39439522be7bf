"""Every command in README and docs is run by CI or by a test, or it is said here why not."""

import re
from pathlib import Path

import pytest
from shop_demo.__main__ import curl_script
from shop_demo.system import Ports

from .test_documentation import IDS, PAGES, ROOT, commands

COMMAND = re.compile(r"(?:uv run (?:--package \w+ )?)?((?:make|python -m|docker|pip|pytest) .*)")
CI = ".ci/run"
BROKER = "libs/testkit/tests/integration/test_broker_commands.py"
RUN_BY = {
    r"make up\b": ("demo/tests/integration/test_up.py", '"shop_demo", "up"'),
    r"make (?:unit|contract|parity|lint|e2e)\b": (CI, "make test"),
    r"make run SERVICE=\w+$": ("demo/src/shop_demo/system.py", "SERVICES"),
    r"make ci\b": (CI, "make ci-alone"),
    r"make engine(?:-stop)?\b": (CI, "deploy/engine/engine start"),
    r"make contracts-verify": ("libs/testkit/tests/contract/test_broker_source.py", '"verify"'),
    r"make contracts-webhook": (BROKER, '"create-webhook"'),
    r"make contracts-(publish|can-i-deploy|can-i-merge|record-deployment)": (BROKER, r'"\1"'),
    r"make (run SERVICE=payments ARGS=--help|[a-z-]+)": (CI, r"make \1"),
    r"docker compose up --wait$": ("tests/e2e/shop.py", '"up", "--wait"'),
    r"docker compose exec postgres psql": ("tests/e2e/test_journeys.py", '"postgres", "psql"'),
    r"pip install": ("tests/installed/__main__.py", "pip install"),
    r"pytest services/(\w+)": (CI, "make ci-alone"),
    r"python -m (?:<service>|\w+) dead-letters": (
        "services/orders/tests/integration/test_command_line.py",
        '"dead-letters", "list"',
    ),
    r"python -m payments reconcile": ("tests/faults/aftermath.py", '"payments", "reconcile"'),
    r"python -m (orders|payments|notifications)\b": ("demo/src/shop_demo/system.py", r'"\1"'),
    r"python -m (payment_gateway|mail_catcher)$": ("sandbox/tests/integration/test_programs.py", r'"\1"'),
    r"python -m testkit.asyncapi gate": ("libs/testkit/tests/integration/test_asyncapi_command.py", '"gate"'),
    r"python -m testkit.kafka --topic": ("libs/testkit/tests/integration/test_kafka.py", '"testkit.kafka", "--topic"'),
    r"python -m (testkit\.(?:kafka|faults)\.fetch)": ("Makefile", r"\1"),
    r"python -m testkit.pact.broker": ("libs/testkit/tests/integration/test_broker_down.py", '"testkit.pact.broker"'),
}
"""A command, and where it is run: the file has the text."""
NOT_RUN = {
    r"make (?:faults ARGS=|faults-drill|flake|memory|mutation$)": "takes 4 minutes to 2 hours; CI runs less of it",
    r"make bench-": "measures, which needs a machine that does nothing else",
    r"make watch": "waits for a person's saves; what it then runs: test_watch.py",
    r"docker compose --profile broker up": "the Pact Broker's image is pulled from a registry",
    r"docker compose (?:port|exec -e ORDERS_OPERATOR)": "needs a person's choices, and their containers",
}
"""A command, and why it is run by hand only."""


def _matching(command: str, patterns: dict[str, object]) -> str | None:
    return next((pattern for pattern in patterns if re.match(pattern, command)), None)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_is_run_somewhere(page: Path) -> None:
    for line in commands(page):
        found = COMMAND.fullmatch(line.split("  #")[0].strip())
        if found is None or _matching(found[1], {**NOT_RUN}):
            continue
        pattern = _matching(found[1], {**RUN_BY})
        assert pattern, f"nobody runs `{found[1]}`"
        file, text = RUN_BY[pattern]
        match = re.match(pattern, found[1])
        assert match
        assert match.expand(text) in (ROOT / file).read_text(), f"{file} doesn't run `{found[1]}` any more"


@pytest.mark.parametrize("pattern", [*RUN_BY, *NOT_RUN])
def test_nothing_is_explained_that_no_page_mentions(pattern: str) -> None:
    found = (COMMAND.fullmatch(line.split("  #")[0].strip()) for page in PAGES for line in commands(page))

    assert any(re.match(pattern, match[1]) for match in found if match)


def test_the_orders_that_the_readme_places_are_those_of_make_up() -> None:
    """Which a test pastes into a shell: demo/tests/integration/test_up.py."""
    shown = re.findall(r"```sh\n(curl .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    assert [script.strip() for script in shown] == [curl_script(Ports()).strip()]
