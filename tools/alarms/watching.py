"""A real Prometheus and its alertmanager as processes, which watch the services of a system."""

import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, cast

import httpx
from backing_services.processes import HttpReady, ProcessSpec, free_port
from backing_services.waiting import eventually
from shop_harness.services import SERVICES
from shop_harness.system import LOOPBACK, System

from tools.alarms.description import Scale
from tools.alarms.files import write_rules
from tools.alarms.programs import program

EVERY = "1s"
LOOK_SECONDS = 0.25
READY_SECONDS = 30.0


@dataclass(frozen=True)
class Ringing:
    """An alarm that the alertmanager has, and of which job; empty for one of the whole shop."""

    alarm: str
    job: str = ""

    def __str__(self) -> str:
        return f"{self.alarm} of {self.job}" if self.job else self.alarm


@dataclass(frozen=True)
class Series:
    """A time series: its labels and its points."""

    labels: Mapping[str, str]
    points: Sequence[float]


class NoQueryError(ValueError):
    """Prometheus can't read a query; the message is what it says."""


class Watch:
    """Prometheus asks each service every second, and judges by the scaled rules. Raises ProgramMissingError."""

    def __init__(self, system: System, scale: Scale) -> None:
        self._programs = {name: program(name) for name in ("prometheus", "alertmanager")}
        self._system = system
        self._scale = scale
        self._ports = {name: free_port() for name in self._programs}
        self._started: list[str] = []
        self._folders: list[Path] = []
        self._http = httpx.AsyncClient(timeout=5, trust_env=False)

    @classmethod
    @asynccontextmanager
    async def running(cls, system: System, scale: Scale) -> AsyncIterator["Watch"]:
        """Both run in the block, and Prometheus has seen each service. Raises ProcessFailedError, StillWaitingError."""
        watch = cls(system, scale)
        try:
            await watch._start("alertmanager", watch._receiver(), "--cluster.listen-address=")
            await watch._start("prometheus", watch._targets())
            await eventually(watch._sees_all, within=READY_SECONDS)
            yield watch
        finally:
            await watch._close()

    async def _close(self) -> None:
        """End both, and forget what they saw."""
        for name in self._started:
            await self._system.supervisor.stop(name)
        await self._http.aclose()
        for folder in self._folders:
            shutil.rmtree(folder)

    async def ringing(self) -> set[Ringing]:
        """What rings now. Raises httpx.HTTPError."""
        query = {"active": "true", "silenced": "true", "inhibited": "true"}
        answer = await self._http.get(f"{self._url('alertmanager')}/api/v2/alerts", params=query)
        labels = [alert["labels"] for alert in answer.raise_for_status().json()]
        return {Ringing(each["alertname"], each.get("job", "")) for each in labels}

    async def _sees_all(self) -> bool:
        """Whether Prometheus reaches every service. Raises httpx.HTTPError."""
        return {each["metric"]["job"] for each in await self._asked("query", query="up == 1")} >= set(SERVICES)

    async def series(self, query: str, since: float) -> list[Series]:
        """What a panel would draw since a Unix time: a point each second. Raises NoQueryError, httpx.HTTPError."""
        found = await self._asked("query_range", query=query, start=since, end=time(), step=EVERY)
        return [Series(each["metric"], [float(value) for _, value in each["values"]]) for each in found]

    async def _asked(self, how: str, **parameters: str | float) -> list[Any]:
        answer = await self._http.get(f"{self._url('prometheus')}/api/v1/{how}", params=parameters)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise NoQueryError(answer.json()["error"])
        return cast("list[Any]", answer.raise_for_status().json()["data"]["result"])

    def _url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self._ports[name]}"

    async def _start(self, name: str, configuration: dict[str, Any], *more: str) -> None:
        folder = self._folder(name)
        file = folder / "configuration.yml"
        file.write_text(json.dumps(configuration))  # JSON is YAML
        where = "storage.tsdb.path" if name == "prometheus" else "storage.path"
        command = [
            self._programs[name],
            f"--config.file={file}",
            f"--{where}={folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self._ports[name]}",
            "--log.level=warn",
            *more,
        ]
        ready = HttpReady(f"{self._url(name)}/-/ready")
        spec = ProcessSpec(name, command, self._system.folder / f"{name}.log", ready=ready, ready_within=READY_SECONDS)
        await self._system.supervisor.start(spec)
        self._started.append(name)

    def _folder(self, name: str) -> Path:
        folder = self._system.folder / name
        folder.mkdir()
        self._folders.append(folder)
        return folder

    def _receiver(self) -> dict[str, Any]:
        """Nobody is told: who wants to know asks the alertmanager."""
        return {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}

    def _targets(self) -> dict[str, Any]:
        rules = self._folder("rules") / "alerts.yml"
        write_rules(rules, self._scale)
        targets = {name: f"{LOOPBACK}:{self._system.ports[name]}" for name in SERVICES}
        return {
            "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
            "rule_files": [str(rules)],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [f"{LOOPBACK}:{self._ports['alertmanager']}"]}]}]
            },
            "scrape_configs": [
                {"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in targets.items()
            ],
        }
