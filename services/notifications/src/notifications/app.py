"""The composition root: the only place that chooses adapters."""

from fastapi import FastAPI
from outboxed.process import Service, create_service, create_transactions
from outboxed.storage import Clock
from outboxed.tasks import CallThread
from outboxed.web import TokenVerifier

from notifications import api
from notifications.consumers import ROUTES
from notifications.mailer import SmtpMailer
from notifications.settings import AUDIENCE, ISSUER, Settings
from notifications.smtp import KEEP_SECONDS, SmtpConnections, SmtpServer
from notifications.storage import SqlNotificationsUnitOfWork
from notifications.tasks import task_kinds

NAME = "notifications"


def build(settings: Settings, clock: Clock | None = None) -> Service[SqlNotificationsUnitOfWork]:
    """The service on PostgreSQL, Kafka and SMTP; nothing connects before a role runs."""
    transactions = create_transactions(NAME, settings, SqlNotificationsUnitOfWork, clock)
    smtp = CallThread("smtp")
    mailer = create_mailer(settings, smtp)
    return create_service(
        NAME,
        settings,
        transactions,
        routes=ROUTES,
        tasks=task_kinds(mailer, smtp_timeout=settings.smtp_timeout_seconds),
        published=(),
        router=api.router,
        dependencies=api.Dependencies,
        token_verifier=TokenVerifier(settings.jwt_public_keys, issuer=ISSUER, audience=AUDIENCE, roles=api.ROLES),
        closed=mailer.close,
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP app alone, without a lifespan; a test overrides `api.dependencies`."""
    return build(settings or Settings()).create_app()


def create_mailer(settings: Settings, thread: CallThread | None = None) -> SmtpMailer:
    """The mailer as set."""
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        starttls=settings.smtp_starttls,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        timeout=settings.smtp_timeout_seconds,
    )
    connections = SmtpConnections(server, keep=KEEP_SECONDS if thread else 0)
    return SmtpMailer(connections, sender=settings.smtp_sender, domain=settings.smtp_domain, thread=thread)
