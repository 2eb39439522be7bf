from collections.abc import Sequence

import pytest

from ..conftest import SETTINGS, Project

PASSES = "def test_it(): pass"
LEVELS = ["unit", "contract", "integration", "parity", "model", "journey", "e2e", "faults"]

CONNECTS = """
    import socket
    def test_it():
        with socket.socket() as client:
            client.connect(("127.0.0.1", 9))
"""
SWALLOWS = """
    import contextlib, socket
    def test_it():
        with contextlib.suppress(Exception), socket.socket() as client:
            client.connect(("127.0.0.1", 9))
"""
NEEDS_REAL_KAFKA = """
    def test_it(real_kafka_cluster): pass
"""
CLAIMS_REAL_KAFKA = """
    import pytest
    @pytest.mark.real_kafka
    def test_it(): pass
"""
NO_REAL_KAFKA = {"BACKING_CACHE": "/dev/null/cache", "DOCKER_HOST": "unix:///nonexistent"}


@pytest.mark.parametrize("level", LEVELS)
def test_a_test_gets_the_marker_of_its_folder(project: Project, level: str) -> None:
    files = {f"tests/{folder}/test_{folder}.py": PASSES for folder in LEVELS}

    run = project(files, "-m", level, "-v")

    run.lines.fnmatch_lines([f"tests/{level}/test_{level}.py::test_it PASSED*", "*1 passed*"])


@pytest.mark.parametrize(("chosen", "status"), [("unit or contract", 0), ("not e2e", 2)])
def test_of_levels_that_are_not_chosen_nothing_is_imported(project: Project, chosen: str, status: int) -> None:
    files = {"tests/unit/test_a.py": PASSES, "tests/integration/test_b.py": "raise RuntimeError('imported')"}

    run = project(files, "-m", chosen)

    assert run.status == status, run.text


def test_a_test_outside_the_level_folders_has_no_level_and_is_counted_as_other(project: Project) -> None:
    run = project({"tests/test_x.py": PASSES})

    assert run.status == 0
    run.lines.fnmatch_lines(["other * 1 *"])


def test_a_unit_test_that_connects_fails_and_is_told_where_it_belongs(project: Project) -> None:
    run = project({"tests/unit/test_x.py": CONNECTS})

    assert run.status == 1
    run.lines.fnmatch_lines(["*SocketBlockedError: a unit test may open no socket (socket.connect *tests/integration"])


def test_a_unit_test_that_swallows_the_refusal_fails_nevertheless(project: Project) -> None:
    run = project({"tests/unit/test_x.py": SWALLOWS})

    assert run.status == 1
    run.lines.fnmatch_lines(["*SocketBlockedError*"])


def test_a_unit_test_may_run_an_event_loop(project: Project) -> None:
    run = project(
        {
            "tests/unit/test_x.py": """
                import asyncio
                def test_it():
                    asyncio.run(asyncio.sleep(0))
            """
        }
    )

    assert run.status == 0


def test_an_integration_test_that_runs_after_a_unit_test_may_connect(project: Project) -> None:
    listens = """
        import socket
        def test_it():
            with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
                pass
    """

    run = project({"tests/unit/test_a.py": PASSES, "tests/integration/test_b.py": listens}, "tests/unit", "tests")

    assert run.status == 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_report_says_what_each_level_cost(project: Project, workers: str) -> None:
    files = {"tests/unit/test_a.py": PASSES, "tests/unit/test_b.py": PASSES, "tests/e2e/test_c.py": PASSES}

    run = project(files, "-n", workers)

    run.lines.re_match_lines(
        [r"=+ seconds by level", r"level +tests +seconds +median ms", r"unit +2 +\d+\.\d\d +\d+\.\d$", r"e2e +1 .*"]
    )


HAD = """[pytest]
testpaths = tests
tests_at_last_release =
    unit 3
    e2e 1
    journey 4
"""
TWO_AND_ONE = {"tests/unit/test_a.py": PASSES, "tests/unit/test_b.py": PASSES, "tests/e2e/test_c.py": PASSES}
FEWER = "unit: 2, and tests_at_last_release in pytest's settings says 3"


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("-m", "unit"), ("-m", "not e2e")])
def test_a_level_that_runs_fewer_tests_than_it_had_says_so(project: Project, options: Sequence[str]) -> None:
    run = project({"pytest.ini": HAD, **TWO_AND_ONE}, *options)

    assert run.status == 0
    run.lines.re_match_lines([r"=+ fewer tests than before", FEWER])
    assert "e2e: " not in run.text


