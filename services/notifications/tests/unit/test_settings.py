from collections.abc import Callable

import pytest
from notifications.app import create_mailer
from notifications.settings import Settings
from outboxed.errors import ConfigurationError
from outboxed.settings import load
from outboxed.testing.suites.settings import SettingsSuite, wrong_settings


class TestSettings(SettingsSuite):
    settings = Settings

    wrong = wrong_settings(
        ("HTTP_PORT", "no-port"),
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
