"""The composition root: the only place that chooses adapters."""

from datetime import timedelta
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from outboxed.consuming import BatchConsumer
from outboxed.process import Metrics, Service
from outboxed.storage import Clock, SqlTransactions, create_engine
from outboxed.tasks import SqlTaskQueue, Worker
from outboxed.web import TokenVerifier

from orders import api
from orders.consumers import ROUTES
from orders.events import PUBLISHED
from orders.handlers import OrderPolicy
from orders.passwords import Argon2Hasher
from orders.pricing import PricingService
from orders.rate_limit import RateLimiter
from orders.settings import Settings
from orders.storage import RETENTIONS, SqlOrdersUnitOfWork, overdue_orders
from orders.tasks import task_kinds
from orders.tokens import TokenIssuer

NAME = "orders"


def build(settings: Settings, clock: Clock | None = None) -> Service[SqlOrdersUnitOfWork]:
    """The service on PostgreSQL and Kafka; nothing connects before a role runs."""
    clock = clock or Clock()
    engine = create_engine(settings.database_url, application_name=NAME)
    transactions = SqlTransactions(engine, SqlOrdersUnitOfWork, source=f"/{NAME}", clock=clock)
    metrics = Metrics(clock)
    metrics.observe("orders_overdue", "Orders still PENDING after their payment deadline", overdue_orders)
    tokens = create_token_issuer(settings, clock)
    dependencies = api.Dependencies(
        unit_of_work=transactions,
        policy=create_policy(settings),
        passwords=Argon2Hasher(),
        tokens=tokens,
        rate_limiter=RateLimiter(settings.rate_limit_per_minute),
    )

    def configure_api(app: FastAPI) -> APIRouter:
        app.state.dependencies = dependencies
        return api.router

    return Service(
        name=NAME,
        version=version(NAME),
        settings=settings,
        transactions=transactions,
        consumer=BatchConsumer(NAME, ROUTES, transactions, metrics),
        worker=Worker(task_kinds(), SqlTaskQueue(engine, clock), transactions, transactions.tasks_scheduled),
        metrics=metrics,
        published=PUBLISHED,
        token_verifier=TokenVerifier([tokens.public_key, *settings.jwt_public_keys]),
        configure_api=configure_api,
        retentions=RETENTIONS,
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP app alone, without a lifespan; a test overrides ``api.dependencies``."""
    return build(settings or Settings()).create_app()


def create_policy(settings: Settings) -> OrderPolicy:
    """The business rules as set."""
    return OrderPolicy(PricingService(), timedelta(seconds=settings.payment_deadline_seconds))


def create_token_issuer(settings: Settings, clock: Clock) -> TokenIssuer:
    """The issuer as set."""
    lifetime = timedelta(seconds=settings.jwt_lifetime_seconds)
    return TokenIssuer(settings.jwt_private_key.get_secret_value(), lifetime=lifetime, clock=clock)
