"""How tasks are scheduled in a table."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from outboxed.errors import TaskConflictError
from outboxed.ports import NewTask
from outboxed.storage import tables
from outboxed.storage._statements import Statement, Steps, UnnestedRows, column_types

_NEW = UnnestedRows(
    {
        **column_types(tables.tasks, ["kind", "key", "task_group", "payload", "traceparent"]),
        "delay": sa.Interval(),
    },
    alias="new",
)


class SchedulingStatements:
    """How tasks are scheduled; the statements are made once for a table."""

    def __init__(self, table: sa.Table) -> None:
        self._insert = Statement(_insert(table))
        self._others = Statement(_others(table))

    def scheduling(self, tasks: Sequence[tuple[NewTask, str | None]], offset: timedelta) -> Steps[None]:
        """Schedule tasks, each with its trace. Raises TaskConflictError."""
        rows = [
            {
                "kind": task.kind,
                "key": task.key,
                "task_group": task.group,
                "payload": dict(task.payload),
                "traceparent": traceparent,
                "delay": task.delay,
            }
            for task, traceparent in tasks
        ]
        values = _NEW.values(rows)
        scheduled = yield self._insert, {**values, "offset": offset}
        if len(scheduled) < len(rows):
            for kind, key in (yield self._others, values):
                raise TaskConflictError(kind, key)


def _insert(table: sa.Table) -> sa.Executable:
    *columns, delay = _NEW.columns
    due_at = sa.func.clock_timestamp() + sa.bindparam("offset", type_=sa.Interval()) + delay
    # a postponed task keeps first_due_at, which tells for how long the task has been failing
    ordered = sa.select(*columns, due_at, due_at).order_by(_NEW.table.c.position)
    names = [*_NEW.names[:-1], "due_at", "first_due_at"]
    unless_it_waits = insert(table).from_select(names, ordered)
    return unless_it_waits.on_conflict_do_nothing(index_elements=["kind", "key"]).returning(table.c.id)


def _others(table: sa.Table) -> sa.Select[Any]:
    waits, new = table, _NEW.table
    is_another = sa.or_(*(waits.c[name].is_distinct_from(new.c[name]) for name in ("payload", "task_group")))
    is_it = (waits.c.kind == new.c.kind) & (waits.c.key == new.c.key)
    return sa.select(waits.c.kind, waits.c.key).where(is_it, is_another).limit(1)
