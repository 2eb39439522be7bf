"""The pytest plugin: levels, backing services, a report of what ran where, and the rules that keep the suite honest.

Loaded in every run, so it imports nothing at its head that a unit test doesn't need.
"""

import gc
import os
import random
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from backing_services._libpq import forget_libpq_variables
from backing_services._report import HAD, LEVEL, NARROWED, NARROWED_BY, Report, runs_whole_levels, tests_it_had
from backing_services.guards.leaks import LeakError, ProcessSettings, Threads
from backing_services.guards.sockets import SocketBlockedError, message, no_sockets, sockets_again
from backing_services.levels import LEVELS, level_of

if TYPE_CHECKING:
    from backing_services.kafka import KafkaCluster
    from backing_services.postgres import PgBouncer, PostgresServer

REAL_KAFKA = "real_kafka"
GIVEN_POSTGRES = "TEST_DATABASE_URL"
TASKS_GUARD = "backing_services.guards.tasks"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(HAD, "lines like `unit 120`: a level that runs fewer tests is named at the end", type="linelist")
    parser.getgroup("backing_services").addoption(
        "--shuffle",
        nargs="?",
        type=int,
        const=random.randrange(2**16),  # noqa: S311 - an order of tests, not a secret
        metavar="SEED",
        help="run the tests in another order each time, or in the order of SEED (write --shuffle=SEED)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for level, meaning in LEVELS.items():
        config.addinivalue_line("markers", f"{level}: {meaning} (set by the folder)")
    config.addinivalue_line("markers", f"{REAL_KAFKA}: claims something about Kafka itself, so the mock won't do")
    config.addinivalue_line(
        "markers", "private_database: a clone of its own, for DDL and crashes (backing_services.postgres.isolation)"
    )
    if not os.environ.get(GIVEN_POSTGRES):
        forget_libpq_variables()  # before any test: a variable that is gone after a test counts as the test's leak
    if "pytest_asyncio.plugin" in sys.modules:
        config.pluginmanager.import_plugin(TASKS_GUARD)
    if find_spec("structlog"):
        _configure_structlog()
    if (workerinput := getattr(config, "workerinput", None)) is None:
        had = tests_it_had(config.getini(HAD)) if runs_whole_levels(config) else {}
        config.pluginmanager.register(Report(had), "backing_services.report")
    else:
        config.option.shuffle = workerinput["shuffle"]


def _configure_structlog() -> None:
    """Unless somebody has: its default renders each exception with rich, which takes seconds for a deep one."""
    import structlog  # noqa: PLC0415 - a project need not have it

    if not structlog.is_configured():
        processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.KeyValueRenderer()]
        structlog.configure(processors=processors)


def pytest_report_header(config: pytest.Config) -> list[str]:
    from backing_services.choice import report_line  # noqa: PLC0415 - not in xdist's workers

    seed = config.getoption("shuffle")
    return [
        report_line(),
        *([f"backing services: shuffled, --shuffle={seed} repeats this order"] if seed is not None else []),
    ]


