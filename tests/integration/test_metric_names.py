"""Every service's metrics, as Prometheus' own checker sees them: `promtool check metrics`."""

import subprocess
from typing import Any

import pytest
from backing_services.plugin import not_available
from outboxed.process import Service
from prometheus_client import generate_latest
from shop_harness.services import SERVICES

from tools.alarms.programs import ProgramMissingError, program

from ..defaults import built


def used(service: Service[Any]) -> bytes:
    """The exposition of a process that has done everything once."""
    metrics = service.metrics
    metrics.event_ignored("orders")
    metrics.event_handled("order.placed.v1", 0.2, None)
    metrics.event_dead_lettered("orders")
    metrics.batch_ended(0.1, failed=True)
    metrics.rows_sent("orders", 3)
    metrics.row_refused("orders")
    metrics.pass_ended(0.1, failed=False)
    metrics.task_attempted("charge", "done", 0.1, 0.2)
    metrics.request_answered("GET", "/api/v1/orders/{order_id}", 200, 0.01)
    return generate_latest(metrics.registry)


def checked(promtool: str, exposition: bytes) -> "subprocess.CompletedProcess[bytes]":
    command = [promtool, "check", "metrics"]
    return subprocess.run(command, input=exposition, capture_output=True, check=False)  # noqa: S603 - Prometheus' own


@pytest.mark.parametrize("name", SERVICES)
async def test_promtool_has_nothing_to_say_about_the_names(name: str) -> None:
    try:
        promtool = program("promtool")
    except ProgramMissingError as error:
        not_available("prometheus", str(error))
    service = built(name)
    exposition = used(service)
    await service.close()

    said = checked(promtool, exposition)

    assert (said.returncode, said.stdout.decode(), said.stderr.decode()) == (0, "", "")
