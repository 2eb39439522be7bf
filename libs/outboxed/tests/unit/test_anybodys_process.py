"""How outboxed's parts behave in the process of a project that has set up nothing for them."""

import asyncio
import logging
from collections.abc import Iterator

import anyio
import pytest
import structlog
from outboxed._logs import get_logger
from outboxed._stopping import at_most, shielded
from outboxed._traceparent import current_traceparent
from outboxed.telemetry import continued_trace

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def _structlog_as_it_comes() -> Iterator[None]:
    before, was_configured = structlog.get_config(), structlog.is_configured()
    structlog.reset_defaults()
    yield
    if was_configured:
        structlog.configure(**before)


@pytest.mark.usefixtures("_structlog_as_it_comes")
def test_where_nobody_has_set_up_structlog_a_line_goes_to_the_standard_library(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    get_logger().warning("relay_failed", error="no broker")

    [record] = caplog.records
    assert (record.name, record.levelno) == ("outboxed", logging.WARNING)
    assert record.getMessage() == "relay_failed error='no broker'"
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("_structlog_as_it_comes")
def test_an_error_has_its_traceback_in_the_standard_librarys_log(caplog: pytest.LogCaptureFixture) -> None:
    get_logger().critical("relay_ended", exc_info=ValueError("why"))

    assert "ValueError: why" in caplog.text


def test_where_structlog_is_set_up_a_line_goes_there(caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as logs:
        get_logger().error("outbox_row_set_aside", row=1)

    assert logs == [{"event": "outbox_row_set_aside", "row": 1, "log_level": "error"}]
    assert caplog.records == []


async def test_what_is_shielded_runs_to_its_end_while_anyio_cancels() -> None:
    steps = []
    with anyio.move_on_after(0):
        try:
            await anyio.sleep_forever()
        finally:
            with shielded():
                await asyncio.sleep(0)
                steps.append("closed")

    assert steps == ["closed"]


async def test_a_limit_ends_its_block_and_hides_no_other_time_out() -> None:
    async with at_most(0):
        await asyncio.Event().wait()
    with pytest.raises(TimeoutError, match="Kafka's own"):
        async with at_most(60):
            raise TimeoutError("Kafka's own")


def test_a_traceparent_is_that_of_the_running_span() -> None:
    assert current_traceparent() is None
    with continued_trace("x", PARENT):
        assert (current_traceparent() or "")[:36] == PARENT[:36]