@pytest.mark.parametrize("options", [("tests",), ("-k", "test_a"), ("-m", "unit and slow"), ("--maxfail", "1")])
def test_where_only_some_tests_were_asked_for_nobody_counts_them(project: Project, options: Sequence[str]) -> None:
    run = project({"pytest.ini": HAD + "markers = slow\n", **TWO_AND_ONE}, *options)

    assert "fewer tests than before" not in run.text


def test_in_a_folder_below_only_its_own_tests_were_asked_for(project: Project) -> None:
    run = project({"pytest.ini": HAD, **TWO_AND_ONE}, folder="tests/unit")

    assert run.status == 0
    assert "fewer tests than before" not in run.text


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_another_plugin_left_out_of_a_level_was_not_lost(project: Project, workers: str) -> None:
    """As `--write-contracts` of pact-faststream does."""
    picks = """
def pytest_collection_modifyitems(config, items):
    config.hook.pytest_deselected(items=items[-1:])
    del items[-1:]
"""

    run = project({"pytest.ini": HAD, "conftest.py": picks, **TWO_AND_ONE}, "-n", workers)

    assert run.status == 0
    assert "fewer tests than before" not in run.text


def test_a_line_that_is_no_level_and_number_is_named(project: Project) -> None:
    run = project({"pytest.ini": HAD + "    units 5\n", **TWO_AND_ONE})

    assert run.status == 4
    assert "'units 5', not a level and a number, like `unit 120`" in run.text


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_report_names_every_test_that_did_not_run_and_why(project: Project, workers: str) -> None:
    files = {
        "tests/unit/test_one.py": "import pytest\ndef test_it(): pytest.skip('the moon is full')",
        "tests/unit/test_module.py": "import pytest\npytest.skip('it rains', allow_module_level=True)",
        "tests/unit/test_ok.py": PASSES,
    }

    run = project(files, "-n", workers)

    run.lines.fnmatch_lines(["*= not run here =*"])
    run.lines.fnmatch_lines(["1 because the moon is full", "    tests/unit/test_one.py::test_it"])
    run.lines.fnmatch_lines(["1 because it rains", "    tests/unit/test_module.py"])


def test_the_head_of_the_report_names_the_backing_services(project: Project) -> None:
    run = project({"tests/unit/test_x.py": PASSES})

    run.lines.re_match_lines([r"backing services: PostgreSQL embedded \d+\.\d+, Kafka embedded \(librdkafka mock\)"])


def test_an_unmarked_address_is_refused_in_the_head_and_when_it_is_used(project: Project) -> None:
    uses = "def test_it(postgres_server): pass"

    run = project({"tests/integration/test_x.py": uses}, TEST_DATABASE_URL="postgresql://u:secret@db.example/orders")

    assert run.status == 1
    run.lines.fnmatch_lines(["backing services: PostgreSQL refused: tests would wipe the database db.example/orders.*"])
    run.lines.fnmatch_lines(["*NotATestSystemError*"])


@pytest.mark.parametrize("source", [NEEDS_REAL_KAFKA, CLAIMS_REAL_KAFKA])
def test_a_claim_about_kafka_is_named_as_not_run_where_only_the_mock_is(project: Project, source: str) -> None:
    run = project({"tests/integration/test_x.py": source}, **NO_REAL_KAFKA)

    assert run.status == 0
    run.lines.fnmatch_lines(["*= not run here =*", "1 because no Apache Kafka here: no *; no Docker engine answers*"])


@pytest.mark.parametrize("source", [NEEDS_REAL_KAFKA, CLAIMS_REAL_KAFKA])
def test_require_turns_a_claim_about_kafka_that_cannot_run_into_a_failure(project: Project, source: str) -> None:
    run = project({"tests/integration/test_x.py": source}, REQUIRE="containers,kafka", **NO_REAL_KAFKA)

    assert run.status == 1
    run.lines.fnmatch_lines(["*REQUIRE=containers,kafka, but no Apache Kafka here: *"])


def test_a_level_that_is_chosen_has_also_what_is_marked_with_it_elsewhere(project: Project) -> None:
    marked = "import pytest\n@pytest.mark.unit\ndef test_it(): pass"

    run = project({"tests/unit/test_a.py": PASSES, "tests/api/test_b.py": marked}, "-m", "unit")

    run.lines.fnmatch_lines(["*2 passed*"])


def test_a_folder_that_is_ignored_stays_out_though_its_level_is_chosen(project: Project) -> None:
    files = {"tests/unit/test_a.py": PASSES, "other/tests/unit/test_b.py": PASSES}

    run = project(files, "-m", "unit", "--ignore=tests/unit")

    run.lines.fnmatch_lines(["*1 passed*"])


