"""A service that is put together as every service is; nothing connects before a role runs."""

from typing import Any

from fastapi import APIRouter
from outboxed.process import Service, create_service, create_transactions
from outboxed.settings import Database, DatabaseUrl, Port, ServiceSettings
from outboxed.storage import SqlUnitOfWork
from outboxed.testing.tokens import KeyPair
from outboxed.web import TokenVerifier

from .sample import AccountCredited


class Settings(ServiceSettings):
    http_port: Port = 8000
    database_url: DatabaseUrl = Database.parse("postgresql+asyncpg://sample:sample@127.0.0.1:5432/sample")


def composed(settings: Settings | None = None, **parts: Any) -> Service[Any]:
    """It publishes, and reads nothing unless told."""
    settings = settings or Settings()
    keys = KeyPair.generate(issuer="i", audience="a", role="operator")
    usual: dict[str, Any] = {
        "routes": (),
        "tasks": (),
        "published": (AccountCredited,),
        "router": APIRouter(),
        "dependencies": lambda _: None,
        "token_verifier": TokenVerifier((keys.public,), issuer="i", audience="a", roles=("operator",)),
    }
    name = "outboxed"  # a distribution that is installed
    return create_service(name, settings, create_transactions(name, settings, SqlUnitOfWork), **{**usual, **parts})
