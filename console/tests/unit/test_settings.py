import pytest
from outboxed.errors import ConfigurationError
from outboxed.settings import load
from shop_console.settings import Settings

PRODUCTION = {"ENVIRONMENT": "production", "KAFKA_SECURITY_PROTOCOL": "SSL"}
SERVICES = '{"orders": "http://127.0.0.1:8000"}'


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "CONSOLE_SERVICES: Field required"),
        ({"SERVICES": "{}"}, "CONSOLE_SERVICES: Dictionary should have at least 1 item"),
        ({"SERVICES": "orders"}, "CONSOLE_SERVICES: must be JSON"),
        ({"SERVICES": SERVICES, "HOSTS": "console"}, "CONSOLE_HOSTS: must be JSON"),
        ({"SERVICES": '{"orders": "ftp://x"}'}, "CONSOLE_SERVICES: "),
        ({"SERVICES": SERVICES, "TOKENS_FROM": "login"}, "CONSOLE_TOKENS_FROM: login is none of CONSOLE_SERVICES"),
        ({"SERVICES": SERVICES, "HTTP_PORT": "x"}, "CONSOLE_HTTP_PORT: "),
        ({"SERVICES": SERVICES, "KAFKA_TOPIC_PREFIX": "a b"}, "CONSOLE_KAFKA_TOPIC_PREFIX: "),
        (
            {"SERVICES": SERVICES, **PRODUCTION, "BREAKING_URL": "http://127.0.0.1:1"},
            "CONSOLE_BREAKING_URL must not be set in production",
        ),
        (
            {"SERVICES": SERVICES, "ENVIRONMENT": "production"},
            "CONSOLE_KAFKA_SECURITY_PROTOCOL must be SSL or SASL_SSL in production, not PLAINTEXT",
        ),
        ({"SERVICES": SERVICES, "/PACT_BROKER_BASE_URL": "broker"}, "PACT_BROKER_BASE_URL: must be a URL"),
        (
            {"SERVICES": SERVICES, "/PACT_BROKER_BASE_URL": "https://ci:secret@broker.example"},
            "PACT_BROKER_BASE_URL: must hold no password: use PACT_BROKER_USERNAME and",
        ),
        ({"SERVICES": SERVICES, "/PACT_BROKER_USERNAME": "ci"}, "PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD belong"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_name(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name.removeprefix("/") if name.startswith("/") else f"CONSOLE_{name}", value)

    with pytest.raises(ConfigurationError) as error:
        load(Settings)

    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_services_are_addresses_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSOLE_SERVICES", SERVICES)

    assert load(Settings).services == {"orders": "http://127.0.0.1:8000"}
