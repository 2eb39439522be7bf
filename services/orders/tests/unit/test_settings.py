import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from orders.app import build
from orders.domain import User
from orders.settings import DAY, DEVELOPMENT_PRIVATE_KEY, DEVELOPMENT_PUBLIC_KEY, Settings
from outboxed.errors import ConfigurationError
from outboxed.testing.suites.settings import SettingsSuite, wrong_settings
from outboxed.testing.suites.settings_work import End, SettingsWorkSuite, accepted_keys, at
from outboxed.web import ApiError


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
        ("PAYMENT_DEADLINE_SECONDS", "2592001"),
        ("JWT_LIFETIME_SECONDS", "59"),
        ("JWT_LIFETIME_SECONDS", "86401"),
        ("RATE_LIMIT_PER_MINUTE", "-1"),
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


def public_key_of(private_key: str) -> str:
    key = load_pem_private_key(private_key.encode(), password=None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def lifetime(service: Any) -> list[int]:
    """Seconds: as a client is told, and as verifiers are."""
    user = User(uuid4(), "ada@shop.example", "Ada", "hash", datetime.now(UTC))
    token = service.dependencies.tokens.issue(user)
    claims = jwt.decode(token.access_token, options={"verify_signature": False})
    return [token.expires_in, claims["exp"] - claims["iat"]]


async def calls_in_a_minute(build: Callable[[], Any], _: pytest.MonkeyPatch) -> int:
    limiter, calls = build().dependencies.rate_limiter, 0
    with suppress(ApiError):
        while calls < MANY_CALLS:
            await limiter.check("create_token", "127.0.0.1")
            calls += 1
    return calls


MANY_CALLS = 50
ONE, TWO = _new_private_key(), _new_private_key()


class TestEverySetting(SettingsWorkSuite):
    settings = Settings
    build = staticmethod(build)
    ends: ClassVar[Mapping[str, End]] = {
        "jwt_private_key": End(
            {key: public_key_of(key) for key in (ONE, TWO)}, at(lambda service: service.dependencies.tokens.public_key)
        ),
        "jwt_public_keys": accepted_keys("its own"),
        "jwt_lifetime_seconds": End({"60": [60, 60], "7200": [7200, 7200], str(DAY): [DAY, DAY]}, at(lifetime)),
        "payment_deadline_seconds": End(
            {"1": timedelta(seconds=1), "60": timedelta(minutes=1), str(30 * DAY): timedelta(days=30)},
            at(lambda service: service.dependencies.policy.payment_deadline),
        ),
        "rate_limit_per_minute": End({"0": MANY_CALLS, "1": 1, "7": 7}, calls_in_a_minute),
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "operator_password": "../integration/test_command_line.py::test_an_operator_is_made_once"
    }
