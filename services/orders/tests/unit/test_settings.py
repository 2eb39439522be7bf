import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from orders.settings import DEVELOPMENT_PRIVATE_KEY, DEVELOPMENT_PUBLIC_KEY, Settings
from outboxed.errors import ConfigurationError
from outboxed.settings import load


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORDERS_HTTP_PORT", "no-port"),
        ("ORDERS_HTTP_PORT", "65536"),
        ("ORDERS_DATABASE_URL", "mysql://orders"),
        ("ORDERS_PAYMENT_DEADLINE_SECONDS", "0"),
        ("ORDERS_PAYMENT_DEADLINE_SECONDS", "inf"),
        ("ORDERS_DATABASE_URL", "postgresql+asyncpg://orders@db:no-port/orders"),
        ("ORDERS_KAFKA_SSL_CA_FILE", "/nowhere"),
        ("ORDERS_JWT_PRIVATE_KEY", "not a key"),
        ("ORDERS_JWT_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----x"),
        ("ORDERS_ENVIRONMENT", "prod"),
        ("ORDERS_KAFKA_SECURITY_PROTOCOL", "TLS"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=variable) as refused:
        load(Settings)

    assert "\n" not in str(refused.value)


def _new_private_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


OUR_PRIVATE_KEY = _new_private_key()


def production(**variables: str) -> dict[str, str]:
    ready = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": "postgresql+asyncpg://orders:secret@db/orders",
        "JWT_PRIVATE_KEY": OUR_PRIVATE_KEY,
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


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORDERS_JWT_PRIVATE_KEY", DEVELOPMENT_PRIVATE_KEY + "\n"),
        ("ORDERS_JWT_PRIVATE_KEY", DEVELOPMENT_PRIVATE_KEY.replace("\n", "\\n")),
        ("ORDERS_JWT_PUBLIC_KEYS", json.dumps([DEVELOPMENT_PUBLIC_KEY + "\n"])),
        ("ORDERS_DATABASE_URL", "postgresql+asyncpg://orders:orders@db/orders"),
    ],
)
def test_production_recognises_a_known_secret_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    for name, ready in {**production(), variable: value}.items():
        monkeypatch.setenv(name, ready)

    with pytest.raises(ConfigurationError, match=variable):
        load(Settings)
