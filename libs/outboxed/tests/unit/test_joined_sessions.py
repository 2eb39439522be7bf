"""A session of somebody's own: its rows are written before ours, and who waits is told at its end, and only then."""

import asyncio
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from outboxed._wakeups import Subscription
from outboxed.joining._running import Committed
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

STATEMENT = sa.select(1)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def committed() -> Committed:
    return Committed()


async def is_told(waiting: Subscription) -> bool:
    """Whether it was woken; what was called from another thread or loop comes with this loop's next turn."""
    await asyncio.sleep(0)
    return await waiting.wait(0)


def test_rows_that_were_changed_before_an_event_are_written_before_it(session: Session, committed: Committed) -> None:
    session.add(Order(id=1))

    committed.joined_sync(session, STATEMENT)

    assert not session.new
    assert session.connection().execute(sa.select(Order.id)).scalars().all() == [1]


async def test_who_waits_is_told_at_the_end_of_the_transaction_that_wrote_and_of_no_other(
    session: Session, committed: Committed
) -> None:
    waiting = committed.wakeup.subscribe()
    with committed.heard_here():
        committed.joined_sync(session, STATEMENT)
        told = [await is_told(waiting)]
        session.commit()
        told += [await is_told(waiting)]
        session.execute(STATEMENT)
        session.commit()
        told += [await is_told(waiting)]
        committed.joined_sync(session, STATEMENT)
        session.commit()
        told += [await is_told(waiting)]

    assert told == [False, True, False, True]


async def test_a_loop_that_was_closed_keeps_no_other_one_from_being_told(
    session: Session, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = committed.wakeup.subscribe()
    blocks = []

    async def listens() -> None:
        blocks.append(committed.heard_here())
        blocks[-1].__enter__()  # a thread that was ended in the middle

    with committed.heard_here():
        await asyncio.to_thread(asyncio.run, listens())
        [closed] = committed._loops - {asyncio.get_running_loop()}  # noqa: SLF001 - in an order that a set hasn't
        monkeypatch.setattr(committed, "_loops", [closed, asyncio.get_running_loop()])
        committed.joined_sync(session, STATEMENT)
        session.commit()

        assert await is_told(waiting)
        monkeypatch.undo()
