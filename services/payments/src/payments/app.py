"""The composition root: the only place that chooses adapters."""

from fastapi import FastAPI
from outboxed.process import Service, create_service, create_transactions
from outboxed.storage import Clock
from outboxed.web import TokenVerifier

from payments import api
from payments.consumers import ROUTES
from payments.events import PUBLISHED
from payments.gateway import HttpPaymentGateway, create_client
from payments.settings import AUDIENCE, ISSUER, Settings
from payments.storage import SqlPaymentsUnitOfWork
from payments.tasks import task_kinds

NAME = "payments"


def build(settings: Settings, clock: Clock | None = None) -> Service[SqlPaymentsUnitOfWork]:
    """The service on PostgreSQL, Kafka and the gateway; nothing connects before a role runs."""
    transactions = create_transactions(NAME, settings, SqlPaymentsUnitOfWork, clock)
    client = create_client(settings.gateway_url, timeout=settings.gateway_timeout_seconds)
    gateway = HttpPaymentGateway(client, timeout=settings.gateway_timeout_seconds)
    return create_service(
        NAME,
        settings,
        transactions,
        routes=ROUTES,
        tasks=task_kinds(gateway, gateway_timeout=settings.gateway_timeout_seconds),
        published=PUBLISHED,
        router=api.router,
        dependencies=lambda transactions: api.Dependencies(transactions, gateway),
        token_verifier=TokenVerifier(settings.jwt_public_keys, issuer=ISSUER, audience=AUDIENCE, roles=api.ROLES),
        closed=client.aclose,
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP app alone, without a lifespan; a test overrides `api.dependencies`."""
    return build(settings or Settings()).create_app()
