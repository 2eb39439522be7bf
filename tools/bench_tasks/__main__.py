"""`python -m tools.bench_tasks`: what a task costs without its call: to claim it, to read for it, to record it.

The worker of notifications takes turns with one task after the other by hand, and with procrastinate where that can be
installed; each turn is a process of its own. A task changes one row.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from backing_services.postgres import EmbeddedPostgres, connected
from rich.console import Console

from tools import uv
from tools.bench_tasks import ours, raw
from tools.measuring.service import Log, migrated
from tools.measuring.turns import Turn, Turns, cost_table, in_own_process, in_turns, ratio
from tools.measuring.unmeasured import one_line_for_a_person

BY_HAND, SILENT, USUAL = "one by one, by hand", "outboxed, log at WARNING", "outboxed, log at INFO"
LEVELS = {SILENT: "WARNING", USUAL: "INFO"}
PROCRASTINATE = "procrastinate==3.10.0"
NOT_PROMISED = "procrastinate records a job and ends it in two transactions: a crash in between does it again"
GOAL, AT_MOST = 1.0, 6.0
"""Times the CPU of one by one, with the log as it is by default."""
FILL = (
    "truncate tasks, order_notifications",
    """
    insert into order_notifications (id, version, email, notifications)
    select gen_random_uuid(), 1, 'ada@example.com',
           '[{"kind": "confirmation", "status": "pending", "message_id": null, "sent_at": null}]'
    from generate_series(1, {tasks})
    """,
    """
    insert into tasks (kind, key, task_group, payload, due_at, first_due_at, traceparent)
    select 'send_email', 'confirmation.' || id, id, jsonb_build_object('order_id', id, 'kind', 'confirmation'),
           now(), now(), '00-' || replace(id::text, '-', '') || '-' || left(md5(id::text), 16) || '-00'
    from order_notifications
    """,
    "vacuum (analyze) tasks",
    "vacuum (analyze) order_notifications",
)


def main(
    tasks: Annotated[int, typer.Option(min=100, help="Tasks of a turn.")] = 4000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Exit with 1 if a task costs more than AT_MOST, with 2 if it could not be measured."""
    with one_line_for_a_person("tasks"), tempfile.TemporaryDirectory(prefix="bench-tasks-") as folder:
        turns = _measured(Path(folder), tasks, rounds)
    Console().print(cost_table(turns, to=BY_HAND, item="a task", title=f"{tasks:,} tasks a turn, without their calls"))
    print(NOT_PROMISED if PROCRASTINATE in turns else f"{PROCRASTINATE} can't be installed here, and isn't measured")
    usual, silent = (ratio(turns, name, BY_HAND) for name in (USUAL, SILENT))
    print(
        f"tasks: a task costs {usual:.2f} times the CPU of one by one by hand, {silent:.2f} with the log at WARNING; "
        f"at most {AT_MOST}, the goal is {GOAL}"
    )
    sys.exit(usual > AT_MOST)


def _measured(folder: Path, tasks: int, rounds: int) -> Turns:
    with EmbeddedPostgres() as postgres:
        url = asyncio.run(migrated(postgres))

        def turn(work: Callable[..., Turn], *arguments: object) -> Turn:
            asyncio.run(_filled(url, tasks))
            return work(*arguments)

        kinds = {BY_HAND: partial(turn, in_own_process, raw.work, url, tasks)}
        for name, level in LEVELS.items():
            kinds[name] = partial(turn, in_own_process, ours.work, url, tasks, Log(level, folder / "log"))
        if uv.can_run(uv.python_with(PROCRASTINATE)):
            kinds[PROCRASTINATE] = partial(turn, _by_procrastinate, url, tasks)
        return in_turns(kinds, rounds)


async def _filled(url: str, tasks: int) -> None:
    async with connected(url) as database:
        for statement in FILL:
            await database.execute(statement.replace("{tasks}", str(tasks)))


def _by_procrastinate(url: str, tasks: int) -> Turn:
    program = "from tools.bench_tasks.with_procrastinate import main; main()"  # its app mustn't be in the main module
    command = [*uv.python_with(PROCRASTINATE), "-c", program, url, str(tasks)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=uv.ROOT)  # noqa: S603
    return Turn(**json.loads(run.stdout))


if __name__ == "__main__":
    typer.run(main)
