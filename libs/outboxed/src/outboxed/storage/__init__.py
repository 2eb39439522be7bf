"""PostgreSQL: the tables, the unit of work, repositories, migrations and what is pruned."""

from typing import TYPE_CHECKING

from outboxed._extras import exports_of
from outboxed.storage._clock import Clock
from outboxed.storage._errors import TimeoutsIgnoredError, answers, is_transient, kind_of, reason_of, refusal_of
from outboxed.storage._headers import dump_headers, load_headers
from outboxed.storage._inbox import InboxStatements
from outboxed.storage._letters import (
    Content,
    DeadLetter,
    DeadLetterError,
    DeadLetterTable,
    Edit,
    Letters,
    Now,
    Sought,
    insertion_of,
    return_to_outbox,
    task_of,
)
from outboxed.storage._of_key import handled_events, open_tasks, waiting_events
from outboxed.storage._pools import API_POOL_SECONDS, POOL_SECONDS
from outboxed.storage._repository import Aggregate, ConcurrentInsertError, SqlRepository, StaleAggregateError
from outboxed.storage._retention import Pruner, Retention
from outboxed.storage._scheduling import SchedulingStatements
from outboxed.storage._statements import (
    Statement,
    Steps,
    Transaction,
    UnnestedRows,
    column_types,
    named,
    rows_in,
    run_steps,
    run_steps_sync,
    single_statements,
    storable,
    translated,
)
from outboxed.storage._unit_of_work import (
    SqlTransactions,
    SqlUnitOfWork,
    Written,
    insertion_into,
    rows_of,
)
from outboxed.storage._writes import Write, WriteForm

if TYPE_CHECKING:
    from outboxed.storage._database import SESSION_SETTINGS, create_engine
    from outboxed.storage._migrations import MIGRATION_SECONDS, migrate, migrations_path, schema_problem

__all__ = [
    "API_POOL_SECONDS",
    "MIGRATION_SECONDS",
    "POOL_SECONDS",
    "SESSION_SETTINGS",
    "Aggregate",
    "Clock",
    "ConcurrentInsertError",
    "Content",
    "DeadLetter",
    "DeadLetterError",
    "DeadLetterTable",
    "Edit",
    "InboxStatements",
    "Letters",
    "Now",
    "Pruner",
    "Retention",
    "SchedulingStatements",
    "Sought",
    "SqlRepository",
    "SqlTransactions",
    "SqlUnitOfWork",
    "StaleAggregateError",
    "Statement",
    "Steps",
    "TimeoutsIgnoredError",
    "Transaction",
    "UnnestedRows",
    "Write",
    "WriteForm",
    "Written",
    "answers",
    "column_types",
    "create_engine",
    "dump_headers",
    "handled_events",
    "insertion_into",
    "insertion_of",
    "is_transient",
    "kind_of",
    "load_headers",
    "migrate",
    "migrations_path",
    "named",
    "open_tasks",
    "reason_of",
    "refusal_of",
    "return_to_outbox",
    "rows_in",
    "rows_of",
    "run_steps",
    "run_steps_sync",
    "schema_problem",
    "single_statements",
    "storable",
    "task_of",
    "translated",
    "waiting_events",
]

__getattr__ = exports_of(
    __name__,
    {
        ("asyncpg", "_database"): ("SESSION_SETTINGS", "create_engine"),
        ("migrations", "_migrations"): ("MIGRATION_SECONDS", "migrate", "migrations_path", "schema_problem"),
    },
)
