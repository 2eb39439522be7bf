"""How tasks are scheduled in a table."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from outboxed.errors import TaskConflictError
from outboxed.ports import NewTask
from outboxed.storage import tables
from outboxed.storage._statements import Statement, Steps, UnnestedRows, column_types
from outboxed.storage._writes import WriteForm

_TYPES = {
    **column_types(tables.tasks, ["kind", "key", "task_group", "payload", "traceparent"]),
    "delay": sa.Interval(),
}
_NEW = UnnestedRows(_TYPES, alias="new")


class SchedulingStatements:
    """How tasks are scheduled; the statements are made once for a table."""

    def __init__(self, table: sa.Table) -> None:
        self._insert = Statement(_insertion(table, _NEW, sa.true()))
        self._others = Statement(_others(table))
        self.form = WriteForm(_TYPES, partial(_insertion, table), may_miss=True)
        """How they are written with other rows; the rows are `rows_of_tasks`."""

    @property
    def sql(self) -> sa.Executable:
        """The statement by which tasks are written."""
        return self._insert.sql  # type: ignore[no-any-return]  # a Statement takes any

    def scheduling(self, tasks: Sequence[tuple[NewTask, str | None]], offset: timedelta) -> Steps[None]:
        """Schedule tasks, each with its trace. Raises TaskConflictError."""
        rows = rows_of_tasks(tasks, offset)
        scheduled = yield self._insert, _NEW.values(rows)
        if len(scheduled) < len(rows):
            yield from self.checking(rows)

    def checking(self, rows: Sequence[Mapping[str, object]]) -> Steps[None]:
        """What to do if some wait already. Raises TaskConflictError for one that isn't the same."""
        for kind, key in (yield self._others, _NEW.values(rows)):
            raise TaskConflictError(kind, key)


def rows_of_tasks(tasks: Sequence[tuple[NewTask, str | None]], offset: timedelta) -> Sequence[Mapping[str, object]]:
    """Tasks and their traces as rows; the clock is ahead of the database's by `offset`."""
    return [
        {
            "kind": task.kind,
            "key": task.key,
            "task_group": task.group,
            "payload": dict(task.payload),
            "traceparent": traceparent,
            "delay": task.delay + offset,
        }
        for task, traceparent in tasks
    ]


def _insertion(table: sa.Table, new: UnnestedRows, after: sa.ColumnElement[bool]) -> Any:
    *columns, delay = new.columns
    due_at = sa.func.clock_timestamp() + delay
    # a postponed task keeps first_due_at, which tells for how long the task has been failing
    ordered = sa.select(*columns, due_at, due_at).where(after).order_by(new.table.c.position)
    names = [*new.names[:-1], "due_at", "first_due_at"]
    unless_it_waits = insert(table).from_select(names, ordered)
    return unless_it_waits.on_conflict_do_nothing(index_elements=["kind", "key"]).returning(table.c.id)


def _others(table: sa.Table) -> sa.Select[Any]:
    waits, new = table, _NEW.table
    is_another = sa.or_(*(waits.c[name].is_distinct_from(new.c[name]) for name in ("payload", "task_group")))
    is_it = (waits.c.kind == new.c.kind) & (waits.c.key == new.c.key)
    return sa.select(waits.c.kind, waits.c.key).where(is_it, is_another).limit(1)
