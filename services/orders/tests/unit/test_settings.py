import pytest
from chassis.errors import ConfigurationError
from chassis.settings import load
from orders.settings import Settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORDERS_HTTP_PORT", "no-port"),
        ("ORDERS_HTTP_PORT", "65536"),
        ("ORDERS_DATABASE_URL", "mysql://orders"),
        ("ORDERS_PAYMENT_DEADLINE_SECONDS", "0"),
        ("ORDERS_JWT_PRIVATE_KEY", "not a key"),
        ("ORDERS_ENVIRONMENT", "prod"),
        ("ORDERS_KAFKA_SECURITY_PROTOCOL", "TLS"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=variable) as refused:
        load(Settings)

    assert "\n" not in str(refused.value)


def production(**variables: str) -> dict[str, str]:
    ready = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": "postgresql+asyncpg://orders:secret@db/orders",
        "JWT_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\nours\n-----END PRIVATE KEY-----",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    }
    return {f"ORDERS_{name}": value for name, value in {**ready, **variables}.items()}


def test_production_starts_with_secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in production().items():
        monkeypatch.setenv(name, value)

    assert load(Settings).environment == "production"


@pytest.mark.parametrize("missing", ["ORDERS_DATABASE_URL", "ORDERS_JWT_PRIVATE_KEY", "ORDERS_KAFKA_SECURITY_PROTOCOL"])
def test_production_refuses_a_default_that_everybody_knows(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in production().items():
        if name != missing:
            monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=missing):
        load(Settings)
