"""The shop as it runs: its services on PostgreSQL, Kafka, HTTP and SMTP, with the sandbox around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

import httpx
import mail_catcher
import partner
import payment_gateway
from backing_services.kafka import KafkaCluster
from backing_services.postgres import PostgresServer
from fastapi import FastAPI
from orders.domain import Product
from outboxed.consuming import ConsumerRole
from outboxed.process import Service
from outboxed.storage import Clock
from outboxed.testing.services import running
from outboxed.testing.topics import EMBEDDED, new_prefix
from outboxed.testing.tracking import RunningParticipant
from sandbox_process import listen, serve_http
from shop_harness.customers import API
from shop_harness.services import SERVICES, TOPICS

from services.orders.tests.factories import ProductFactory

from .shop import Shop


@asynccontextmanager
async def open_running_shop(postgres: PostgresServer, kafka: KafkaCluster) -> AsyncIterator[Shop]:
    """Everything runs inside the block."""
    async with AsyncExitStack() as stack:
        ledger = payment_gateway.Ledger()
        stack.callback(ledger.close)
        gateway_port = await stack.enter_async_context(_gateway(ledger))
        mails = mail_catcher.Store()
        smtp_port = await stack.enter_async_context(_smtp(mails))
        partner_port = await stack.enter_async_context(_serving(partner.create_app(partner.Jobs()), asyncio.Event()))
        services = _services(postgres, kafka, gateway_port, smtp_port, partner_port)
        prefix = services[0].settings.kafka.topic_prefix
        await kafka.create_topics({f"{prefix}{topic}": partitions for topic, partitions in TOPICS.items()})
        for service in services:
            database = service.transactions.engine.url.database or ""
            await postgres.create_database(database)
            stack.push_async_callback(postgres.drop_database, database)
            stack.push_async_callback(service.close)
            await service.migrate()
        await _stock(services[0])
        for service in services:
            await stack.enter_async_context(_running(service))
        transport = httpx.ASGITransport(services[0].create_app())
        base = f"http://orders{API}"
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=base))
        gateway = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway_port}", trust_env=False)
        )
        parts = [RunningParticipant.of(service) for service in services]
        yield Shop(http, gateway, ledger, lambda email: _kinds(mails, email), parts, prefix)


def _kinds(mails: mail_catcher.Store, email: str) -> list[str]:
    own = [mail for mail in mails if email in [to.address for to in mail.to]]
    return [mail.message_id.strip("<").partition(".")[0] for mail in own]


def _services(
    postgres: PostgresServer, kafka: KafkaCluster, gateway_port: int, smtp_port: int, partner_port: int
) -> list[Service[Any]]:
    common: dict[str, Any] = {
        "environment": "test",
        "kafka_bootstrap_servers": kafka.bootstrap_servers,
        "kafka_topic_prefix": new_prefix(),
        **({} if kafka.is_real else {f"kafka_{name}": value for name, value in EMBEDDED.items()}),
    }
    own: dict[str, dict[str, Any]] = {
        "orders": {"rate_limit_per_minute": 0},
        "payments": {"gateway_url": f"http://127.0.0.1:{gateway_port}", "gateway_timeout_seconds": 0.5},
        "notifications": {"smtp_port": smtp_port},
    }
    others = {"partner_url": f"http://127.0.0.1:{partner_port}"}
    clock, services = Clock(), []
    for name in SERVICES:
        database_url = postgres.url(f"{name}_journey_test")
        settings = import_module(f"{name}.settings").Settings(
            database_url=database_url, **own.get(name, others), **common
        )
        services.append(import_module(f"{name}.app").build(settings, clock))
    return services


async def _stock(service: Service[Any]) -> None:
    poster: Product = ProductFactory.create(sku="ABC")
    async with service.transactions() as uow:
        await uow.products.put([poster])


def _running(service: Service[Any]) -> AbstractAsyncContextManager[None]:
    subscriber = service.subscriber
    consumer = ConsumerRole(service.broker, subscriber, service.consumer) if subscriber is not None else None
    return running(*(role.run for role in service.background_roles("all", consumer)))


@asynccontextmanager
async def _gateway(ledger: payment_gateway.Ledger) -> AsyncIterator[int]:
    stop = asyncio.Event()
    async with _serving(payment_gateway.create_app(ledger, stopping=stop), stop) as port:
        yield port


@asynccontextmanager
async def _serving(app: FastAPI, stop: asyncio.Event) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0, "a port")
    serving = asyncio.create_task(serve_http(app, listener, stop))
    yield listener.getsockname()[1]
    stop.set()
    await serving


@asynccontextmanager
async def _smtp(mails: mail_catcher.Store) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0, "MAILBOX_SMTP_PORT")
    server = mail_catcher.SmtpServer(mails, mail_catcher.Faults())
    await server.start(listener)
    yield listener.getsockname()[1]
    await server.stop()
