"""Payments, in a common way: charge the card in the subscriber, commit, and then publish the event.

Each call of the gateway has a new idempotency key, since the gateway wants one: that protects a retry of the call, and
not a message that comes again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from tools.bench_saga.health import health
from tools.bench_saga.naive.events import ORDER_PLACED, PAYMENT_CAPTURED, PAYMENT_DECLINED, OrderPlaced, PaymentDone
from tools.bench_saga.outside import Gateway
from tools.bench_saga.settings import Settings
from tools.bench_saga.tables import Payment, PaymentsBase

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(settings.kafka_bootstrap_servers)
gateway = Gateway(settings.gateway_url)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(PaymentsBase.metadata.create_all)
    await broker.start()
    yield
    await broker.stop()
    await gateway.close()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(health)


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
