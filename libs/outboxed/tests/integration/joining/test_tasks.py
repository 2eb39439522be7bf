"""Tasks in a project that has its own sessions and tables: done if the transaction commits, recorded once."""

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from backing_services.waiting import eventually
from outboxed import Outbox, Tasks
from outboxed.errors import TaskConflictError
from outboxed.joining import _running as running
from outboxed.tasks import Task, Worker
from outboxed.tasks import _queue as queue
from outboxed.telemetry import SpanKind, continued_trace
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

SCHEMA, SENT = "shop", "sent"


class Mail(BaseModel):
    to: str


class RefusedError(Exception):
    pass


class Project:
    """A team's tables, and what it has declared."""

    def __init__(self) -> None:
        self.metadata = sa.MetaData()
        self.sent = sa.Table(SENT, self.metadata, sa.Column("receipt", sa.Text, unique=True))
        self.own = sa.Table("tasks", self.metadata, sa.Column("id", sa.Integer, primary_key=True))
        self.tasks = Tasks(metadata=self.metadata)
        self.calls: list[Task] = []
        self.threads: set[int] = set()
        self.problem: Exception | None = None

    async def answered(self, task: Task) -> str:
        """The call to the outside."""
        self.calls.append(task)
        if self.problem is not None:
            raise self.problem
        return f"{task.key} to {task.payload.get('to')}"

    async def noted(self, _: Task, outcome: str, session: AsyncSession) -> None:
        """What comes of it."""
        await session.execute(sa.insert(self.sent).values(receipt=outcome))


@pytest.fixture
def project() -> Project:
    return Project()


@pytest.fixture
def metadata(project: Project) -> sa.MetaData:
    return project.metadata


async def column(engine: AsyncEngine, wanted: sa.Column[Any]) -> Sequence[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(sa.select(wanted).order_by(wanted))).scalars().all()


async def scheduled(project: Project, engine: AsyncEngine, *keys: str, **more: Any) -> None:
    async with AsyncSession(engine) as session, session.begin():
        for key in keys:
            await project.tasks.schedule(session, "mail", key=key, payload=Mail(to="ada"), **more)


