"""Log lines as programs read them."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
import structlog
from outboxed.consuming._kafka import _silenced
from outboxed.process import configure_logs
from outboxed.telemetry import continued_trace

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
LIBRARIES = ("aiokafka", "alembic", "faststream", "httpx", "uvicorn")
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """What the root logger's own handler wrote; everything is put back afterwards."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    library_levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    structlog.configure(**before)
    root.handlers, root.level = handlers, level
    for name, library_level in library_levels.items():
        logging.getLogger(name).setLevel(library_level)


class ClosedPipe(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError("nobody reads")


def configured(level: str = "INFO") -> Any:
    """A logger of a service; set up in the test itself, because pytest takes the root's handlers away before it."""
    configure_logs(service="bank", level=level)
    return structlog.get_logger()


def test_a_line_is_json_with_the_service_the_order_and_the_trace(lines: Lines) -> None:
    log = configured()

    with continued_trace("order.placed", f"00-{TRACE_ID}-00f067aa0ba902b7-01", order_id="7"):
        log.info("event_handled", type="order.placed.v1")

    [line] = lines()
    known = {"service": "bank", "level": "info", "event": "event_handled", "type": "order.placed.v1"}
    assert known.items() <= line.items()
    assert (line["order_id"], line["trace_id"]) == ("7", TRACE_ID)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_librarys_everyday_life_is_no_line(lines: Lines, name: str) -> None:
    """httpx would tell of each request with its URL, in which there are customers' orders."""
    configured()

    logging.getLogger(f"{name}.part").info('HTTP Request: GET http://gateway/v1/charges?reference=7 "HTTP/1.1 200 OK"')
    logging.getLogger(f"{name}.part").warning("lost")

    assert [line["event"] for line in lines()] == ["lost"]


def test_a_librarys_line_has_the_same_shape(lines: Lines) -> None:
    configured()

    with continued_trace("x", None, order_id="7"):
        logging.getLogger("aiokafka.consumer").warning("lost %s", "a broker")

    [line] = lines()
    assert (line["event"], line["level"], line["service"], line["order_id"]) == (
        "lost a broker",
        "warning",
        "bank",
        "7",
    )


def test_a_block_that_one_context_begins_and_another_one_ends_ends_well() -> None:
    """As a framework does that runs both halves of a dependency in threads, each in a copy of the context."""
    block = continued_trace("x", None, order_id="7")

    copy_context().run(block.__enter__)
    copy_context().run(block.__exit__, None, None, None)


def test_a_library_with_a_handler_of_its_own_writes_the_same_lines(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    faststream = logging.getLogger("faststream")
    monkeypatch.setattr(faststream, "handlers", [logging.StreamHandler()])
    monkeypatch.setattr(faststream, "propagate", False)
    configured()

    faststream.warning("no such topic")

    assert [line["event"] for line in lines()] == ["no such topic"]


def test_a_line_that_cannot_be_written_is_said_on_standard_error_and_harms_nobody(
    capsys: pytest.CaptureFixture[str], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = configured()
    monkeypatch.setattr(logging.getLogger().handlers[0], "stream", ClosedPipe())

    log.info("event_handled")
    logging.getLogger("aiokafka").warning("lost")

    assert capsys.readouterr().err.count("BrokenPipeError: nobody reads") == 2
    assert not lines()


def test_what_libraries_say_below_a_warning_is_left_out(lines: Lines) -> None:
    log = configured()

    logging.getLogger("aiokafka").info("chatter")
    log.debug("detail")

    assert not lines()


@pytest.mark.parametrize("name", ["anybody", *LIBRARIES])
def test_nobody_says_less_than_what_the_level_lets_through(lines: Lines, name: str) -> None:
    """So `doctor --json`, which has the level CRITICAL, writes nothing before its document."""
    configured("ERROR")

    logging.getLogger(f"{name}.part").warning("lost")
    logging.getLogger(f"{name}.part").error("failed")

    assert [line["event"] for line in lines()] == ["failed"]


@pytest.mark.parametrize("error", [None, ConnectionRefusedError("away")])
def test_a_library_that_was_silenced_for_a_while_is_heard_again(lines: Lines, error: Exception | None) -> None:
    configured()
    library = logging.getLogger("aiokafka")

    with suppress(ConnectionRefusedError), _silenced("aiokafka"):
        library.error("no broker")
        if error is not None:
            raise error
    library.warning("lost a broker")

    assert [line["event"] for line in lines()] == ["lost a broker"]


def test_a_library_that_two_starts_silenced_is_heard_again_after_the_last_of_them(lines: Lines) -> None:
    configured()
    library = logging.getLogger("aiokafka")
    first, second = _silenced("aiokafka"), _silenced("aiokafka")

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    library.error("no broker")
    second.__exit__(None, None, None)
    library.warning("lost a broker")

    assert [line["event"] for line in lines()] == ["lost a broker"]


def test_an_error_is_one_line_with_its_traceback(lines: Lines) -> None:
    log = configured()

    log.error("failed", exc_info=ValueError("a bug"))

    [line] = lines()
    assert "ValueError: a bug" in line["exception"]


def test_lines_after_a_trace_do_not_belong_to_it(lines: Lines) -> None:
    log = configured()

    with continued_trace("x", None, order_id="7"):
        pass
    log.info("idle")

    [line] = lines()
    assert not {"order_id", "trace_id"} & line.keys()
