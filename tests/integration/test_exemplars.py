"""From a slow point to its trace: a real Prometheus keeps what a process says, and has it for the panel that asks."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any

import httpx
import yaml
from backing_services.plugin import not_available
from backing_services.processes import HttpReady, ProcessSpec, Supervisor, free_port
from backing_services.waiting import eventually
from outboxed.process import Metrics
from outboxed.storage import Clock
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from shop_harness.services import ROOT, SERVICES

from tools.alarms.programs import ProgramMissingError, program
from tools.dashboards.asking import filled
from tools.dashboards.description import DASHBOARDS
from tools.dashboards.files import asks_a_histogram

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
COMMAND: Sequence[str] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prometheus"]["command"]
FEATURES = [part for part in COMMAND if part.startswith("--enable-feature=")]
"""What compose's Prometheus is told."""


@contextmanager
def answering(exposition: bytes) -> Iterator[int]:
    """A process that says this to whoever asks; its port."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.end_headers()
            self.wfile.write(exposition)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def slow() -> bytes:
    """What a process says after a slow event."""
    metrics = Metrics(Clock())
    metrics.event_handled("order.placed.v1", 7.0, {"trace_id": TRACE_ID, "span_id": SPAN_ID})
    return bytes(generate_latest(metrics.registry))  # type: ignore[no-untyped-call]


def prometheus(folder: Path, port: int, asks: int) -> ProcessSpec:
    scraped = {"job_name": SERVICES[0], "static_configs": [{"targets": [f"127.0.0.1:{asks}"]}]}
    (folder / "prometheus.yml").write_text(
        json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scraped]})
    )
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *FEATURES,
    ]
    ready = HttpReady(f"http://127.0.0.1:{port}/-/ready")
    return ProcessSpec("prometheus", command, folder / "prometheus.log", ready=ready)


async def test_a_panel_about_ages_has_the_trace_of_an_event_that_was_late(tmp_path: Path) -> None:
    try:
        program("prometheus")
    except ProgramMissingError as error:
        not_available("prometheus", str(error))
    queries = [query for each in DASHBOARDS for panel in each.panels for query in panel.queries.values()]
    panels = [filled(query) for query in queries if asks_a_histogram(query) and "event_age_seconds" in query]
    port = free_port()

    async def named(query: str) -> list[Mapping[str, Any]]:
        asked: dict[str, str | float] = {"query": query, "start": time() - 60, "end": time() + 60}
        answer = await http.get("/api/v1/query_exemplars", params=asked)
        return [each for series in answer.raise_for_status().json()["data"] for each in series["exemplars"]]

    with answering(slow()) as process:
        async with (
            Supervisor() as supervisor,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
        ):
            await supervisor.start(prometheus(tmp_path, port, process))
            assert len(panels) == 2, "one of the shop, one of a service"
            for query in panels:
                await eventually(lambda: named(query), every=0.1)  # noqa: B023 - before the next one
                [found] = await named(query)
                assert (found["labels"]["trace_id"], float(found["value"])) == (TRACE_ID, 7.0)
