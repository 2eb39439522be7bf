from collections.abc import Callable, Mapping
from email import message_from_bytes
from email.policy import SMTP
from operator import attrgetter
from typing import Any, ClassVar

import pytest
from notifications.app import build, create_mailer
from notifications.settings import Settings
from outboxed.errors import ConfigurationError
from outboxed.settings import load
from outboxed.testing.suites.settings import SettingsSuite, wrong_settings
from outboxed.testing.suites.settings_work import End, Seen, SettingsWorkSuite, accepted_keys, at


class TestSettings(SettingsSuite):
    settings = Settings

    wrong = wrong_settings(
        ("HTTP_PORT", "no-port"),
        ("SMTP_PORT", "0"),
        ("SMTP_PORT", "65536"),
        ("DATABASE_URL", "mysql://notifications"),
        ("SMTP_TIMEOUT_SECONDS", "0"),
        ("SMTP_TIMEOUT_SECONDS", "inf"),
        ("SMTP_DOMAIN", "shop.example>\nBcc: eve@example.com"),
        ("SMTP_SENDER", "Shop <orders@shop.example>\nBcc: eve@example.com"),
        ("SMTP_SENDER", "Shop, Inc. <orders@shop.example>"),
        ("SMTP_SENDER", "<>"),
        ("SMTP_SENDER", " "),
        ("SMTP_SENDER", "orders@shop.example, eve@example.com"),
        ("SMTP_HOST", "mail:25"),
        ("JWT_PUBLIC_KEYS", "no list"),
        ("JWT_PUBLIC_KEYS", "[]"),
        ("ENVIRONMENT", "staging"),
    )

    def test_production_refuses_to_send_a_password_in_the_clear(self, in_production: Callable[..., Settings]) -> None:
        with pytest.raises(ConfigurationError, match="NOTIFICATIONS_SMTP_STARTTLS"):
            in_production(SMTP_USERNAME="shop", SMTP_PASSWORD="secret")


def test_a_mail_server_is_verified_by_authorities_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such")
    assert not load(Settings).smtp_starttls
    monkeypatch.setenv("NOTIFICATIONS_SMTP_STARTTLS", "true")

    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE: can't be read: No such file or directory$"):
        load(Settings)


def test_settings_never_show_the_password() -> None:
    settings = Settings(smtp_password="canary")

    assert "canary" not in f"{settings!r} {create_mailer(settings)!r}"


def mailer(attribute: str) -> Seen:
    """A part of the mailer that the service closes at its end."""
    look = attrgetter(f"closed.__self__.{attribute}")
    return at(look)


def sender_of_mails(service: Any) -> str:
    """The From header of all kinds of e-mails."""
    forms = service.closed.__self__._forms.values()  # noqa: SLF001 - the end of the setting
    [header] = {str(message_from_bytes(form, policy=SMTP)["From"]) for form in forms}
    return header


def server(option: str) -> Seen:
    """What the client of the mail server is made of."""
    return mailer(f"_connections.server.{option}")


def limit_of_the_task(service: Any) -> float:
    [kind] = service.worker.kinds
    seconds: float = kind.limit.total_seconds()
    return seconds


async def both_limits(build: Callable[[], Any], patch: pytest.MonkeyPatch) -> object:
    return [await at(limit_of_the_task)(build, patch), await server("timeout")(build, patch)]


class TestEverySetting(SettingsWorkSuite):
    settings = Settings
    build = staticmethod(build)
    ends: ClassVar[Mapping[str, End]] = {
        "jwt_public_keys": accepted_keys(),
        "smtp_host": End({"one": "one", "two.example": "two.example"}, server("host")),
        "smtp_port": End({"1": 1, "65535": 65535}, server("port")),
        "smtp_starttls": End({"true": True, "false": False}, server("starttls")),
        "smtp_username": End({"": "", "shop": "shop"}, server("username")),
        "smtp_password": End({"": "", "se cret": "se cret"}, server("password")),
        "smtp_sender": End(
            {"a@shop.example": "a@shop.example", "B <b@shop.example>": "B <b@shop.example>"},
            at(sender_of_mails),
        ),
        "smtp_domain": End({"a.example": "a.example", "b.example": "b.example"}, mailer("_domain")),
        "smtp_timeout_seconds": End({"1": [1.5, 1.0], "7.5": [8.0, 7.5]}, both_limits),
    }
