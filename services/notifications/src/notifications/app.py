"""The composition root: the only place that chooses adapters."""

from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from outboxed.consuming import BatchConsumer
from outboxed.process import Metrics, Service
from outboxed.storage import Clock, SqlTransactions, create_engine
from outboxed.tasks import SqlTaskQueue, Worker
from outboxed.web import TokenVerifier

from notifications import api
from notifications.consumers import ROUTES
from notifications.mailer import SmtpMailer, SmtpServer
from notifications.settings import Settings
from notifications.storage import SqlNotificationsUnitOfWork
from notifications.tasks import task_kinds

NAME = "notifications"


def build(settings: Settings, clock: Clock | None = None) -> Service[SqlNotificationsUnitOfWork]:
    """The service on PostgreSQL, Kafka and SMTP; nothing connects before a role runs."""
    clock = clock or Clock()
    engine = create_engine(settings.database_url, application_name=NAME)
    transactions = SqlTransactions(engine, SqlNotificationsUnitOfWork, source=f"/{NAME}", clock=clock)
    metrics = Metrics(clock)
    kinds = task_kinds(transactions, create_mailer(settings), smtp_timeout=settings.smtp_timeout_seconds)

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
        published=(),
        token_verifier=TokenVerifier(settings.jwt_public_keys),
        configure_api=configure_api,
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP app alone, without a lifespan; a test overrides ``api.dependencies``."""
    return build(settings or Settings()).create_app()


def create_mailer(settings: Settings) -> SmtpMailer:
    """The mailer as set."""
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        starttls=settings.smtp_starttls,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        timeout=settings.smtp_timeout_seconds,
    )
    return SmtpMailer(server, sender=settings.smtp_sender, domain=settings.smtp_domain)
