"""The pytest plugin: levels, backing services, a report of what ran where, and the rules that keep the suite honest.

Loaded in every run, so it imports nothing at its head that a unit test doesn't need.
"""

import gc
import os
import random
import sys
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import structlog

from testkit.leaks import LeakError, ProcessSettings, Threads
from testkit.levels import LEVELS, Costs, level_of
from testkit.sockets import SocketBlockedError, message, no_sockets, sockets_again

if TYPE_CHECKING:
    from testkit.kafka import KafkaCluster
    from testkit.pact.sources import PactSource
    from testkit.postgres import PostgresServer

REAL_KAFKA = "real_kafka"
TASKS_GUARD = "testkit.tasks_guard"
LEVEL = "testkit_level"  # an attribute of reports: it travels from xdist's workers to the controller


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("testkit").addoption(
        "--shuffle",
        nargs="?",
        type=int,
        const=random.randrange(2**16),  # noqa: S311 - an order of tests, not a secret
        metavar="SEED",
        help="run the tests in another order each time, or in that of SEED (write --shuffle=SEED)",
    )
    parser.getgroup("testkit").addoption(
        "--write-contracts", action="store_true", help="make the pact files and AsyncAPI documents again from the code"
    )
    parser.getgroup("testkit").addoption(
        "--pact-broker", action="store_true", help="verify providers against the Pact Broker in PACT_BROKER_BASE_URL"
    )
    parser.addini("contracts_folder", "where pact files and AsyncAPI documents are", default="contracts")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for level, meaning in LEVELS.items():
        config.addinivalue_line("markers", f"{level}: {meaning} (set by the folder)")
    config.addinivalue_line("markers", f"{REAL_KAFKA}: claims something about Kafka itself, so the mock won't do")
    config.addinivalue_line("markers", "private_database: a clone of its own, for DDL and crashes (testkit.isolation)")
    if "pytest_asyncio.plugin" in sys.modules:
        config.pluginmanager.import_plugin(TASKS_GUARD)
    if not structlog.is_configured():
        # by itself it draws each exception with rich, which takes seconds for a deep one
        processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.KeyValueRenderer()]
        structlog.configure(processors=processors)
    # as testkit.pact does when it is imported, which may be in the middle of a test
    os.environ.setdefault("PACT_DO_NOT_TRACK", "true")
    if (workerinput := getattr(config, "workerinput", None)) is None:
        config.pluginmanager.register(Report(), "testkit.report")
    else:
        config.option.shuffle = workerinput["shuffle"]


def pytest_report_header(config: pytest.Config) -> list[str]:
    from testkit.providers import report_line  # noqa: PLC0415 - not in xdist's workers

    seed = config.getoption("shuffle")
    return [report_line(), *([f"testkit: shuffled, --shuffle={seed} repeats this order"] if seed is not None else [])]