@pytest.hookimpl(tryfirst=True)  # before `-m unit` selects by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tasks_guard: Any = config.pluginmanager.get_plugin(TASKS_GUARD)
    for item in items:
        level = item.stash[LEVEL_OF_TEST] = level_of(_in_project(item.path, config))
        if level in LEVELS:
            item.add_marker(level)
        if "real_kafka_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(REAL_KAFKA)
        if tasks_guard and isinstance(item, pytest.Function):
            tasks_guard.watch(item)
    if (seed := config.getoption("shuffle")) is not None:
        random.Random(seed).shuffle(items)  # noqa: S311 - an order of tests, not a secret


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash.setdefault(NARROWED, set()).add(level_of(_in_project(item.path, item.config)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[NARROWED_BY] = sorted(session.config.stash.get(NARROWED, ()))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import the folders of levels that `-m unit`, or `-m "unit or contract"`, would deselect anyway."""
    chosen = set(config.getoption("markexpr").split(" or "))
    if chosen <= LEVELS.keys() and collection_path.parent.name == "tests" and collection_path.name in LEVELS:
        return collection_path.name not in chosen or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Turn garbage collection off during imports: imported objects stay, and each collection would visit them all."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _in_project(path: Path, config: pytest.Config) -> PurePath:
    """The path from the project's folder on: what is above it means nothing, even if it is called `tests`."""
    above = config.rootpath.parent
    return path.relative_to(above) if path.is_relative_to(above) else path


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Refuse an __init__.py in a tests folder, by a collection error, which also reaches xdist's controller."""
    below_tests = (folder for folder in module_path.parents if "tests" in _in_project(folder, parent.config).parts)
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
LEVEL_OF_TEST = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[THREADS] = Threads.now()  # threads of fixtures are not the test's
    outcome = yield
    if attempts := item.stash.get(ATTEMPTS, []):
        raise SocketBlockedError(message(attempts[0]))  # the code under test had swallowed it
    return outcome


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Fail a test that leaves something behind. After the last test the session's fixtures end here, too."""
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
    """Accept changes that a fixture of several tests makes at its begin and end: they are not a test's leaks."""
    if fixturedef.scope == "function":
        return (yield)
    stash = request.config.stash
    before: list[ProcessSettings] = [ProcessSettings.now()]
    # finalizers run in reverse order: this one runs after the fixture's own, the one below before them
    fixturedef.addfinalizer(lambda: stash[SETTINGS].accept(before.pop()))
    outcome = yield
    stash[SETTINGS].accept(before.pop())
    fixturedef.addfinalizer(lambda: before.append(ProcessSettings.now()))
    return outcome


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[SETTINGS] = ProcessSettings.now()
    item.stash.get(ATTEMPTS, []).clear()  # each attempt of a test begins afresh, where a plugin repeats it
    if item.get_closest_marker(REAL_KAFKA) and "real_kafka_cluster" not in getattr(item, "fixturenames", ()):
        from backing_services.choice import Unavailable, choose_real_kafka  # noqa: PLC0415 - see the module's docstring

        if isinstance(choice := choose_real_kafka(), Unavailable):
            not_available(choice.what, choice.why)


def not_available(what: str, why: str) -> NoReturn:
    """Skip this test, or fail it where `REQUIRE` names `what`: `REQUIRE=containers,kafka` in CI."""
    if what in os.environ.get("REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"REQUIRE={os.environ['REQUIRE']}, but {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    """The chosen PostgreSQL, started on first use; each xdist worker has its own embedded one."""
    from backing_services.choice import choose_postgres  # noqa: PLC0415 - see the module's docstring

    server = choose_postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def start_pgbouncer() -> "Iterator[Callable[..., PgBouncer]]":
    """Starts PgBouncers: `start_pgbouncer(server, default_pool_size="2")`; they run until the session's end.

    Where there is no PgBouncer, the report names the test as not run.
    """
    from backing_services.postgres import PgBouncer, PgBouncerNotInstalledError  # noqa: PLC0415 - see the module's docstring

    with ExitStack() as stack:

        def start(server: "PostgresServer", **settings: str) -> "PgBouncer":
            try:
                return stack.enter_context(PgBouncer(server, settings))
            except PgBouncerNotInstalledError as error:
                not_available("pgbouncer", str(error))

        yield start


@pytest.fixture(scope="session")
def kafka_cluster() -> "Iterator[KafkaCluster]":
    """The chosen Kafka, started on first use; embedded unless the environment says otherwise."""
    from backing_services.choice import choose_kafka  # noqa: PLC0415 - see the module's docstring

    yield from _running(choose_kafka())


@pytest.fixture(scope="session")
def real_kafka_cluster(request: pytest.FixtureRequest) -> "Iterator[KafkaCluster]":
    """Apache Kafka, never the mock: the chosen one, else a process, else a container, else the test doesn't run."""
    from backing_services.choice import Unavailable, choose_kafka, choose_real_kafka  # noqa: PLC0415 - see the module's docstring

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
    setattr(report, LEVEL, item.stash[LEVEL_OF_TEST])
    return report
