"""The composition root: the only place that chooses adapters."""

from datetime import timedelta

from fastapi import FastAPI
from outboxed.process import Figure, Service, Timing, create_service, create_transactions
from outboxed.storage import Clock

from orders import api
from orders.consumers import ROUTES
from orders.events import PUBLISHED
from orders.handlers import OrderPolicy
from orders.passwords import Argon2Hasher
from orders.pricing import PricingService
from orders.rate_limit import RateLimiter
from orders.settings import Settings
from orders.storage import RETENTIONS, SqlOrdersUnitOfWork, overdue_orders, settled
from orders.tasks import task_kinds
from orders.tokens import TokenIssuer, create_token_verifier

NAME = "orders"
SETTLING = Timing("order_settling_seconds", "From an order's placing to its first outcome", "outcome", settled)
OVERDUE = Figure("orders_overdue", "Orders still PENDING after their payment deadline", overdue_orders)


def build(settings: Settings, clock: Clock | None = None) -> Service[SqlOrdersUnitOfWork]:
    """The service on PostgreSQL and Kafka; nothing connects before a role runs."""
    transactions = create_transactions(NAME, settings, SqlOrdersUnitOfWork, clock)
    tokens = create_token_issuer(settings, transactions.clock)
    return create_service(
        NAME,
        settings,
        transactions,
        routes=ROUTES,
        tasks=task_kinds(),
        published=PUBLISHED,
        router=api.router,
        dependencies=lambda transactions: api.Dependencies(
            unit_of_work=transactions,
            policy=create_policy(settings),
            passwords=Argon2Hasher(),
            tokens=tokens,
            rate_limiter=RateLimiter(settings.rate_limit_per_minute),
        ),
        token_verifier=create_token_verifier([tokens.public_key, *settings.jwt_public_keys]),
        figures=[OVERDUE],
        timings=[SETTLING],
        retentions=RETENTIONS,
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP app alone, without a lifespan; a test overrides `api.dependencies`."""
    return build(settings or Settings()).create_app()


def create_policy(settings: Settings) -> OrderPolicy:
    """The business rules as set."""
    return OrderPolicy(PricingService(), timedelta(seconds=settings.payment_deadline_seconds))


def create_token_issuer(settings: Settings, clock: Clock) -> TokenIssuer:
    """The issuer as set."""
    lifetime = timedelta(seconds=settings.jwt_lifetime_seconds)
    return TokenIssuer(settings.jwt_private_key.get_secret_value(), lifetime=lifetime, clock=clock)
