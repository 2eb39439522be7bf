"""Notifications with DBOS: to note an e-mail down and to send it is one workflow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import uvicorn
from dbos import DBOS
from fastapi import FastAPI
from sqlalchemy import update
from sqlalchemy.ext.asyncio import create_async_engine

from tools.bench_saga.health import health
from tools.bench_saga.outside import MailServer
from tools.bench_saga.settings import Settings
from tools.bench_saga.tables import Notification, NotificationsBase
from tools.bench_saga.with_dbos.durable import Durable

settings = Settings()
engine = create_async_engine(settings.database_url)
durable = Durable("notifications", settings)
mail_server = MailServer(settings.smtp_host, settings.smtp_port, "dbos.example.com")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(NotificationsBase.metadata.create_all)
    async with durable.launched():
        yield
    mail_server.close()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(health)


@DBOS.workflow(name="tell")  # type: ignore[untyped-decorator]  # unknown to mypy: see pyproject.toml
async def tell(order_id: UUID, email: str, kind: str) -> None:
    await durable.transaction(_note, order_id, kind)
    await durable.call(mail_server.send, kind, email, order_id)
    await durable.transaction(_record, order_id, kind)


async def _note(order_id: UUID, kind: str) -> None:
    durable.session.add(Notification(order_id=order_id, kind=kind))


async def _record(order_id: UUID, kind: str) -> None:
    sent = (Notification.order_id == order_id) & (Notification.kind == kind)
    await durable.session.execute(update(Notification).where(sent).values(status="SENT"))


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
