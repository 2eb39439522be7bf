"""Orders with DBOS: an order and its hand-over to payments are one workflow, whose id is the customer's key."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from dbos import DBOS, SetWorkflowID
from fastapi import FastAPI, Header
from sqlalchemy import update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from tools.bench_saga.health import health
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
from tools.bench_saga.with_dbos.durable import Durable

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
durable = Durable("orders", settings)


@asynccontextmanager
async def lifespan(started: FastAPI) -> AsyncIterator[None]:
    started.state.new_session = new_session
    await open_shop(engine, new_session)
    async with durable.launched():
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(health)
app.include_router(router)


@app.post("/api/v1/orders", status_code=201)
async def place_order(
    body: NewOrder, user: CurrentUser, opened: Session, idempotency_key: Annotated[str, Header()]
) -> OrderAnswer:
    order = {
        "user_id": user.id,
        "email": user.email,
        "items": [item.model_dump() for item in body.items],
        "total": await priced(body.items, opened),
        "payment_method": body.payment_method,
    }
    await opened.rollback()  # its connection goes back before the workflow takes its own
    with SetWorkflowID(f"{order['user_id']}:{idempotency_key}"):
        placed = await DBOS.start_workflow_async(place, order)
    return OrderAnswer.model_validate(await placed.get_result())


@DBOS.workflow(name="place")  # type: ignore[untyped-decorator]  # unknown to mypy: see pyproject.toml
async def place(order: Mapping[str, Any]) -> Mapping[str, Any]:
    stored = await durable.transaction(_store, order)
    await durable.hand_over(
        "payments", "charge", stored["id"], stored["total"], stored["currency"], order["payment_method"]
    )
    return stored


async def _store(order: Mapping[str, Any]) -> Mapping[str, Any]:
    stored = Order(**order)
    durable.session.add(stored)
    await durable.session.flush()
    return OrderAnswer.model_validate(stored).model_dump()


@DBOS.workflow(name="settle")  # type: ignore[untyped-decorator]
async def settle(order_id: UUID, charge_id: str | None) -> None:
    status, kind = ("CONFIRMED", "confirmation") if charge_id else ("CANCELLED", "cancellation")
    email = await durable.transaction(_settle, order_id, status)
    if email is not None:
        await durable.hand_over("notifications", "tell", order_id, email, kind)


async def _settle(order_id: UUID, status: str) -> str | None:
    pending = (Order.id == order_id) & (Order.status == "PENDING")
    settled = await durable.session.execute(update(Order).where(pending).values(status=status).returning(Order.email))
    return settled.scalar_one_or_none()


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
