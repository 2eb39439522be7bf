"""Payments with DBOS: to note a payment down, to charge the card and to tell orders is one workflow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import UUID

import uvicorn
from dbos import DBOS
from fastapi import FastAPI
from sqlalchemy import update
from sqlalchemy.ext.asyncio import create_async_engine

from tools.bench_saga.health import health
from tools.bench_saga.outside import Gateway
from tools.bench_saga.settings import Settings
from tools.bench_saga.tables import Payment, PaymentsBase
from tools.bench_saga.with_dbos.durable import Durable

settings = Settings()
engine = create_async_engine(settings.database_url)
durable = Durable("payments", settings)
gateway = Gateway(settings.gateway_url)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(PaymentsBase.metadata.create_all)
    async with durable.launched():
        yield
    await gateway.close()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(health)


@DBOS.workflow(name="charge")  # type: ignore[untyped-decorator]  # unknown to mypy: see pyproject.toml
async def charge(order_id: UUID, total: Decimal, currency: str, payment_method: str) -> None:
    await durable.transaction(_request, order_id, total)
    charge_id = await durable.call(gateway.charge, order_id, total, currency, payment_method, key=str(order_id))
    await durable.transaction(_record, order_id, charge_id)
    await durable.hand_over("orders", "settle", order_id, charge_id)


async def _request(order_id: UUID, total: Decimal) -> None:
    durable.session.add(Payment(order_id=order_id, amount=total))


async def _record(order_id: UUID, charge_id: str | None) -> None:
    values = {"status": "CAPTURED" if charge_id else "DECLINED", "charge_id": charge_id}
    await durable.session.execute(update(Payment).where(Payment.order_id == order_id).values(values))


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
