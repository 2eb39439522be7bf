"""Mutants of SQL that no test can kill, or that none should, each with its reason."""

from dataclasses import dataclass

from tools.sql_mutation.mutants import SqlMutant


@dataclass(frozen=True)
class Explained:
    """The mutants of `file` (its end) that turn what has `before` in it into what has `after` in it."""

    file: str
    before: str
    after: str
    reason: str

    def covers(self, mutant: SqlMutant) -> bool:
        return mutant.file.endswith(self.file) and self.before in mutant.before and self.after in mutant.after


_ALONE = "the statement is the only one of its transaction, so that both are the same time"
_SOON = "all statements of the transaction come within milliseconds of its begin"
_INSTANT = "it takes the very microsecond of the database's clock to tell them apart"
_IMPLIED = "another condition, or the least of two times, says it already; it is there for the index tasks_postponed"
_ONE_CLAIM = "a token is that of one task and one claim; the id is there for the primary key's index"
_ARRAY = "PostgreSQL gives the rows of an array in their order; the words are there because SQL doesn't promise it"
_NO_ROW = "no row is at the floor or below"

EXPLAINED: tuple[Explained, ...] = (
    Explained("joining/_keeping.py", "sa.func.clock_timestamp", "sa.func.now", _ALONE),
    Explained("joining/_tasks.py", "sa.func.clock_timestamp", "sa.func.now", _ALONE),
    Explained("process/_metrics.py", "sa.func.clock_timestamp", "sa.func.now", _SOON),
    Explained("process/_counts.py", "_TASKS.c.due_at <= now", "_TASKS.c.due_at < now", _INSTANT),
    Explained("process/_counts.py", "_TASKS.c.first_due_at <= now", "_TASKS.c.first_due_at < now", _INSTANT),
    Explained("process/_counts.py", "due_at > now", "due_at >= now", _INSTANT),
    Explained("process/_counts.py", "first_due_at <= minute", "first_due_at < minute", _INSTANT),
    Explained("process/_counts.py", "due_at > _TASKS.c.first_due_at", "due_at >= _TASKS.c.first_due_at", _IMPLIED),
    Explained(
        "process/_counts.py",
        ".order_by(_TASKS.c.first_due_at)",
        "of_kind.where(_is_postponed(), *was_due)",
        "the figures stay the same; the order has PostgreSQL prefer the index tasks_postponed",
    ),
    Explained("process/_counts.py", "of_kind.where(_is_postponed(), *was_due)", "of_kind.where(*was_due)", _IMPLIED),
    Explained("process/_counts.py", "min(_TASKS.c.first_due_at)", ".where(_TASKS.c.kind == kinds.c.kind, )", _IMPLIED),
    Explained(
        "relay/_floor.py",
        "sa.select(sa.func.min(outbox.c.id) - 1) .where(outbox.c.id >",
        "sa.select(sa.func.min(outbox.c.id) - 1)",
        _NO_ROW,
    ),
    Explained("relay/_floor.py", "outbox.c.id > sa", "outbox.c.id >= sa", _NO_ROW),
    Explained(
        "relay/_rows.py",
        "letters.c.offset < row.c.id",
        "letters.c.offset <= row.c.id",
        "a row and its letter are never there both: what makes one removes the other in the same transaction",
    ),
    Explained("tasks/_queue.py", "sa.func.clock_timestamp", "sa.func.now", _ALONE),
    Explained("tasks/_queue.py", "table.c.due_at <= due_by", "table.c.due_at < due_by", _INSTANT),
    Explained("tasks/_queue.py", "table.c.leased_until <= _NOW", "table.c.leased_until < _NOW", _INSTANT),
    Explained("tasks/_queue.py", "table.c.due_at > _NOW", "table.c.due_at >= _NOW", _INSTANT),
    Explained("tasks/_queue.py", "table.c.due_at <= _NOW", "table.c.due_at < _NOW", _INSTANT),
    Explained(
        "tasks/_queue.py",
        "of_kind.where(table.c.due_at <= _NOW)",
        "of_kind",
        "what is due later is in the other half of the least; the condition is there for the index",
    ),
    Explained(
        "tasks/_queue.py", "(table.c.id == leased.c.id) &", "table.c.lease_token == leased.c.lease_token", _ONE_CLAIM
    ),
    Explained(
        "tasks/_queue.py",
        'sa.update(table) .where(table.c.id == sa.bindparam("of_id"), table.c.lease_token',
        'sa.update(table) .where(table.c.lease_token == sa.bindparam("token"))',
        _ONE_CLAIM,
    ),
    Explained(
        "tasks/_queue.py",
        "sa.or_(table.c.task_group.is_(None), ~behind)",
        "sa.or_(~behind)",
        "no group is no other's, so that nothing is in front; the condition saves a look for each task",
    ),
    Explained(
        "storage/_inbox.py",
        ".order_by(_WANTED.table.c.position)",
        'add_columns(handled_at.label("handled_at"))',
        _ARRAY,
    ),
    Explained(
        "storage/_repository.py", ".order_by(new.table.c.position)", "sa.select(*new.columns).where(after)", _ARRAY
    ),
    Explained("storage/_scheduling.py", ".order_by(new.table.c.position)", "due_at, due_at).where(after)", _ARRAY),
    Explained(
        "storage/_unit_of_work.py", ".order_by(new.table.c.position)", "sa.select(*new.columns).where(after)", _ARRAY
    ),
    Explained(
        "storage/_of_key.py",
        ".where(table.c.kind.in_(kinds), table.c.key == key)",
        ".where(table.c.key == key)",
        "the kinds are all that there are; with them an index finds the key",
    ),
)


def reason_for(mutant: SqlMutant) -> str | None:
    """Why a mutant may live; None if no reason is given."""
    return next((one.reason for one in EXPLAINED if one.covers(mutant)), None)
