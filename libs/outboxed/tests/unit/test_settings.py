"""Settings of the environment: what is refused, and in which words."""

from typing import ClassVar

import pytest
from outboxed.errors import ConfigurationError
from outboxed.settings import Database, DatabaseUrl, KafkaSettings, Port, ProcessSettings, ServiceSettings, load
from outboxed.testing.suites.settings import SettingsSuite, wrong_settings
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

URL = "postgresql+asyncpg://bank:bank@127.0.0.1/bank"


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="BANK_", frozen=True, extra="ignore")
    development_only: ClassVar[frozenset[str]] = frozenset({"database_url", "token"})

    http_port: Port = 8000
    database_url: DatabaseUrl = Database.parse(URL)
    token: SecretStr = SecretStr("development")
    keys: tuple[str, ...] = ()


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"BANK_{name}", value)
    return load(Settings)


ANY = "p@/:%#?&=+ ü%40$"


@pytest.mark.parametrize("url", ["postgresql+asyncpg://bank@db/bank", "postgresql+asyncpg://bank:other@db/bank"])
def test_a_password_beside_the_url_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    settings = loaded(monkeypatch, DATABASE_URL=url, DATABASE_PASSWORD=ANY)

    assert settings.database_url.password == ANY
    assert settings.database_url.url.render_as_string(hide_password=False).count("@") == 1
    assert ANY not in repr(settings)


@pytest.mark.parametrize(("password", "expected"), [("", "bank"), (ANY, ANY)])
def test_a_password_goes_with_the_default_url_unless_it_is_empty(
    monkeypatch: pytest.MonkeyPatch, password: str, expected: str
) -> None:
    assert loaded(monkeypatch, DATABASE_PASSWORD=password).database_url.password == expected


def test_a_wrong_url_beside_a_password_is_named_without_either(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^BANK_DATABASE_URL: must be a URL such as") as refused:
        loaded(monkeypatch, DATABASE_URL="http://canary", DATABASE_PASSWORD="canary")

    assert "canary" not in str(refused.value)


def test_a_password_beside_the_url_is_what_production_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+asyncpg://bank@db/bank"

    assert loaded(monkeypatch, **{**PRODUCTION, "DATABASE_URL": url, "DATABASE_PASSWORD": "ours"})
    with pytest.raises(ConfigurationError, match="BANK_DATABASE_URL must be set in production"):
        loaded(monkeypatch, **{**PRODUCTION, "DATABASE_URL": url, "DATABASE_PASSWORD": "bank"})


PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql+asyncpg://bank:secret@db/bank",
    "TOKEN": "ours",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
}


def test_development_needs_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch).kafka == KafkaSettings(("127.0.0.1:9092",))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "canary"),
        ("HTTP_PORT", "70000"),
        ("LOG_LEVEL", "canary"),
        ("ENVIRONMENT", "canary"),
        ("DATABASE_URL", "mysql://canary"),
        ("KAFKA_SECURITY_PROTOCOL", "canary"),
        ("KAFKA_SESSION_TIMEOUT_MS", "999"),
        ("KAFKA_SESSION_TIMEOUT_MS", "300001"),
        ("KAFKA_FETCH_MAX_WAIT_MS", "0"),
        ("KAFKA_FETCH_MAX_WAIT_MS", "5001"),
        ("KEYS", "canary"),
        ("KEYS", "[1,\n2"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_variable_and_never_shows_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^BANK_{name}") as refused:
        loaded(monkeypatch, **{name: value})

    assert "\n" not in str(refused.value)
    assert value not in str(refused.value)


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"BANK_LOG_LEVEL: .*; BANK_HTTP_PORT: "):
        loaded(monkeypatch, HTTP_PORT="x", LOG_LEVEL="x")


def test_production_starts_with_secrets_of_its_own_over_an_encrypted_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, **PRODUCTION).environment == "production"


@pytest.mark.parametrize("name", ["DATABASE_URL", "TOKEN", "KAFKA_SECURITY_PROTOCOL"])
def test_production_refuses_the_defaults_of_development(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    without = {known: value for known, value in PRODUCTION.items() if known != name}

    with pytest.raises(ConfigurationError, match=f"^BANK_{name} must"):
        loaded(monkeypatch, **without)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_production_refuses_a_kafka_in_the_clear(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    with pytest.raises(ConfigurationError, match="must be SSL or SASL_SSL"):
        loaded(monkeypatch, **{**PRODUCTION, "KAFKA_SECURITY_PROTOCOL": protocol})


class OfAProcess(ProcessSettings):
    """Of one that is no service: it has no database and no secret of its own."""

    model_config = SettingsConfigDict(env_prefix="LOOKS_ON_", frozen=True, extra="ignore")

    http_port: Port = 8000


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_what_is_no_service_refuses_it_too(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    monkeypatch.setenv("LOOKS_ON_ENVIRONMENT", "production")
    monkeypatch.setenv("LOOKS_ON_KAFKA_SECURITY_PROTOCOL", protocol)

    with pytest.raises(ConfigurationError, match=r"^LOOKS_ON_KAFKA_SECURITY_PROTOCOL must be SSL or SASL_SSL"):
        load(OfAProcess)


def test_production_refuses_a_failpoint_and_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.failpoints.CHOSEN", "relay.delete:before")

    with pytest.raises(ConfigurationError, match=r"^OUTBOXED_FAILPOINT must not be set in production"):
        loaded(monkeypatch, **PRODUCTION)


def test_settings_that_are_printed_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, TOKEN="canary", KAFKA_SASL_PASSWORD="canary")

    assert "canary" not in repr(settings)


def test_a_login_at_kafka_reaches_both_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = loaded(
        monkeypatch, KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SASL_USERNAME="bank", KAFKA_SASL_PASSWORD="secret"
    ).kafka

    options, security = kafka.client_options(), kafka.faststream_security()

    assert (options["security_protocol"], options["sasl_plain_password"]) == ("SASL_SSL", "secret")
    assert options["ssl_context"].check_hostname
    assert security is not None
    assert security.use_ssl
    assert security.get_requirement() == [{"scram512": []}]


def test_topics_of_a_test_have_its_prefix() -> None:
    assert KafkaSettings((), topic_prefix="test-1-").topic("orders") == "test-1-orders"


class OfAStranger(Settings):
    """What a project may have besides: a number, a flag and a list that are named like secrets and aren't any."""

    token_lifetime_seconds: int = 3600
    password_is_needed: bool = False
    secret_santas: tuple[str, ...] = ()


class TestOfAStranger(SettingsSuite):
    settings = OfAStranger
    key = ("TOKEN", "a token of our own")

    wrong = wrong_settings(("HTTP_PORT", "no-port"), ("TOKEN_LIFETIME_SECONDS", "an hour"))
