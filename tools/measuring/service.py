"""Notifications alone: its database, and a process that is set up as its own."""

from collections.abc import Coroutine
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from backing_services.postgres import EmbeddedPostgres
from outboxed.process import configure_logs
from outboxed.process._roles import give_large_blocks_back, leave_to_itself_what_stays
from outboxed.storage import create_engine, migrate

NAME = "notifications"
T = TypeVar("T")


async def migrated(postgres: EmbeddedPostgres) -> str:
    """The URL of a new database with the service's tables."""
    await postgres.create_database(NAME)
    engine = create_engine(postgres.url(NAME), application_name="bench")
    try:
        await migrate(engine, NAME)
    finally:
        await engine.dispose()
    return postgres.url(NAME)


@dataclass(frozen=True)
class Log:
    """What a process says from a level on, and the file that gets it."""

    level: str
    file: Path


def run_as_service(work: Coroutine[Any, Any, T], log: Log) -> T:
    """Run in a new process as the service's command line would: with its event loop, its memory, its log."""
    with log.file.open("a") as file:
        with redirect_stdout(file):
            configure_logs(service=NAME, level=log.level)
        give_large_blocks_back()
        leave_to_itself_what_stays()
        return uvloop.run(work)