@pytest.hookimpl(tryfirst=True)  # before `-m unit` selects by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tasks_guard: Any = config.pluginmanager.get_plugin(TASKS_GUARD)
    for item in items:
        if (level := level_of(item.path)) in LEVELS:
            item.add_marker(level)
        if "real_kafka_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(REAL_KAFKA)
        if tasks_guard and isinstance(item, pytest.Function):
            tasks_guard.watch(item)
    if config.getoption("write_contracts"):
        _only(items, config, "write_contracts")
    if (seed := config.getoption("shuffle")) is not None:
        random.Random(seed).shuffle(items)  # noqa: S311 - as above


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import the folders of levels that `-m unit`, or `-m "unit or contract"`, would deselect anyway."""
    chosen = set(config.getoption("markexpr").split(" or "))
    if chosen <= LEVELS.keys() and collection_path.parent.name == "tests" and collection_path.name in LEVELS:
        return collection_path.name not in chosen or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from what is imported here, all of which stays: it would look again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _only(items: list[pytest.Item], config: pytest.Config, fixture: str) -> None:
    """Deselect the tests without this fixture: none may read the contracts while others write them."""
    others = [item for item in items if fixture not in getattr(item, "fixturenames", ())]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Refuse an __init__.py in a tests folder; as an error of collection, which reaches xdist's controller too."""
    below_tests = (folder for folder in module_path.parents if "tests" in folder.parts)
    for package in (folder / "__init__.py" for folder in below_tests):
        if package.exists():
            raise pytest.Collector.CollectError(
                f"remove {package}: with --import-mode=importlib two packages named `tests` become one, and the "
                "second test_domain.py silently is the first one again. Relative imports work without it."
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if item.get_closest_marker("unit") is None:
        return (yield)
    with no_sockets() as attempts:
        item.stash[ATTEMPTS] = attempts
        return (yield)


ATTEMPTS = pytest.StashKey[list[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[THREADS] = Threads.now()  # those of fixtures are the fixtures'
    outcome = yield
    if attempts := item.stash.get(ATTEMPTS, []):
        raise SocketBlockedError(message(attempts[0]))  # the code under test had swallowed it
    return outcome


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """What the test leaves behind fails it. After the last one the session's fixtures end too: a database's, say."""
    if nextitem is not None:
        outcome = yield
    else:
        with sockets_again():
            outcome = yield
    if leaks := [*item.config.stash[SETTINGS].leaks(), *(item.stash[THREADS].leaks() if THREADS in item.stash else ())]:
        raise LeakError("; ".join(leaks))
    return outcome


SETTINGS = pytest.StashKey[ProcessSettings]()
THREADS = pytest.StashKey[Threads]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """What a fixture of several tests sets when it begins, and takes back when it ends, is none of their leaks."""
    if fixturedef.scope == "function":
        return (yield)
    stash = request.config.stash
    before: list[ProcessSettings] = [ProcessSettings.now()]
    # finalizers run backwards: the first of these after the fixture's own, the second before them
    fixturedef.addfinalizer(lambda: stash[SETTINGS].accept(before.pop()))
    outcome = yield
    stash[SETTINGS].accept(before.pop())
    fixturedef.addfinalizer(lambda: before.append(ProcessSettings.now()))
    return outcome


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[SETTINGS] = ProcessSettings.now()
    if item.get_closest_marker(REAL_KAFKA) and "real_kafka_cluster" not in getattr(item, "fixturenames", ()):
        from testkit.providers import Unavailable, choose_real_kafka  # noqa: PLC0415 - see the module's docstring

        if isinstance(choice := choose_real_kafka(), Unavailable):
            not_available(choice.what, choice.why)


def not_available(what: str, why: str) -> NoReturn:
    """Skip this test, or fail it where `REQUIRE` names `what`: `REQUIRE=containers,kafka` in CI."""
    if what in os.environ.get("REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"REQUIRE={os.environ['REQUIRE']}, but {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def contracts_folder(pytestconfig: pytest.Config) -> Path:
    """Has `pacts/` and `asyncapi/`; `--write-contracts` makes what is in them again."""
    return pytestconfig.rootpath / str(pytestconfig.getini("contracts_folder"))


@pytest.fixture(scope="session")
def write_contracts(pytestconfig: pytest.Config) -> bool:
    """Whether this run makes the contracts again instead of comparing them."""
    return bool(pytestconfig.getoption("write_contracts"))


@pytest.fixture(scope="session")
def pact_folder(contracts_folder: Path) -> Path:
    """Where the pact files are."""
    return contracts_folder / "pacts"


@pytest.fixture(scope="session")
def pact_source(pytestconfig: pytest.Config, pact_folder: Path) -> "PactSource":
    """Where a provider's pacts come from: the pact files, or with `--pact-broker` the broker."""
    if pytestconfig.getoption("pact_broker"):
        from testkit.pact.broker import source_from_environment  # noqa: PLC0415 - see the module's docstring

        return source_from_environment()
    from testkit.pact.sources import PactFolder  # noqa: PLC0415 - see the module's docstring

    return PactFolder(pact_folder)


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    """The chosen PostgreSQL, started on first use; each xdist worker has its own embedded one."""
    from testkit.providers import choose_postgres  # noqa: PLC0415 - see the module's docstring

    server = choose_postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def kafka_cluster() -> "Iterator[KafkaCluster]":
    """The chosen Kafka, started on first use; embedded unless the environment says otherwise."""
    from testkit.providers import choose_kafka  # noqa: PLC0415 - see the module's docstring

    yield from _running(choose_kafka())


@pytest.fixture(scope="session")
def real_kafka_cluster(request: pytest.FixtureRequest) -> "Iterator[KafkaCluster]":
    """Apache Kafka, never the mock: the chosen one, else a process, else a container, else the test doesn't run."""
    from testkit.providers import Unavailable, choose_kafka, choose_real_kafka  # noqa: PLC0415 - as above

    if choose_kafka().is_real:
        yield request.getfixturevalue("kafka_cluster")
        return
    choice = choose_real_kafka()
    if isinstance(choice, Unavailable):
        not_available(choice.what, choice.why)
    yield from _running(choice)


def _running(cluster: "KafkaCluster") -> "Iterator[KafkaCluster]":
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    setattr(report, LEVEL, level_of(item.path))
    return report


@dataclass(eq=False)  # pytest keeps plugins in sets
class Report:
    """Two sections at the end of a run: what each level cost, and what did not run."""

    costs: Costs = field(default_factory=Costs)
    not_run: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.costs.add(getattr(report, LEVEL), report.nodeid, report.duration)
        if report.skipped and not hasattr(report, "wasxfail"):
            self.not_run[_reason(report)].append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.not_run[_reason(report)].append(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give the seed to a worker of xdist, which would choose another one."""
        node.workerinput["shuffle"] = node.config.getoption("shuffle")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.costs.seconds:
            terminalreporter.section("seconds by level")
            for line in self.costs.table():
                terminalreporter.write_line(line)
        if self.not_run:
            terminalreporter.section("not run here")
            for reason, tests in self.not_run.items():
                terminalreporter.write_line(f"{len(tests)} because {reason}")
                for test in tests:
                    terminalreporter.write_line(f"    {test}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """A skip's longrepr is (path, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ") or "no reason was given"
