import pytest
from notifications.app import create_mailer
from notifications.settings import Settings
from outboxed.errors import ConfigurationError
from outboxed.settings import load


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NOTIFICATIONS_HTTP_PORT", "no-port"),
        ("NOTIFICATIONS_SMTP_PORT", "65536"),
        ("NOTIFICATIONS_DATABASE_URL", "mysql://notifications"),
        ("NOTIFICATIONS_SMTP_TIMEOUT_SECONDS", "0"),
        ("NOTIFICATIONS_SMTP_TIMEOUT_SECONDS", "inf"),
        ("NOTIFICATIONS_SMTP_DOMAIN", "shop.example>\nBcc: eve@example.com"),
        ("NOTIFICATIONS_SMTP_SENDER", "Shop <orders@shop.example>\nBcc: eve@example.com"),
        ("NOTIFICATIONS_JWT_PUBLIC_KEYS", "no list"),
        ("NOTIFICATIONS_JWT_PUBLIC_KEYS", "[]"),
        ("NOTIFICATIONS_ENVIRONMENT", "staging"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=f"^{variable}") as refused:
        load(Settings)

    assert "\n" not in str(refused.value)
    assert len(value) < 4 or value not in str(refused.value)


def production(**variables: str) -> dict[str, str]:
    ready = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": "postgresql+asyncpg://notifications:secret@db/notifications",
        "JWT_PUBLIC_KEYS": '["-----BEGIN PUBLIC KEY-----ours-----END PUBLIC KEY-----"]',
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    }
    return {f"NOTIFICATIONS_{name}": value for name, value in {**ready, **variables}.items()}


def test_production_starts_with_secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in production().items():
        monkeypatch.setenv(name, value)

    assert load(Settings).environment == "production"


@pytest.mark.parametrize(
    "missing",
    ["NOTIFICATIONS_DATABASE_URL", "NOTIFICATIONS_JWT_PUBLIC_KEYS", "NOTIFICATIONS_KAFKA_SECURITY_PROTOCOL"],
)
def test_production_refuses_a_default_that_everybody_knows(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in production().items():
        if name != missing:
            monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=missing):
        load(Settings)


def test_production_refuses_to_send_a_password_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in production(SMTP_USERNAME="shop", SMTP_PASSWORD="secret").items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match="NOTIFICATIONS_SMTP_STARTTLS"):
        load(Settings)


def test_settings_never_show_the_password() -> None:
    settings = Settings(smtp_password="canary")

    assert "canary" not in f"{settings!r} {create_mailer(settings)!r}"
