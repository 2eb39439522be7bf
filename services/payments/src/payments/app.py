"""The composition root: the only place that chooses adapters."""

from importlib.metadata import version

import httpx
from fastapi import APIRouter, FastAPI
from outboxed.consuming import BatchConsumer
from outboxed.process import Metrics, Service
from outboxed.storage import Clock, SqlTransactions, create_engine
from outboxed.tasks import SqlTaskQueue, Worker
from outboxed.web import TokenVerifier

from payments import api
from payments.consumers import ROUTES
from payments.events import PUBLISHED
from payments.gateway import HttpPaymentGateway
from payments.settings import Settings
from payments.storage import SqlPaymentsUnitOfWork
from payments.tasks import task_kinds

NAME = "payments"


def build(settings: Settings, clock: Clock | None = None) -> Service[SqlPaymentsUnitOfWork]:
    """The service on PostgreSQL, Kafka and the gateway; nothing connects before a role runs."""
    clock = clock or Clock()
    engine = create_engine(settings.database_url, application_name=NAME)
    transactions = SqlTransactions(engine, SqlPaymentsUnitOfWork, source=f"/{NAME}", clock=clock)
    metrics = Metrics(clock)
    client = httpx.AsyncClient(base_url=settings.gateway_url, timeout=settings.gateway_timeout_seconds)
    kinds = task_kinds(transactions, create_gateway(settings, client), gateway_timeout=settings.gateway_timeout_seconds)

    def configure_api(app: FastAPI) -> APIRouter:
        app.state.dependencies = api.Dependencies(transactions)
        return api.router

    return Service(
        name=NAME,
        version=version(NAME),
        settings=settings,
        transactions=transactions,
        consumer=BatchConsumer(NAME, ROUTES, transactions, metrics),
        worker=Worker(kinds, SqlTaskQueue(engine, clock), transactions, transactions.tasks_scheduled),
        metrics=metrics,
        published=PUBLISHED,
        token_verifier=TokenVerifier(settings.jwt_public_keys),
        configure_api=configure_api,
        closed=client.aclose,
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP app alone, without a lifespan; a test overrides ``api.dependencies``."""
    return build(settings or Settings()).create_app()


def create_gateway(settings: Settings, client: httpx.AsyncClient) -> HttpPaymentGateway:
    """The gateway as set."""
    return HttpPaymentGateway(client, timeout=settings.gateway_timeout_seconds)
