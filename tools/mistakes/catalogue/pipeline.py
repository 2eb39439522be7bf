"""Mistakes in the Makefile, in CI and in the pages' commands: tests that nobody runs are green."""

from tools.mistakes.mistake import SHOP, Mistake, swap
from tools.scratch import Edit

MAKEFILE, CI = "Makefile", ".ci/run"
WORKFLOWS = ".github/workflows"

MISTAKES = (
    Mistake(
        "`make test` leaves the model out",
        "Tests that nobody runs.",
        SHOP,
        (swap(MAKEFILE, '-m "not e2e" $(ARGS)', '-m "not e2e and not model" $(ARGS)'),),
    ),
    Mistake(
        "`make test` leaves the containers out",
        "Tests that nobody runs.",
        SHOP,
        (swap(MAKEFILE, "\t@$(RUN) pytest -q -m e2e\n", ""),),
    ),
    Mistake(
        "`make test` has a folder of its own",
        "The libraries' tests are run by nobody.",
        SHOP,
        (swap(MAKEFILE, '--dist worksteal -m "not e2e" $(ARGS)', '--dist worksteal -m "not e2e" services $(ARGS)'),),
    ),
    Mistake(
        "`make test` goes on after a failed level",
        "A red level is green.",
        SHOP,
        (swap(MAKEFILE, '-m "not e2e" $(ARGS)\n', '-m "not e2e" $(ARGS) || true\n'),),
    ),
    Mistake(
        "the shell of the Makefile doesn't stop at an error",
        "A failed step in the middle is green.",
        SHOP,
        (swap(MAKEFILE, ".SHELLFLAGS := -euo pipefail -c", ".SHELLFLAGS := -c"),),
    ),
    Mistake(
        "lint leaves the tests' types out",
        "A test that compares with a coroutine is green.",
        SHOP,
        (swap(MAKEFILE, "\t@$(RUN) mypy $(TESTS)\n", ""),),
    ),
    Mistake(
        "lint leaves the layers out",
        "A handler imports SQLAlchemy.",
        SHOP,
        (Edit(MAKEFILE, r"\t@for config in \.importlinter[^\n]*\n", ""),),
    ),
    Mistake(
        "a service's pipeline asks no gate of published events",
        "A breaking event is merged.",
        SHOP,
        (swap(MAKEFILE, "\t\t$(MAKE) contracts-gate ARGS=contracts/asyncapi/$(SERVICE).json; \\\n", "\t\ttrue; \\\n"),),
    ),
    Mistake(
        "a service's pipeline verifies no pacts",
        "The broker never knows what may be deployed.",
        SHOP,
        (swap(MAKEFILE, " && $(BROKER) verify $(SERVICE) &&", " &&"),),
    ),
    Mistake(
        "a service's pipeline runs its unit tests alone",
        "Its contracts and statements are tested by nobody.",
        SHOP,
        (
            swap(
                MAKEFILE,
                "worksteal services/$(SERVICE) tests/unit/test_canvas.py",
                "worksteal services/$(SERVICE)/tests/unit tests/unit/test_canvas.py",
            ),
        ),
    ),
    Mistake(
        "CI requires nothing",
        "Where Kafka is missing its tests are skipped, and all is green.",
        SHOP,
        (swap(CI, "REQUIRE=kafka,node,containers,faults,pgbouncer,prometheus,chromium make test", "make test"),),
    ),
    Mistake(
        "CI doesn't require containers",
        "Where Docker is missing the e2e tests are skipped, and all is green.",
        SHOP,
        (
            swap(
                CI,
                "REQUIRE=kafka,node,containers,faults,pgbouncer,prometheus,chromium make test",
                "REQUIRE=kafka,node,faults,pgbouncer,prometheus,chromium make test",
            ),
        ),
    ),
    Mistake(
        "the later steps of CI require nothing",
        "Apache Kafka is missing, and its tests are green.",
        SHOP,
        (swap(CI, "export REQUIRE=kafka,containers\n", ""),),
    ),
    Mistake(
        "CI goes on after an error",
        "A red step is green.",
        SHOP,
        (swap(CI, "set -euo pipefail", "set -uo pipefail"),),
    ),
    Mistake(
        "CI makes no crash",
        "Nobody sees that a step can lose an event.",
        SHOP,
        (Edit(CI, r'step "make crash-points"\nmake crash-points\n\n', ""),),
    ),
    Mistake(
        "CI makes no mistakes",
        "Nobody sees that a gate is open.",
        SHOP,
        (Edit(CI, r'step "make drill"\nmake drill\n\n', ""),),
    ),
    Mistake(
        "CI compares no contracts with the code",
        "The checked-in pacts are of last month.",
        SHOP,
        (swap(CI, "git diff --exit-code contracts/\n", ""),),
    ),
    Mistake(
        "CI doesn't run Apache Kafka's tests again",
        "What the mock doesn't know is tested by nobody.",
        SHOP,
        (Edit(CI, r"^BACKING_KAFKA=process make integration[^\n]*\n", ""),),
    ),
    Mistake(
        "a workflow's job may write to the repository",
        "A test's dependency can push.",
        SHOP,
        (swap(f"{WORKFLOWS}/ci.yml", "  contents: read", "  contents: write"),),
    ),
    Mistake(
        "a workflow leaves its token in the checkout",
        "A test's dependency can push.",
        SHOP,
        (Edit(f"{WORKFLOWS}/*.yml", r" +persist-credentials: false\n", ""),),
    ),
    Mistake(
        "a job has no limit",
        "One that hangs costs six hours.",
        SHOP,
        (Edit(f"{WORKFLOWS}/service.yml", r" +timeout-minutes: [0-9]+\n", ""),),
    ),
    Mistake(
        "a service's workflow doesn't know the libraries",
        "A library breaks it, and nobody is told.",
        SHOP,
        (swap(f"{WORKFLOWS}/payments.yml", "      - libs/**\n", ""),),
    ),
    Mistake(
        "a service's workflow runs another one's pipeline",
        "Its own is run by nobody.",
        SHOP,
        (swap(f"{WORKFLOWS}/payments.yml", "service: payments", "service: orders"),),
    ),
    Mistake(
        "a pull request doesn't ask whether it may be merged",
        "A consumer breaks in production.",
        SHOP,
        (Edit(f"{WORKFLOWS}/service.yml", r"      - name: may it be merged\?\n.*?\n(      - name: what)", r"\1"),),
    ),
    Mistake(
        "the newest Python is tested by nobody",
        "It breaks on the day of its release.",
        SHOP,
        (swap(f"{WORKFLOWS}/ci.yml", '["3.11", "3.14"]', '["3.11"]'),),
    ),
    Mistake(
        "the README shows a command that isn't there",
        "The first thing that a stranger sees is an error.",
        SHOP,
        (swap("README.md", "$ make demo\n", "$ make demonstration\n"),),
    ),
    Mistake(
        "a marker that nobody knows is taken",
        "A test with a typing error in its level is run by nobody.",
        SHOP,
        (swap("pyproject.toml", '    "--strict-markers",\n', ""),),
    ),
    Mistake(
        "warnings are no errors",
        "A deprecation is seen when it is too late.",
        SHOP,
        (swap("pyproject.toml", 'filterwarnings = ["error"]', "filterwarnings = []"),),
    ),
)
