"""The process that listens where this one would: what it says of itself."""

import asyncio
from typing import Any

from outboxed.healthcheck import problem
from outboxed.process._doctor._findings import Finding
from outboxed.process._service import Service
from outboxed.settings import HttpUrl


async def process_findings(service: Service[Any]) -> list[Finding]:
    """Nothing where no fixed port is set, or nobody listens there: then no process runs, or elsewhere."""
    settings = service.settings
    if not settings.http_port:
        return []
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    url: HttpUrl = f"http://{host}:{settings.http_port}/health/ready"
    said = await asyncio.to_thread(problem, url)
    if said is None:
        return [Finding("process", "ok", f"{url} answers: ready")]
    if said.startswith(url):
        variable = settings.variable("http_port")
        return [Finding("process", "warning", said, f"start one, or name its port in {variable}; it may run elsewhere")]
    do = "its reason says what; a halted consumer goes on after a restart, once its dead letters are understood"
    return [Finding("process", "failed", f"{url}: {said}", do)]
