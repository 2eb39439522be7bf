import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from orders.settings import DEVELOPMENT_PRIVATE_KEY, DEVELOPMENT_PUBLIC_KEY, Settings
from outboxed.errors import ConfigurationError
from outboxed.testing.suites.settings import SettingsSuite, wrong_settings


def _new_private_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class TestSettings(SettingsSuite):
    settings = Settings
    key = ("JWT_PRIVATE_KEY", _new_private_key())

    wrong = wrong_settings(
        ("HTTP_PORT", "no-port"),
        ("HTTP_PORT", "65536"),
        ("DATABASE_URL", "mysql://orders"),
        ("PAYMENT_DEADLINE_SECONDS", "0"),
        ("PAYMENT_DEADLINE_SECONDS", "inf"),
        ("DATABASE_URL", "postgresql+asyncpg://orders@db:no-port/orders"),
        ("DATABASE_URL", "postgresql+asyncpg://orders@db/orders?ssl=nonsense"),
        ("DATABASE_URL", "postgresql+asyncpg://orders@db/orders?channel_binding=require"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092,"),
        ("KAFKA_BOOTSTRAP_SERVERS", "PLAINTEXT://kafka:9092"),
        ("KAFKA_BOOTSTRAP_SERVERS", ""),
        ("KAFKA_TOPIC_PREFIX", "a topic"),
        ("KAFKA_SSL_CA_FILE", "/nowhere"),
        ("KAFKA_SSL_CA_FILE", __file__),
        ("JWT_PUBLIC_KEYS", '["no key"]'),
        ("JWT_PRIVATE_KEY", "not a key"),
        ("JWT_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----x"),
        ("ENVIRONMENT", "live"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
    )

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("JWT_PRIVATE_KEY", DEVELOPMENT_PRIVATE_KEY + "\n"),
            ("JWT_PRIVATE_KEY", DEVELOPMENT_PRIVATE_KEY.replace("\n", "\\n")),
            ("JWT_PUBLIC_KEYS", json.dumps([DEVELOPMENT_PUBLIC_KEY + "\n"])),
            ("DATABASE_URL", "postgresql+asyncpg://orders:orders@db/orders"),
        ],
    )
    def test_production_recognises_a_known_secret_however_it_is_written(
        self, in_production: Callable[..., Settings], name: str, value: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=self.variable(name)):
            in_production(**{name: value})