async def test_a_task_is_called_and_recorded_and_gone(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail", record=project.noted)(project.answered)
    await scheduled(project, engine, "a", "b")

    assert await project.tasks.run_due(engine) == 2

    assert await column(engine, project.sent.c.receipt) == ["a to ada", "b to ada"]
    assert await column(engine, project.tasks.table.c.key) == []


async def test_a_task_of_a_transaction_that_rolls_back_is_never_done(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail")(project.answered)
    async with AsyncSession(engine) as session:
        await project.tasks.schedule(session, "mail", key="a")
        await session.rollback()

    assert await project.tasks.run_due(engine) == 0


async def test_the_worker_is_woken_by_the_commit(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail", record=project.noted)(project.answered)

    async def is_sent() -> bool:
        return await column(engine, project.sent.c.receipt) == ["a to ada"]

    async with project.tasks.worker(engine):
        await scheduled(project, engine, "a")
        await eventually(is_sent)


async def test_a_task_that_waits_already_is_scheduled_once(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail", record=project.noted)(project.answered)
    await scheduled(project, engine, "a")
    await scheduled(project, engine, "a")

    assert await project.tasks.run_due(engine) == 1


async def test_another_task_under_a_key_that_waits_is_refused(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail")(project.answered)
    await scheduled(project, engine, "a")

    async with AsyncSession(engine) as session:
        with pytest.raises(TaskConflictError):
            await project.tasks.schedule(session, "mail", key="a", payload={"to": "grace"})


async def test_a_deadline_changes_the_projects_rows_when_it_is_due(project: Project, engine: AsyncEngine) -> None:
    @project.tasks.deadline("expire")
    async def expire(task: Task, session: AsyncSession) -> None:
        await session.execute(sa.insert(project.sent).values(receipt=f"expired {task.key}"))

    async with AsyncSession(engine) as session, session.begin():
        await project.tasks.schedule(session, "expire", key="now")
        await project.tasks.schedule(session, "expire", key="later", delay=timedelta(hours=1))

    assert await project.tasks.run_due(engine) == 1
    assert await column(engine, project.sent.c.receipt) == ["expired now"]


async def test_tasks_of_a_group_are_done_one_after_the_other(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail")(project.answered)
    await scheduled(project, engine, "a", "b", group="ada")

    assert [await project.tasks.run_due(engine) for _ in range(2)] == [2, 0]
    assert [task.key for task in project.calls] == ["a", "b"]


async def test_all_that_is_due_is_done_once_however_much_it_is(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail", record=project.noted, concurrency=2)(project.answered)
    await scheduled(project, engine, *map(str, range(5)))

    assert await project.tasks.run_due(engine) == 5
    assert sorted(task.key for task in project.calls) == list("01234")


async def test_what_a_task_schedules_and_what_fails_is_for_the_next_time(
    project: Project, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_BACKOFF", 0.0)
    project.problem = RefusedError()
    project.tasks.call("mail")(project.answered)
    due: list[str] = []

    @project.tasks.deadline("again")
    async def again(task: Task, session: AsyncSession) -> None:
        due.append(task.key)
        await project.tasks.schedule(session, "again", key=task.key)

    await scheduled(project, engine, "a")
    async with AsyncSession(engine) as session, session.begin():
        await project.tasks.schedule(session, "again", key="b")

    assert [await project.tasks.run_due(engine) for _ in range(2)] == [2, 2]
    assert (len(project.calls), due) == (2, ["b", "b"])


class Gateway:
    """Has a call as an object, as a client of somebody's may be."""

    def __init__(self, project: Project) -> None:
        self.project = project

    async def __call__(self, task: Task) -> str:
        return await self.project.answered(task)


def decorated(call: Callable[[Task], Any]) -> Callable[[Task], Any]:
    """What a decorator that knows nothing of `async` makes of a function."""

    def wrapper(task: Task) -> Any:
        return call(task)

    return wrapper


@pytest.mark.parametrize(
    "call",
    [
        Gateway,
        lambda project: decorated(project.answered),
        lambda project: partial(Gateway.__call__, Gateway(project)),
    ],
    ids=["an object", "a decorated function", "a part of a function"],
)
async def test_a_call_that_is_awaited_may_look_like_none(
    project: Project, engine: AsyncEngine, call: Callable[[Project], Callable[[Task], Any]]
) -> None:
    project.tasks.call("mail", record=project.noted)(call(project))
    await scheduled(project, engine, "a")

    assert await project.tasks.run_due(engine) == 1
    assert await column(engine, project.sent.c.receipt) == ["a to ada"]


async def test_a_call_that_fails_comes_again_and_what_was_written_with_it_is_gone(
    project: Project, engine: AsyncEngine
) -> None:
    async def note_and_fail(task: Task, outcome: str, session: AsyncSession) -> None:
        await project.noted(task, outcome, session)
        raise RefusedError("no")

    project.tasks.call("mail", record=note_and_fail)(project.answered)
    await scheduled(project, engine, "a")

    await project.tasks.run_due(engine)

    assert await column(engine, project.sent.c.receipt) == []
    assert await column(engine, project.tasks.table.c.attempts) == [1]
    assert await column(engine, project.tasks.table.c.last_error) == ["RefusedError: no"]


async def test_a_task_that_is_given_up_is_a_dead_letter_and_the_project_notes_it(
    project: Project, engine: AsyncEngine
) -> None:
    async def note(task: Task, session: AsyncSession) -> None:
        await session.execute(sa.insert(project.sent).values(receipt=f"given up {task.key}"))

    project.problem = RefusedError("no such address")
    project.tasks.call("mail", gives_up=lambda error, _: isinstance(error, RefusedError), abandon=note)(
        project.answered
    )
    await scheduled(project, engine, "a")

    await project.tasks.run_due(engine)

    letters = project.tasks.dead_letters.c
    assert await column(engine, project.sent.c.receipt) == ["given up a"]
    assert [await column(engine, each) for each in (letters.topic, letters.key, letters.value)] == [
        ["mail"],
        [b"a"],
        [b'{"to": "ada"}'],
    ]


async def test_sync_sessions_and_functions_do_the_same(
    project: Project, engine: AsyncEngine, sync_engine: sa.Engine
) -> None:
    def call(task: Task) -> str:
        project.threads.add(threading.get_ident())
        return task.key

    def note(_: Task, outcome: str, session: Session) -> None:
        session.execute(sa.insert(project.sent).values(receipt=outcome))

    project.tasks.call("mail", record=note)(call)
    with Session(sync_engine) as session, session.begin():
        for key in ("a", "b"):
            project.tasks.schedule_sync(session, "mail", key=key)

    assert await project.tasks.run_due(sync_engine) == 2

    assert await column(engine, project.sent.c.receipt) == ["a", "b"]
    assert threading.get_ident() not in project.threads


async def test_what_ends_a_task_of_a_sync_project_is_executed_and_committed_in_threads(
    project: Project, sync_engine: sa.Engine
) -> None:
    """In the event loop a statement that waits for a lock would hold up the whole app."""
    project.tasks.call("mail")(lambda task: task.key)
    with Session(sync_engine) as session, session.begin():
        project.tasks.schedule_sync(session, "mail", key="a")
    seen: set[str] = set()

    def note(*given: Any) -> None:
        seen.add("commit" if len(given) == 1 else "statement")
        project.threads.add(threading.get_ident())

    sa.event.listen(sync_engine, "before_cursor_execute", note)
    sa.event.listen(sync_engine, "commit", note)
    assert await project.tasks.run_due(sync_engine) == 1

    assert seen == {"commit", "statement"}
    assert threading.get_ident() not in project.threads


@pytest.mark.parametrize("problem", [None, RefusedError("no")], ids=["recorded", "tried again"])
async def test_a_sync_projects_session_is_opened_and_closed_in_threads(
    project: Project, sync_engine: sa.Engine, problem: Exception | None
) -> None:
    """To open one may mean to wait for a connection of the pool."""

    def record(*_: object) -> None:
        if problem is not None:
            raise problem

    @contextmanager
    def opened() -> Iterator[Session]:
        project.threads.add(threading.get_ident())
        try:
            with Session(sync_engine) as session:
                yield session
        finally:
            project.threads.add(threading.get_ident())

    project.tasks.call("mail", record=record)(lambda task: task.key)
    with Session(sync_engine) as session, session.begin():
        project.tasks.schedule_sync(session, "mail", key="a")

    await project.tasks.run_due(sync_engine, opened)

    assert project.threads
    assert threading.get_ident() not in project.threads


async def test_a_sync_projects_deadlines_and_what_it_notes_of_a_task_that_was_given_up_are_no_coroutines(
    project: Project, engine: AsyncEngine, sync_engine: sa.Engine
) -> None:
    def refuse(_: Task) -> None:
        raise RefusedError("no")

    def note(task: Task, session: Session) -> None:
        project.threads.add(threading.get_ident())
        session.execute(sa.insert(project.sent).values(receipt=f"{task.kind} {task.key}"))

    project.tasks.call("mail", gives_up=lambda *_: True, abandon=note)(refuse)
    project.tasks.deadline("expire")(note)
    with Session(sync_engine) as session, session.begin():
        project.tasks.schedule_sync(session, "mail", key="a")
        project.tasks.schedule_sync(session, "expire", key="b")

    assert await project.tasks.run_due(sync_engine) == 2

    assert await column(engine, project.sent.c.receipt) == ["expire b", "mail a"]
    assert await column(engine, project.tasks.table.c.key) == []
    assert threading.get_ident() not in project.threads


async def test_of_what_is_due_one_task_at_a_time_is_claimed(project: Project, engine: AsyncEngine) -> None:
    """One after the other: the lease of one that waits for slow ones would end, and a worker would do it, too."""
    leases: list[int] = []
    leased = sa.select(sa.func.count()).where(project.tasks.table.c.leased_until.is_not(None))

    async def call(_: Task) -> str:
        async with engine.connect() as connection:
            leases.append((await connection.execute(leased)).scalar_one())
        return "done"

    project.tasks.call("mail")(call)
    await scheduled(project, engine, "a", "b", "c")

    assert await project.tasks.run_due(engine) == 3
    assert leases == [1, 1, 1]


async def test_both_forms_schedule_the_same_of_whatever_they_are_given(
    project: Project, engine: AsyncEngine, sync_engine: sa.Engine
) -> None:
    project.tasks.call("mail")(project.answered)
    given: Any = {"payload": {"to": "ada"}, "delay": timedelta(hours=1), "group": 7}

    async with AsyncSession(engine) as session, session.begin():
        await project.tasks.schedule(session, "mail", key=1, **given)
    with Session(sync_engine) as sync_session, sync_session.begin():
        project.tasks.schedule_sync(sync_session, "mail", key=2, **given)

    table = project.tasks.table
    is_later = table.c.due_at > sa.func.clock_timestamp() + timedelta(minutes=30)
    async with engine.connect() as connection:
        rows = (await connection.execute(sa.select(table.c.key, table.c.task_group, table.c.payload, is_later))).all()
    for form in (project.tasks.schedule, project.tasks.schedule_sync):
        assert {*inspect.signature(form).parameters} == {"session", "kind", "key", *given}, "give it here, too"
    assert sorted(map(tuple, rows)) == [(key, "7", {"to": "ada"}, True) for key in ("1", "2")]


async def test_a_task_goes_on_in_the_trace_in_which_it_was_scheduled(project: Project, engine: AsyncEngine) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    project.tasks.call("mail")(project.answered)

    with continued_trace("an order", f"00-{trace}-b7ad6b7169203331-01", SpanKind.INTERNAL):
        await scheduled(project, engine, "a")

    [kept] = await column(engine, project.tasks.table.c.traceparent)
    assert kept.split("-")[1] == trace


async def test_a_sync_dependency_hears_of_the_error_that_ends_its_session(
    project: Project, engine: AsyncEngine, sync_engine: sa.Engine
) -> None:
    def committing() -> Iterator[Session]:
        with Session(sync_engine) as session:
            yield session
            session.commit()  # as dependencies do, unless an error comes through

    def note(_: Task, outcome: str, session: Session) -> None:
        session.execute(sa.insert(project.sent).values(receipt=outcome))
        raise RefusedError

    project.tasks.call("mail", record=note)(project.answered)
    await scheduled(project, engine, "a")

    await project.tasks.run_due(sync_engine, committing)

    assert await column(engine, project.sent.c.receipt) == []
    assert await column(engine, project.tasks.table.c.key) == ["a"]


async def test_a_sync_record_that_fails_writes_nothing(
    project: Project, engine: AsyncEngine, sync_engine: sa.Engine
) -> None:
    def note(_: Task, outcome: str, session: Session) -> None:
        session.execute(sa.insert(project.sent).values(receipt=outcome))
        raise RefusedError

    project.tasks.call("mail", record=note)(project.answered)
    await scheduled(project, engine, "a")

    await project.tasks.run_due(sync_engine)

    assert await column(engine, project.sent.c.receipt) == []
    assert await column(engine, project.tasks.table.c.key) == ["a"]


async def test_each_way_in_which_a_project_has_a_session_schedules(
    project: Project, engine: AsyncEngine, sync_engine: sa.Engine
) -> None:
    project.tasks.call("mail")(project.answered)
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=threading.get_ident)
    await project.tasks.schedule(scoped, "mail", key="scoped")
    await scoped.commit()
    await scoped.remove()
    async with engine.begin() as connection:
        await project.tasks.schedule(connection, "mail", key="connection")
    sync_scoped = scoped_session(sessionmaker(sync_engine))
    project.tasks.schedule_sync(sync_scoped, "mail", key="sync scoped")
    sync_scoped.commit()
    sync_scoped.remove()
    with sync_engine.begin() as sync_connection:
        project.tasks.schedule_sync(sync_connection, "mail", key="sync connection")

    waiting = await column(engine, project.tasks.table.c.key)

    assert waiting == ["connection", "scoped", "sync connection", "sync scoped"]


async def test_sessions_of_a_dependency_are_opened_and_closed(project: Project, engine: AsyncEngine) -> None:
    closed: list[str] = []

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session
        closed.append("closed")

    project.tasks.call("mail", record=project.noted)(project.answered)
    await scheduled(project, engine, "a")

    await project.tasks.run_due(engine, get_session)

    assert (await column(engine, project.sent.c.receipt), closed) == (["a to ada"], ["closed"])


@pytest.mark.parametrize(
    ("declare", "error"),
    [
        (lambda tasks, call: tasks.call("mail")(call), "there is a kind of tasks named 'mail' already"),
        (lambda tasks, call: tasks.deadline("mail")(call), "there is a kind of tasks named 'mail' already"),
    ],
)
def test_a_kind_is_declared_once(
    project: Project, declare: Callable[[Tasks, Callable[[Task], Any]], None], error: str
) -> None:
    project.tasks.call("mail")(project.answered)

    with pytest.raises(ValueError, match=error):
        declare(project.tasks, project.answered)


async def test_a_kind_that_nobody_declared_is_refused_when_it_is_scheduled(
    project: Project, engine: AsyncEngine
) -> None:
    project.tasks.call("mail")(project.answered)

    async with AsyncSession(engine) as session:
        with pytest.raises(ValueError, match="kind 'mial' here; known are: mail"):
            await project.tasks.schedule(session, "mial", key="a")


async def test_a_payload_is_an_object(project: Project, engine: AsyncEngine) -> None:
    project.tasks.call("mail")(project.answered)

    async with AsyncSession(engine) as session:
        with pytest.raises(TypeError, match="not a list"):
            await project.tasks.schedule(session, "mail", key="a", payload=[1])


async def test_a_worker_that_ends_by_an_error_nobody_foresaw_is_logged_and_begins_again(
    project: Project, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.01)
    problems, run = iter([RuntimeError("unforeseen")]), Worker.run

    async def fail_once(worker: Worker[Any], stop: Any) -> None:
        for problem in problems:
            raise problem
        await run(worker, stop)

    monkeypatch.setattr(Worker, "run", fail_once)
    project.tasks.call("mail", record=project.noted)(project.answered)
    await scheduled(project, engine, "a")

    async def is_sent() -> bool:
        return await column(engine, project.sent.c.receipt) == ["a to ada"]

    with structlog.testing.capture_logs() as logs:
        async with project.tasks.worker(engine):
            await eventually(is_sent)

    assert [line["error"] for line in logs if line["event"] == "worker_ended"] == ["RuntimeError('unforeseen')"]


async def test_the_table_of_dead_letters_is_shared_with_an_outbox() -> None:
    metadata = sa.MetaData(schema=SCHEMA)

    tasks, outbox = Tasks(metadata=metadata), Outbox(metadata=metadata)

    assert tasks.dead_letters is outbox.dead_letters
    assert sorted(metadata.tables) == [f"{SCHEMA}.outboxed_{name}" for name in ("dead_letters", "outbox", "tasks")]


def test_a_table_of_the_projects_own_of_that_name_is_never_taken() -> None:
    metadata = sa.MetaData()
    sa.Table("outboxed_dead_letters", metadata, sa.Column("id", sa.Integer))

    with pytest.raises(sa.exc.InvalidRequestError, match="already defined"):
        Tasks(metadata=metadata)


async def test_a_deadline_that_fails_is_never_given_up(project: Project, engine: AsyncEngine) -> None:
    @project.tasks.deadline("expire")
    async def expire(*_: Any) -> None:
        raise RefusedError

    async with AsyncSession(engine) as session, session.begin():
        await project.tasks.schedule(session, "expire", key="a")

    await project.tasks.run_due(engine)

    assert await column(engine, project.tasks.table.c.attempts) == [1]
