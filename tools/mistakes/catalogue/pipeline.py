"""Mistakes in the Makefile, in CI and in the pages' commands: tests that nobody runs are green."""

from tools.mistakes.mistake import SHOP, Mistake, swap
from tools.scratch import Edit

MAKEFILE, CI, PYPROJECT = "Makefile", ".ci/run", "pyproject.toml"
WORKFLOWS = ".github/workflows"
SERVICES_LAYERS = "services/*/.importlinter"

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
        (swap(CI, "REQUIRE=kafka,node,containers,faults,pgbouncer,prometheus,flake,chromium make test", "make test"),),
    ),
    Mistake(
        "CI doesn't require containers",
        "Where Docker is missing the e2e tests are skipped, and all is green.",
        SHOP,
        (
            swap(
                CI,
                "REQUIRE=kafka,node,containers,faults,pgbouncer,prometheus,flake,chromium make test",
                "REQUIRE=kafka,node,faults,pgbouncer,prometheus,flake,chromium make test",
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
        (swap(f"{WORKFLOWS}/ci.yml", "      - run: make drill\n", ""),),
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
        (swap(PYPROJECT, '    "--strict-markers",\n', ""),),
    ),
    Mistake(
        "warnings are no errors",
        "A deprecation is seen when it is too late.",
        SHOP,
        (swap(PYPROJECT, 'filterwarnings = ["error"]', "filterwarnings = []"),),
    ),
    Mistake(
        "`make test` passes a folder over",
        "Tests that nobody runs.",
        SHOP,
        (swap(MAKEFILE, '-m "not e2e" $(ARGS)\n', '-m "not e2e" --ignore=tests/model $(ARGS)\n'),),
    ),
    Mistake(
        "`make test` only lists the tests",
        "Tests that nobody runs.",
        SHOP,
        (swap(MAKEFILE, "\t@$(RUN) pytest -q -m e2e\n", "\t@$(RUN) pytest -q --collect-only -m e2e\n"),),
    ),
    Mistake(
        "the command of each level runs the unit tests",
        "CI's integration tests on Apache Kafka are none.",
        SHOP,
        (swap(MAKEFILE, "\t@$(RUN) pytest -m $@ $(ARGS)", "\t@$(RUN) pytest -m unit $(ARGS)"),),
    ),
    Mistake(
        "a service's pipeline passes its contracts over",
        "A field that a consumer needs is renamed.",
        SHOP,
        (
            swap(
                MAKEFILE,
                "worksteal services/$(SERVICE) tests/unit/test_canvas.py",
                "worksteal --ignore=services/$(SERVICE)/tests/contract services/$(SERVICE) tests/unit/test_canvas.py",
            ),
        ),
    ),
    Mistake(
        "a service's pipeline goes on after a wrong type",
        "A red check is green.",
        SHOP,
        (swap(MAKEFILE, "\t@$(RUN) mypy -p $(SERVICE)\n", "\t@$(RUN) mypy -p $(SERVICE) || true\n"),),
    ),
    Mistake(
        "the drill makes other mistakes than those in the contracts",
        "Nobody sees that a gate of the contracts is open.",
        SHOP,
        (swap(MAKEFILE, "drill: ARGS := --part contracts $(ARGS)", "drill: ARGS := --part money $(ARGS)"),),
    ),
    Mistake(
        "published events are compared with themselves",
        "A breaking event is merged.",
        SHOP,
        (swap(MAKEFILE, "AGAINST ?= $(if $(HEAD_IS_MAIN),HEAD~1,origin/main)", "AGAINST ?= HEAD"),),
    ),
    Mistake(
        "CI forgives errors from its middle on",
        "A red step is green.",
        SHOP,
        (swap(CI, 'step "make crash-points"\n', 'set +e\nstep "make crash-points"\n'),),
    ),
    Mistake(
        "CI ends in its middle",
        "Half of the steps are run by nobody.",
        SHOP,
        (swap(CI, 'step "make contract-matrix"\n', 'exit 0\nstep "make contract-matrix"\n'),),
    ),
    Mistake(
        "CI forgives the journeys in containers",
        "A red level is green.",
        SHOP,
        (swap(CI, '    make journey ARGS="-q"\n', '    make journey ARGS="-q" || true\n'),),
    ),
    Mistake(
        "CI makes the crashes only where somebody asks for them",
        "Nobody sees that a step can lose an event.",
        SHOP,
        (Edit(CI, r"^make crash-points$", r'if [ -n "${NIGHTLY:-}" ]; then\n    make crash-points\nfi'),),
    ),
    Mistake(
        "CI runs the pipeline of one service",
        "Those of the others work by chance.",
        SHOP,
        (swap(CI, "for service in services/*/; do", "for service in services/payments/; do"),),
    ),
    Mistake(
        "CI tries the libraries alone on Apache Kafka",
        "What the services take for granted of it is tested by nobody.",
        SHOP,
        (swap(CI, '    make integration ARGS="-q -n auto --dist worksteal services', '    make integration ARGS="-q'),),
    ),
    Mistake(
        "CI looks at no script",
        "A variable without quotes is seen on the day of its first space.",
        SHOP,
        (Edit(CI, r"^git grep[^\n]*shellcheck[^\n]*\n", ""),),
    ),
    Mistake(
        "CI tells no more stories than a developer",
        "A rare sequence of events is told by nobody.",
        SHOP,
        (swap(CI, "MODEL_EXAMPLES=2000 make model", "make model"),),
    ),
    Mistake(
        "a pull request is tested by nobody",
        "main is red.",
        SHOP,
        (Edit(f"{WORKFLOWS}/ci.yml", r"^  pull_request:\n", ""),),
    ),
    Mistake(
        "a pull request of a stranger gets what main has",
        "Their code reads our secrets.",
        SHOP,
        (Edit(f"{WORKFLOWS}/ci.yml", r"^  pull_request:\n", "  pull_request_target:\n"),),
    ),
    Mistake(
        "a stranger's text is a part of a command",
        "The name of a branch is run.",
        SHOP,
        (
            swap(
                f"{WORKFLOWS}/service.yml",
                "- run: make ci SERVICE=${{ inputs.service }}",
                "- run: make ci SERVICE=${{ inputs.service }} ARGS=${{ github.head_ref }}",
            ),
        ),
    ),
    Mistake(
        "no workflow runs the steps of CI",
        "All is green.",
        SHOP,
        (swap(f"{WORKFLOWS}/ci.yml", "      - run: bash .ci/run\n", ""),),
    ),
    Mistake(
        "a service's pipeline may fail",
        "A red pipeline is green.",
        SHOP,
        (
            swap(
                f"{WORKFLOWS}/service.yml",
                "      - run: make ci SERVICE=${{ inputs.service }}\n",
                "      - run: make ci SERVICE=${{ inputs.service }}\n        continue-on-error: true\n",
            ),
        ),
    ),
    Mistake(
        "nobody asks whether a version may be deployed",
        "A consumer breaks in production.",
        SHOP,
        (swap(f"{WORKFLOWS}/deployment.yml", "if: inputs.moment == 'before'", "if: inputs.moment == 'beforehand'"),),
    ),
    Mistake(
        "a service's checkout has no history",
        "There is nothing to compare published events with, and all is well.",
        SHOP,
        (Edit(f"{WORKFLOWS}/service.yml", r" +fetch-depth: 0[^\n]*\n", ""),),
    ),
    Mistake(
        "no pipeline knows where the Pact Broker is",
        "Nothing is published or verified, and all is green.",
        SHOP,
        (Edit(f"{WORKFLOWS}/service.yml", r" +PACT_BROKER_BASE_URL: [^\n]*\n", ""),),
    ),
    Mistake(
        "the services' workflows keep the broker's token to themselves",
        "The broker refuses all pipelines.",
        SHOP,
        (Edit(f"{WORKFLOWS}/*s.yml", r"^      PACT_BROKER_TOKEN: \$\{\{ secrets[^\n]*\n", ""),),
    ),
    Mistake(
        "an action is whatever is on its branch",
        "A stranger's commit runs with our rights.",
        SHOP,
        (swap(f"{WORKFLOWS}/*.yml", "actions/checkout@v4", "actions/checkout@main"),),
    ),
    Mistake(
        "lint forgives a sleep in a coroutine and a task that nobody holds",
        "A process stands still, or its task is gone.",
        SHOP,
        (swap(PYPROJECT, '    "CPY",  ', '    "ASYNC",\n    "RUF006",\n    "CPY",  '),),
    ),
    Mistake(
        "lint passes a service over",
        "Its mistakes are seen by nobody.",
        SHOP,
        (
            swap(
                PYPROJECT,
                'target-version = "py311"\n',
                'target-version = "py311"\nextend-exclude = ["services/orders"]\n',
            ),
        ),
    ),
    Mistake(
        "the types of a service may be wrong",
        "An amount is given as a text.",
        SHOP,
        (
            swap(
                PYPROJECT,
                '[[tool.mypy.overrides]]\nmodule = ["playwright.*"]',
                '[[tool.mypy.overrides]]\nmodule = ["orders.*"]\nignore_errors = true\n\n'
                '[[tool.mypy.overrides]]\nmodule = ["playwright.*"]',
            ),
        ),
    ),
    Mistake(
        "an awaitable that nobody awaits is no error",
        "A handler does nothing.",
        SHOP,
        (swap(PYPROJECT, 'enable_error_code = ["unused-awaitable"]', "enable_error_code = []"),),
    ),
    Mistake(
        "a table of cases that is empty is skipped",
        "A file moves, and its tests are none.",
        SHOP,
        (Edit(PYPROJECT, r"^empty_parameter_set_mark[^\n]*\n", ""),),
    ),
    Mistake(
        "pytest passes a folder over",
        "Tests that nobody runs.",
        SHOP,
        (swap(PYPROJECT, '    "--strict-markers",\n', '    "--strict-markers",\n    "--ignore=tests/model",\n'),),
    ),
    Mistake(
        "a folder of tests is looked for nowhere",
        "Tests that nobody runs.",
        SHOP,
        (swap(PYPROJECT, '"harness", "console", "demo", "tests"]\nasyncio', '"harness", "demo", "tests"]\nasyncio'),),
    ),
    Mistake(
        "a test that hangs is waited for",
        "A pipeline ends at its limit, and nobody knows where.",
        SHOP,
        (Edit(PYPROJECT, r"^timeout = 300", "timeout = 0"),),
    ),
    Mistake(
        "one example of each rule is tried",
        "It is always the simplest one.",
        SHOP,
        (swap("conftest.py", '{"deadline": None,', '{"max_examples": 1, "deadline": None,'),),
    ),
    Mistake(
        "tests are skipped without a word",
        "Tests that nobody runs.",
        SHOP,
        (Edit("services/payments/tests/unit/test_domain.py", r"^def test_", r"@pytest.mark.skip\ndef test_"),),
    ),
    Mistake(
        "the name of a test has a typing error",
        "A test that nobody runs.",
        SHOP,
        (Edit("services/payments/tests/unit/test_domain.py", r"^def test_", "def tets_"),),
    ),
    Mistake(
        "a fixture for every test is one that nobody asks for",
        "What it keeps away comes back.",
        SHOP,
        (swap("libs/outboxed/tests/unit/test_exporting.py", "@pytest.fixture(autouse=True)", "@pytest.fixture"),),
    ),
    Mistake(
        "a test needs what CI's REQUIRE has another name for",
        "Where it is missing the tests are skipped, and all is green.",
        SHOP,
        (swap("tests/e2e/conftest.py", 'not_available("containers"', 'not_available("docker"'),),
    ),
    Mistake(
        "a module of a service is in no layer",
        "It may import whatever it likes.",
        SHOP,
        (swap("services/notifications/.importlinter", "    (smtp)\n", ""),),
    ),
    Mistake(
        "the layers let an import through",
        "A handler knows SQLAlchemy.",
        SHOP,
        (
            Edit(
                SERVICES_LAYERS,
                r"(contract:pure-domain\][^[]*?)(forbidden_modules =\n)",
                r"\1ignore_imports =\n    orders.handlers -> sqlalchemy\n\2",
            ),
        ),
    ),
    Mistake(
        "a library may know the console",
        "Whoever installs it gets a shop.",
        SHOP,
        (
            Edit(
                ".importlinter",
                r"(contract:libraries-and-shop\].*?    shop_harness\n)    shop_console\n",
                r"\1",
            ),
        ),
    ),
    Mistake(
        "a bound is raised, and the lock is of before",
        "All tests run with a version that the project refuses.",
        SHOP,
        (swap("services/payments/pyproject.toml", '"httpx>=0.28"', '"httpx>=0.29"'),),
    ),
    Mistake(
        "`make crash-points` ends well whatever happened",
        "A step loses an event, and CI is green.",
        SHOP,
        (swap("tools/crash_points/__main__.py", "sys.exit(violations > 0)", "sys.exit(0)"),),
    ),
    Mistake(
        "`make contract-matrix` ends well whatever was missed",
        "The contracts hold nothing, and CI is green.",
        SHOP,
        (
            swap(
                "tools/contract_matrix/__main__.py",
                "return 0 if caught and ours.passed >= 0.98 * ours.compatible else 1",
                "return 0 if ours.passed >= 0.98 * ours.compatible else 1",
            ),
        ),
    ),
    Mistake(
        "`make price` ends well whatever has grown",
        "An order takes ten statements more, and CI is green.",
        SHOP,
        (swap("tools/price/__main__.py", "sys.exit(bool(grown))", "sys.exit(bool(grown and write))"),),
    ),
    Mistake(
        "the demo ends well whatever was lost",
        "An order is lost, and CI is green.",
        SHOP,
        (swap("demo/src/shop_demo/__main__.py", "return 1 if summary.broken else 0", "return 0"),),
    ),
    Mistake(
        "a page names a variable that nobody reads",
        "A person sets it, and nothing happens.",
        SHOP,
        (swap("docs/how-to/run-in-containers.md", "ORDERS_HTTP_PORT", "ORDERS_PORT"),),
    ),
    Mistake(
        "the environment has what is newest on the day",
        "Two developers have two versions of a library.",
        SHOP,
        (swap(MAKEFILE, "$(UV) sync --frozen", "$(UV) sync"),),
    ),
    Mistake(
        "a service's own pipeline has the code of the others beside it",
        "It imports from them, and can't be deployed alone.",
        SHOP,
        (Edit(MAKEFILE, r"\t\tfind services -mindepth 1[^\n]*\n", ""),),
    ),
    Mistake(
        "the broker's webhook names the branch as nobody asks for it",
        "A verification is published under no branch, or another one.",
        SHOP,
        (swap("libs/pact_faststream/src/pact_faststream/broker/webhooks.py", '"provider_branch": ', '"branch": '),),
    ),
    Mistake(
        "a pull request publishes what nobody can deploy",
        "The broker knows a merge that exists nowhere else, and says no to what is deployed.",
        SHOP,
        (Edit(".github/workflows/service.yml", r"^ *ref: \$\{\{ github\.event\.pull_request[^\n]*\n", ""),),
    ),
    Mistake(
        "one Python that fails ends the test of the other",
        "Whoever mends one finds the other's failure the day after.",
        SHOP,
        (swap(".github/workflows/ci.yml", "      fail-fast: false\n", ""),),
    ),
    Mistake(
        "a commit is formatted and not looked at",
        "A wrong type is found by CI, when its author has gone on.",
        SHOP,
        (swap(".pre-commit-config.yaml", "entry: make lint", "entry: make format"),),
    ),
    Mistake(
        "whether a version may be deployed is asked about production, whatever the environment",
        "A deployment to test is refused for production's sake, and is recorded as one "
        "of production: the next answer is wrong.",
        SHOP,
        (swap(".github/workflows/deployment.yml", "      PACT_ENVIRONMENT: ${{ inputs.environment }}\n", ""),),
    ),
    Mistake(
        "whether a version may be deployed is asked of the head of main",
        "An older commit is deployed on the yes that another one got, and the broker records the wrong one.",
        SHOP,
        (swap(".github/workflows/deployment.yml", "      PACT_VERSION: ${{ inputs.version }}\n", ""),),
    ),
    Mistake(
        "a verification tests main's code under the name of the deployed version",
        "The broker learns that production keeps a contract which it breaks; a consumer is let in and fails.",
        SHOP,
        (
            swap(
                ".github/workflows/verification.yml",
                "          ref: ${{ github.event.client_payload.provider_version || github.sha }}\n",
                "          ref: ${{ github.sha }}\n",
            ),
            swap(
                ".github/workflows/verification.yml",
                "      PROVIDER: ${{ github.event.client_payload.provider }}\n",
                "      PROVIDER: ${{ github.event.client_payload.provider }}\n"
                "      PACT_VERSION: ${{ github.event.client_payload.provider_version || github.sha }}\n",
            ),
        ),
    ),
    Mistake(
        "a deployment doesn't wait for a verification that is under way",
        "Whoever deploys right after a merge hears no, though a minute later it would be yes.",
        SHOP,
        (
            swap(
                ".github/workflows/deployment.yml",
                'can-i-deploy "$SERVICE" \\\n            --retry-while-unknown 30 --retry-interval 10 $OPTIONS\n',
                'can-i-deploy "$SERVICE" $OPTIONS\n',
            ),
        ),
    ),
    Mistake(
        "the pipeline of a fork's pull request has the broker's address and no login",
        "Each contributor's pull request is red, whatever is in it.",
        SHOP,
        (
            swap(
                ".github/workflows/service.yml",
                "${{ !github.event.pull_request.head.repo.fork && vars.PACT_BROKER_BASE_URL || '' }}",
                "${{ vars.PACT_BROKER_BASE_URL }}",
            ),
        ),
    ),
    Mistake(
        "the environment is never as new as what it is made of",
        "After one change of uv.lock every `make` synchronises again, takes out what docs "
        "and plots need, and a test starts seconds later.",
        SHOP,
        (
            swap(
                "Makefile",
                "  # not --all-packages: a service alone has no others\n\t@touch $@\n",
                "  # not --all-packages: a service alone has no others\n",
            ),
        ),
    ),
    Mistake(
        "what draws plots takes the place of what builds the site",
        "After `make performance` the command `make docs` fails: its packages are gone, and its stamp is there.",
        SHOP,
        (swap("Makefile", "sync --frozen --inexact --group plots", "sync --frozen --group plots"),),
    ),
    Mistake(
        "AsyncAPI's parser is what npm finds on the day",
        "A release of somebody else's turns CI red, or runs on a developer's machine, without a change of ours.",
        SHOP,
        (swap("Makefile", "@npm ci --loglevel=error", "@npm install --loglevel=error"),),
    ),
    Mistake(
        "forms are dropped after a week",
        "After an outage of a week a consumer reads events in a form that nobody checks any "
        "more. So does whoever replays a dead letter.",
        SHOP,
        (swap("Makefile", "DAYS ?= 14", "DAYS ?= 7"),),
    ),
    Mistake(
        "CI waits for a registry that drops what it is sent",
        "On a machine behind a firewall a run hangs until the job's hour is over, instead of building its stand-ins.",
        SHOP,
        (
            swap(
                ".ci/run",
                "if ! timeout 120 docker compose pull --quiet mailbox; then",
                "if ! docker compose pull --quiet mailbox; then",
            ),
        ),
    ),
    Mistake(
        "CI lints the workflows with what was released last night",
        "A pull request is red for a rule that came with somebody else's release.",
        SHOP,
        (swap(".ci/run", "cmd/actionlint@v1.7.12", "cmd/actionlint@latest"),),
    ),
    Mistake(
        "CI makes the same storm every day",
        "Each day the faults meet the same moments: what is lost at any other moment is first lost in production.",
        SHOP,
        (swap(".ci/run", "--seed $(date +%j) --no-measure", "--seed 1 --no-measure"),),
    ),
    Mistake(
        "CI ends an engine that was there before",
        "A developer runs .ci/run beside `make engine`: at its end their containers are gone, with what they held.",
        SHOP,
        (
            swap(
                ".ci/run",
                "if ! docker version > /dev/null 2>&1; then\n"
                "    trap 'deploy/engine/engine stop' EXIT  # only what was started here\n"
                "fi\n",
                "trap 'deploy/engine/engine stop' EXIT\n",
            ),
        ),
    ),
    Mistake(
        "CI leaves its Pact Broker running",
        "Each run on a developer's machine leaves a process with a port, until the memory is full.",
        SHOP,
        (swap(".ci/run", "    trap 'kill \"$!\"' EXIT\n", ""),),
    ),
    Mistake(
        "no push to main runs a service's pipeline",
        "The broker never hears of what was merged, and whoever deploys hears no.",
        SHOP,
        (
            *(
                swap(f"{WORKFLOWS}/{service}.yml", "    branches: [main]\n", "    branches: [master]\n")
                for service in ("orders", "payments", "notifications")
            ),
        ),
    ),
    Mistake(
        "a pull request onto another one runs no service's pipeline",
        "What breaks a contract is found when both are merged.",
        SHOP,
        (swap(f"{WORKFLOWS}/payments.yml", "  pull_request:\n", "  pull_request:\n    branches: [main]\n"),),
    ),
    Mistake(
        "whoever deploys without naming an environment is asked about the test system",
        "A consumer gets into production whose provider isn't there yet.",
        SHOP,
        (swap(f"{WORKFLOWS}/deployment.yml", "        default: production", "        default: test"),),
    ),
    Mistake(
        "the shell of the release reads the tag's name",
        "Whoever may push a tag runs what they like with the rights of the job that builds the libraries.",
        SHOP,
        (swap(MAKEFILE, 'tools.release_check.tagged "$$TAG"', 'tools.release_check.tagged "$(TAG)"'),),
    ),
    Mistake(
        "a shell reads the id of an order",
        "Somebody on call pastes it from a ticket, and runs what a stranger wrote there.",
        SHOP,
        (
            swap(MAKEFILE, 'tools.logs "$$ORDER"', 'tools.logs "$(ORDER)"'),
            swap(MAKEFILE, 'story $(ARGS) "$$ORDER"', 'story $(ARGS) "$(ORDER)"'),
        ),
    ),
)
