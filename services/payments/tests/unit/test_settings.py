from collections.abc import Mapping
from typing import Any, ClassVar

import httpx
from outboxed.settings import load
from outboxed.testing.suites.settings import SettingsSuite, wrong_settings
from outboxed.testing.suites.settings_work import End, SettingsWorkSuite, accepted_keys, at
from payments.app import build
from payments.settings import Settings


def test_the_defaults_are_those_of_development() -> None:
    settings = load(Settings)

    assert (settings.environment, settings.http_port) == ("development", 8001)
    assert (settings.gateway_url, settings.gateway_timeout_seconds) == ("http://127.0.0.1:8090", 2)


class TestSettings(SettingsSuite):
    settings = Settings

    wrong = wrong_settings(
        ("HTTP_PORT", "no-port"),
        ("DATABASE_URL", "mysql://payments"),
        ("GATEWAY_URL", "gateway:8090"),
        ("GATEWAY_URL", "http://gateway:eighty"),
        ("GATEWAY_URL", "http://[::1"),
        ("GATEWAY_TIMEOUT_SECONDS", "0"),
        ("GATEWAY_TIMEOUT_SECONDS", "60.1"),
        ("GATEWAY_TIMEOUT_SECONDS", "inf"),
        ("GATEWAY_TIMEOUT_SECONDS", "soon"),
        ("JWT_PUBLIC_KEYS", '"one"'),
        ("ENVIRONMENT", "live"),
        ("KAFKA_SESSION_TIMEOUT_MS", "10"),
        ("JWT_PUBLIC_KEYS", "[]"),
        ("JWT_PUBLIC_KEYS", '["no key"]'),
        ("JWT_PUBLIC_KEYS", ""),
        ("JWT_PUBLIC_KEYS", "no-json"),
    )


def timeouts(service: Any) -> list[float]:
    """Seconds: of the gateway's calls, of its client, and of the two kinds of tasks that call it."""
    tasks = [kind.limit.total_seconds() for kind in service.worker.kinds]
    return [service.dependencies.gateway._timeout, client_of(service).timeout.read, *tasks]  # noqa: SLF001


def client_of(service: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = service.dependencies.gateway._client  # noqa: SLF001 - nothing is called here
    return client


class TestEverySetting(SettingsWorkSuite):
    settings = Settings
    build = staticmethod(build)
    ends: ClassVar[Mapping[str, End]] = {
        "jwt_public_keys": accepted_keys(),
        "gateway_url": End(
            {"http://one:8090": "http://one:8090", "https://two": "https://two"},
            at(lambda service: str(client_of(service).base_url).rstrip("/")),
        ),
        "gateway_timeout_seconds": End({"1": [1, 1, 2.5, 2.5], "60": [60, 60, 120.5, 120.5]}, at(timeouts)),
    }
