"""Notifications, in a common way: send the e-mail in the subscriber, and note it down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from uuid import UUID, uuid4

import aiosmtplib
import uvicorn
from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tools.bench_saga.naive.events import ORDER_CANCELLED, ORDER_CONFIRMED, OrderSettled
from tools.bench_saga.naive.settings import Settings

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(settings.kafka_bootstrap_servers)
mail_server = aiosmtplib.SMTP(hostname=settings.smtp_host, port=settings.smtp_port)
sending = asyncio.Lock()


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
    await _tell(event, "confirmation", "Thank you: your order {} is paid and confirmed.")


@broker.subscriber(ORDER_CANCELLED, group_id="naive-notifications", auto_offset_reset="earliest")
async def tell_of_cancellation(event: OrderSettled) -> None:
    await _tell(event, "cancellation", "Your order {} is cancelled.")


async def _tell(event: OrderSettled, kind: str, text: str) -> None:
    async with new_session() as opened:
        notification = Notification(order_id=event.order_id, kind=kind)
        opened.add(notification)
        await opened.flush()
        message = EmailMessage()
        message["From"] = "shop@example.com"
        message["To"] = event.email
        message["Subject"] = f"Your order: {kind}"
        message["Message-ID"] = f"<{kind}.{event.order_id}@naive.example.com>"
        message.set_content(text.format(event.order_id))
        message.add_alternative(f"<p>{text.format(event.order_id)}</p>", subtype="html")
        await _send(message)
        notification.status = "SENT"
        await opened.commit()


async def _send(message: EmailMessage) -> None:
    """On a connection that is kept for the next e-mail."""
    async with sending:
        if not mail_server.is_connected:
            await mail_server.connect()
        await mail_server.send_message(message)


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
