"""A common way: one event after the other by SQLAlchemy's ORM, each with its inbox, commit and offset."""

import json
import logging
from typing import Any
from uuid import UUID

import uvloop
from aiokafka import AIOKafkaConsumer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tools.measuring.turns import Turn, Watch

WARM_UP = 100
"""Events before those that count: the consumer joins its group, and SQLAlchemy compiles its statements."""


class _Base(DeclarativeBase):
    pass


class _Handled(_Base):
    __tablename__ = "inbox"
    event_id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]


class _Order(_Base):
    __tablename__ = "order_notifications"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    notifications: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


def consume(url: str, bootstrap_servers: str, topic: str, group: str, events: int) -> Turn:
    """Handle so many events of the topic after the first WARM_UP, in a new process."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new cluster has no coordinator for a moment
    return uvloop.run(_consumed(url, bootstrap_servers, topic, group, events))


async def _consumed(url: str, bootstrap_servers: str, topic: str, group: str, events: int) -> Turn:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    engine = create_async_engine(url)
    sessions = async_sessionmaker(engine)
    async with consumer:
        for number in range(WARM_UP + events):
            if number == WARM_UP:
                watch = Watch()
            record = await consumer.getone()
            headers = dict(record.headers)
            event_id, source = headers["ce_id"].decode(), headers["ce_source"].decode()
            async with sessions.begin() as session:
                if await session.get(_Handled, event_id) is None:
                    refund = {"kind": "refund", "status": "pending", "message_id": None, "sent_at": None}
                    order_id = UUID(json.loads(record.value)["order_id"])
                    session.add(_Handled(event_id=event_id, source=source))
                    session.add(_Order(id=order_id, version=1, notifications=[refund]))
            await consumer.commit()
        turn = watch.turn(events)
    await engine.dispose()
    return turn
