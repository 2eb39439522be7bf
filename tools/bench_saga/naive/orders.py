"""Orders, in a common way: store the order, commit, and then publish the event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from tools.bench_saga.health import health
from tools.bench_saga.naive.events import (
    ORDER_CANCELLED,
    ORDER_CONFIRMED,
    ORDER_PLACED,
    PAYMENT_CAPTURED,
    PAYMENT_DECLINED,
    OrderPlaced,
    OrderSettled,
    PaymentDone,
)
from tools.bench_saga.settings import Settings
from tools.bench_saga.shop_front import (
    CurrentUser,
    NewOrder,
    Order,
    OrderAnswer,
    Session,
    open_shop,
    priced,
    router,
)

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(settings.kafka_bootstrap_servers)


@asynccontextmanager
async def lifespan(started: FastAPI) -> AsyncIterator[None]:
    started.state.new_session = new_session
    await open_shop(engine, new_session)
    await broker.start()
    yield
    await broker.stop()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(health)
app.include_router(router)


@app.post("/api/v1/orders", status_code=201)
async def place_order(body: NewOrder, user: CurrentUser, opened: Session) -> OrderAnswer:
    order = Order(
        user_id=user.id,
        email=user.email,
        items=[item.model_dump() for item in body.items],
        total=await priced(body.items, opened),
        payment_method=body.payment_method,
    )
    opened.add(order)
    await opened.commit()
    placed = OrderPlaced(
        order_id=order.id, total=order.total, currency=order.currency, payment_method=order.payment_method
    )
    await broker.publish(placed, ORDER_PLACED, key=order.id.bytes)
    return OrderAnswer.model_validate(order)


@broker.subscriber(PAYMENT_CAPTURED, group_id="naive-orders", auto_offset_reset="earliest")
async def confirm(event: PaymentDone) -> None:
    await _settle(event.order_id, "CONFIRMED", ORDER_CONFIRMED)


@broker.subscriber(PAYMENT_DECLINED, group_id="naive-orders", auto_offset_reset="earliest")
async def cancel(event: PaymentDone) -> None:
    await _settle(event.order_id, "CANCELLED", ORDER_CANCELLED)


async def _settle(order_id: UUID, status: str, topic: str) -> None:
    async with new_session() as opened:
        order = await opened.get_one(Order, order_id)
        order.status = status
        await opened.commit()
    await broker.publish(OrderSettled(order_id=order.id, email=order.email), topic, key=order.id.bytes)


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
