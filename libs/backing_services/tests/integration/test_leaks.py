"""What a test leaves behind fails that test, and the next one starts as if it had not been."""

import pytest

from ..conftest import ASYNCIO, Project

LEAVES = {
    "task": (
        """
        async def test_leaves():
            background.append(asyncio.create_task(asyncio.sleep(60), name="poll"))
        """,
        "1 task(s) still run: sleep; await or cancel each",
    ),
    "a task of its fixture": (
        """
        @pytest.fixture
        async def polling():
            background.append(asyncio.create_task(asyncio.sleep(60)))

        async def test_leaves(polling): pass
        """,
        "1 task(s) still run: sleep",
    ),
    "thread": (
        """
        def test_leaves():
            threading.Thread(target=ended.wait, args=(3,), name="poller").start()
        """,
        "the thread poller still runs: stop and join it",
    ),
    "thread without a name": (
        """
        def test_leaves():
            threading.Thread(target=ended.wait, args=(3,)).start()
        """,
        "the thread Thread-* still runs: stop and join it",
    ),
    "variable": (
        """
        def test_leaves():
            os.environ["KAFKA_TOPIC_PREFIX"] = "mine."
        """,
        "the environment variable KAFKA_TOPIC_PREFIX is changed: use monkeypatch.setenv",
    ),
    "folder": (
        """
        def test_leaves(tmp_path):
            os.chdir(tmp_path)
        """,
        "the working directory is *: use monkeypatch.chdir",
    ),
    "event": (
        """
        from aiokafka import AIOKafkaProducer
        from outboxed.testing.topics import Topics

        @pytest.fixture
        async def topics(kafka_cluster):
            async with Topics.of_test(kafka_cluster, ["orders"]) as topics:
                yield topics

        async def test_leaves(topics):
            async with AIOKafkaProducer(**topics.kafka.client_options()) as producer:
                await producer.send_and_wait(topics.kafka.topic("orders"), b"mine")
                await producer.send_and_wait("orders", b"anybody's")

        async def test_leaves_too(topics):
            async with AIOKafkaProducer(**topics.kafka.client_options()) as producer:
                await producer.send_and_wait("orders", b"anybody's")
        """,
        "something was sent to orders, which others will read",
    ),
    "log level": (
        """
        def test_leaves():
            logging.getLogger().setLevel(logging.CRITICAL)
        """,
        "the level of the root logger is 50",
    ),
    "structlog": (
        """
        def test_leaves():
            structlog.configure(processors=[])
        """,
        "structlog is configured in another way",
    ),
}
HEAD = """
        import asyncio, logging, os, threading
        import pytest, structlog

        background = []
        ended = threading.Event()
        folder = os.getcwd()
"""
NEXT = """
        async def test_next():
            assert os.environ.get("KAFKA_TOPIC_PREFIX") is None
            assert os.getcwd() == folder
            assert logging.getLogger().level == logging.WARNING
            assert structlog.get_config()["processors"]
            assert all(task.done() for task in background)
"""


@pytest.mark.parametrize("kind", LEAVES)
def test_what_a_test_leaves_behind_fails_it_and_not_the_next_one(project: Project, kind: str) -> None:
    code, message = LEAVES[kind]

    run = project({"pytest.ini": ASYNCIO, "tests/integration/test_x.py": HEAD + code + NEXT}, "-v")

    assert run.status == 1
    run.lines.fnmatch_lines(["*::test_leaves ERROR*", "*::test_next PASSED*", f"E *LeakError: *{message}*"])
    # the second leak to the same topic counts as well
    run.lines.re_match_lines([r".*(2 passed, 1 error|3 passed, 2 errors) in"])


