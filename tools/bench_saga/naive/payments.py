"""Payments, in a common way: charge the card in the subscriber, commit, and then publish the event.

Each call of the gateway has a new idempotency key, since the gateway wants one: that protects a retry of the call, and
not a message that comes again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tools.bench_saga.naive.events import ORDER_PLACED, PAYMENT_CAPTURED, PAYMENT_DECLINED, OrderPlaced, PaymentDone
from tools.bench_saga.outside import Gateway
from tools.bench_saga.settings import Settings

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(settings.kafka_bootstrap_servers)
gateway = Gateway(settings.gateway_url)


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal]
    status: Mapped[str] = mapped_column(default="REQUESTED")
    charge_id: Mapped[str | None]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await broker.start()
    yield
    await broker.stop()
    await gateway.close()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@broker.subscriber(ORDER_PLACED, group_id="naive-payments", auto_offset_reset="earliest")
async def charge(event: OrderPlaced) -> None:
    async with new_session() as opened:
        payment = Payment(order_id=event.order_id, amount=event.total)
        opened.add(payment)
        await opened.flush()
        payment.charge_id = await gateway.charge(
            event.order_id, event.total, event.currency, event.payment_method, key=str(uuid4())
        )
        payment.status = "CAPTURED" if payment.charge_id else "DECLINED"
        await opened.commit()
    done = PaymentDone(order_id=event.order_id, payment_id=payment.id)
    await broker.publish(done, PAYMENT_CAPTURED if payment.charge_id else PAYMENT_DECLINED, key=event.order_id.bytes)


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
