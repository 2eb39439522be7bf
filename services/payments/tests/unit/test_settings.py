import pytest
from outboxed.errors import ConfigurationError
from outboxed.settings import load
from payments.settings import Settings


def test_the_defaults_are_those_of_development() -> None:
    settings = load(Settings)

    assert (settings.environment, settings.http_port) == ("development", 8001)
    assert (settings.gateway_url, settings.gateway_timeout_seconds) == ("http://127.0.0.1:8090", 2)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PAYMENTS_HTTP_PORT", "no-port"),
        ("PAYMENTS_DATABASE_URL", "mysql://payments"),
        ("PAYMENTS_GATEWAY_URL", "gateway:8090"),
        ("PAYMENTS_GATEWAY_TIMEOUT_SECONDS", "0"),
        ("PAYMENTS_GATEWAY_TIMEOUT_SECONDS", "soon"),
        ("PAYMENTS_JWT_PUBLIC_KEYS", '"one"'),
        ("PAYMENTS_ENVIRONMENT", "prod"),
        ("PAYMENTS_KAFKA_SESSION_TIMEOUT_MS", "10"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=variable) as refused:
        load(Settings)

    assert "\n" not in str(refused.value)


PRODUCTION = {
    "PAYMENTS_ENVIRONMENT": "production",
    "PAYMENTS_DATABASE_URL": "postgresql+asyncpg://payments:secret@db/payments",
    "PAYMENTS_JWT_PUBLIC_KEYS": '["-----BEGIN PUBLIC KEY-----\\nours\\n-----END PUBLIC KEY-----"]',
    "PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
}


def test_production_starts_with_secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)

    assert load(Settings).environment == "production"


@pytest.mark.parametrize("missing", [name for name in PRODUCTION if name != "PAYMENTS_ENVIRONMENT"])
def test_production_refuses_a_default_that_everybody_knows(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in PRODUCTION.items():
        if name != missing:
            monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=missing):
        load(Settings)


@pytest.mark.parametrize("nothing", ["[]", "", "no-json"])
def test_without_a_readable_key_no_token_could_be_verified(monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
    monkeypatch.setenv("PAYMENTS_JWT_PUBLIC_KEYS", nothing)

    with pytest.raises(ConfigurationError, match="PAYMENTS_JWT_PUBLIC_KEYS"):
        load(Settings)