def test_tasks_of_the_sessions_fixtures_and_tasks_that_end_with_the_test_are_no_leaks(project: Project) -> None:
    code = """
        @pytest.fixture(scope="session")
        async def poller():
            async def poll():
                while True:
                    children.append(asyncio.create_task(asyncio.sleep(60)))
                    await asyncio.sleep(0)
            children = []
            task = asyncio.create_task(poll())
            yield children
            for one in [task, *children]:
                one.cancel()
            await asyncio.gather(task, *children, return_exceptions=True)

        async def test_its_own(poller):
            before = len(poller)
            task = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(poller) > before
            task.cancel()

        def test_settings(monkeypatch, tmp_path):
            monkeypatch.setenv("KAFKA_TOPIC_PREFIX", "mine.")
            monkeypatch.chdir(tmp_path)
            thread = threading.Thread(target=ended.wait, args=(0.01,))
            thread.start()
    """

    run = project({"pytest.ini": ASYNCIO, "tests/integration/test_x.py": HEAD + code + NEXT})

    assert run.status == 0, run.text


def test_what_a_fixture_of_several_tests_sets_for_its_time_is_no_leak(project: Project) -> None:
    code = """
        @pytest.fixture(scope="session", autouse=True)
        def prefix():
            os.environ["KAFKA_TOPIC_PREFIX"] = "session."
            structlog.configure(processors=[])
            yield
            del os.environ["KAFKA_TOPIC_PREFIX"]

        @pytest.fixture(scope="module")
        def level():
            logging.getLogger().setLevel(logging.ERROR)
            yield
            logging.getLogger().setLevel(logging.WARNING)

        def test_one(level): pass
        def test_two(level, monkeypatch): monkeypatch.setenv("KAFKA_TOPIC_PREFIX", "mine.")
        def test_leaves(level): os.environ["KAFKA_TOPIC_PREFIX"] = "mine."
        def test_next(level): assert os.environ["KAFKA_TOPIC_PREFIX"] == "session."
    """

    other = """
        def test_of_another_file(): assert logging.getLogger().level == logging.WARNING
    """

    files = {"tests/integration/test_x.py": HEAD + code, "tests/integration/test_y.py": HEAD + other}
    run = project({"pytest.ini": ASYNCIO, **files})

    run.lines.fnmatch_lines(
        ["*ERROR at teardown of test_leaves*", "E *KAFKA_TOPIC_PREFIX is changed*", "*5 passed, 1 error*"]
    )


LEAVES_A_TASK = """
        async def leave():
            background.append(asyncio.create_task(asyncio.sleep(60)))
"""


@pytest.mark.parametrize("scope", ["session", "function"])
def test_the_guard_watches_the_loop_of_the_test(project: Project, scope: str) -> None:
    settings = ASYNCIO.replace("test_loop_scope = session", f"test_loop_scope = {scope}")
    code = """
        async def test_default(): await leave()

        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(): await leave()

        class TestMethod:
            async def test_it(self): await leave()
    """

    run = project({"pytest.ini": settings, "tests/integration/test_x.py": HEAD + LEAVES_A_TASK + code})

    run.lines.fnmatch_lines(["*3 passed, 3 errors*"])


def test_the_guard_watches_properties_too(project: Project) -> None:
    code = """
        from hypothesis import given, settings, strategies

        @settings(max_examples=1)
        @given(strategies.just(1))
        async def test_property(_): await leave()
    """

    run = project({"pytest.ini": ASYNCIO, "tests/integration/test_x.py": HEAD + LEAVES_A_TASK + code})

    run.lines.fnmatch_lines(["*1 passed, 1 error*"])


def test_the_guard_watches_a_parametrized_test_once(project: Project) -> None:
    code = """
        @pytest.mark.parametrize("number", range(3))
        async def test_one_of_many(number, request):
            assert len([name for name in request.fixturenames if name.startswith("guard_of_tasks")]) == 1
    """

    run = project({"pytest.ini": ASYNCIO, "tests/integration/test_x.py": HEAD + code})

    run.lines.fnmatch_lines(["*3 passed*"])