def test_using_real_kafka_marks_the_test(project: Project) -> None:
    run = project({"tests/integration/test_x.py": NEEDS_REAL_KAFKA}, "-m", "real_kafka", "--collect-only", "-q")

    run.lines.fnmatch_lines(["tests/integration/test_x.py::test_it"])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_init_file_under_tests_stops_the_run_and_says_why(project: Project, workers: str) -> None:
    run = project({"a/tests/unit/test_x.py": PASSES, "a/tests/__init__.py": ""}, "-n", workers)

    assert run.status != 0
    assert "1 passed" not in run.text
    run.lines.fnmatch_lines(["*remove */a/tests/__init__.py: with --import-mode=importlib*"])


def test_a_project_below_a_folder_named_tests_is_no_test_of_anybody(project: Project) -> None:
    app = "tests/unit/app"
    files = {
        f"{app}/pytest.ini": SETTINGS,
        f"{app}/app/__init__.py": "",
        f"{app}/app/test_beside_the_code.py": CONNECTS.replace(".connect", ".connect_ex"),
        f"{app}/tests/integration/test_x.py": PASSES,
    }

    run = project(files, "-c", f"{app}/pytest.ini", app)

    assert run.status == 0, run.text
    run.lines.fnmatch_lines(["integration * 1 *", "other * 1 *"])


REPEATS = """
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        for _ in range(2):
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            if all(report.passed for report in reports):
                break
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        return True
"""
CONNECTS_ONCE = """
    import socket
    attempts = []
    def test_it():
        attempts.append(1)
        if len(attempts) == 1:
            with socket.socket() as client:
                client.connect(("127.0.0.1", 9))
"""


# pytest-rerunfailures#206: what the first attempt left made each later one fail
def test_an_attempt_that_a_plugin_repeats_begins_afresh(project: Project) -> None:
    run = project({"conftest.py": REPEATS, "tests/unit/test_x.py": CONNECTS_ONCE})

    assert run.status == 0, run.text
    run.lines.fnmatch_lines(["*1 passed*"])


def test_shuffling_prints_a_seed_that_repeats_the_order(project: Project) -> None:
    files = {"tests/unit/test_x.py": "\n".join(f"def test_{number}(): pass" for number in range(20))}

    orders = [
        [line for line in project(files, "-v", *option).text.splitlines() if "PASSED" in line]
        for option in ([], ["--shuffle=1"], ["--shuffle=1"], ["--shuffle=2"])
    ]

    assert orders[1] == orders[2]
    assert orders[0] != orders[1] != orders[3]


def test_shuffling_without_a_seed_prints_the_one_it_took_and_shares_it_among_workers(project: Project) -> None:
    files = {"tests/unit/test_x.py": "\n".join(f"def test_{number}(): pass" for number in range(20))}

    run = project(files, "-n", "2", "--shuffle")

    assert run.status == 0
    run.lines.re_match_lines([r"backing services: shuffled, --shuffle=\d+ repeats this order"])


@pytest.mark.parametrize("options", [[], ["-p", "backing_services.plugin"]])
def test_a_stranger_who_installs_the_library_gets_the_plugin_once(project: Project, options: list[str]) -> None:
    run = project({"tests/unit/test_x.py": PASSES, "pytest.ini": "[pytest]"}, *options)

    assert run.status == 0
    run.lines.fnmatch_lines(["*= seconds by level =*", "unit * 1 *"])


CONFIGURES_STRUCTLOG = """
    import structlog
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
"""
LOGS_AN_EXCEPTION = """
    import structlog
    def test_it(capsys):
        try:
            raise ValueError("why")
        except ValueError:
            structlog.get_logger().exception("failed")
        written = capsys.readouterr().out
        assert written == {expected!r}
"""


@pytest.mark.parametrize(
    ("conftest", "expected"),
    [("", "exc_info=True event='failed'\n"), (CONFIGURES_STRUCTLOG, '{"exc_info": true, "event": "failed"}\n')],
    ids=["by default", "as the project has it"],
)
def test_the_exceptions_that_tests_log_are_not_drawn_by_rich(project: Project, conftest: str, expected: str) -> None:
    """structlog's own default does that, for seconds if one is deep; what a project has set stays."""
    run = project({"conftest.py": conftest, "tests/unit/test_x.py": LOGS_AN_EXCEPTION.format(expected=expected)})

    assert run.status == 0, run.text


def test_a_session_fixture_may_use_a_socket_when_it_ends_after_the_last_unit_test(project: Project) -> None:
    conftest = """
import socket, pytest
@pytest.fixture(scope="session", autouse=True)
def server():
    yield
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
"""

    run = project({"conftest.py": conftest, "tests/unit/test_last.py": PASSES})

    run.lines.fnmatch_lines(["*1 passed*"])
    assert run.status == 0
