"""`python -m <service> doctor`: what this service needs, looked at from where it is asked, and what to do."""

import asyncio
from typing import Any

from outboxed.process._doctor._database import database_findings
from outboxed.process._doctor._findings import Finding, Verdict
from outboxed.process._doctor._kafka import kafka_findings
from outboxed.process._doctor._process import process_findings
from outboxed.process._service import Service

__all__ = ["Finding", "Verdict", "examine"]


async def examine(service: Service[Any]) -> list[Finding]:
    """Look at everything; nothing is changed. Each part says by itself what keeps it from looking."""
    parts = await asyncio.gather(database_findings(service), kafka_findings(service), process_findings(service))
    return [_settings(service), *(finding for part in parts for finding in part)]


def _settings(service: Service[Any]) -> Finding:
    settings = service.settings
    found = f"{len(type(settings).model_fields)} are valid; environment {settings.environment}"
    return Finding("settings", "ok", found)
