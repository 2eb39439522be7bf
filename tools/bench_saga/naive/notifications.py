"""Notifications, in a common way: send the e-mail in the subscriber, and note it down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from tools.bench_saga.health import health
from tools.bench_saga.naive.events import ORDER_CANCELLED, ORDER_CONFIRMED, OrderSettled
from tools.bench_saga.outside import MailServer
from tools.bench_saga.settings import Settings
from tools.bench_saga.tables import Notification, NotificationsBase

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(settings.kafka_bootstrap_servers)
mail_server = MailServer(settings.smtp_host, settings.smtp_port, "naive.example.com")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(NotificationsBase.metadata.create_all)
    await broker.start()
    yield
    await broker.stop()
    mail_server.close()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(health)


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
