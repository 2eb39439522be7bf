"""Notifications, in a common way: send the e-mail in the subscriber, and note it down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tools.bench_saga.naive.events import ORDER_CANCELLED, ORDER_CONFIRMED, OrderSettled
from tools.bench_saga.outside import MailServer
from tools.bench_saga.settings import Settings

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(settings.kafka_bootstrap_servers)
mail_server = MailServer(settings.smtp_host, settings.smtp_port, "naive.example.com")


class Base(DeclarativeBase):
    pass


class Notification(Base):
    __tablename__ = "notifications"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(index=True)
    kind: Mapped[str]
    status: Mapped[str] = mapped_column(default="PENDING")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await broker.start()
    yield
    await broker.stop()
    mail_server.close()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@broker.subscriber(ORDER_CONFIRMED, group_id="naive-notifications", auto_offset_reset="earliest")
async def tell_of_confirmation(event: OrderSettled) -> None:
    await _tell(event, "confirmation")


@broker.subscriber(ORDER_CANCELLED, group_id="naive-notifications", auto_offset_reset="earliest")
async def tell_of_cancellation(event: OrderSettled) -> None:
    await _tell(event, "cancellation")


async def _tell(event: OrderSettled, kind: str) -> None:
    async with new_session() as opened:
        notification = Notification(order_id=event.order_id, kind=kind)
        opened.add(notification)
        await opened.flush()
        await mail_server.send(kind, event.email, event.order_id)
        notification.status = "SENT"
        await opened.commit()


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
