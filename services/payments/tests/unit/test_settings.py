from outboxed.settings import load
from outboxed.testing.suites.settings import SettingsSuite, wrong_settings
from payments.settings import Settings


def test_the_defaults_are_those_of_development() -> None:
    settings = load(Settings)

    assert (settings.environment, settings.http_port) == ("development", 8001)
    assert (settings.gateway_url, settings.gateway_timeout_seconds) == ("http://127.0.0.1:8090", 2)


class TestSettings(SettingsSuite):
    settings = Settings

    wrong = wrong_settings(
        ("HTTP_PORT", "no-port"),
        ("DATABASE_URL", "mysql://payments"),
        ("GATEWAY_URL", "gateway:8090"),
        ("GATEWAY_URL", "http://gateway:eighty"),
        ("GATEWAY_URL", "http://[::1"),
        ("GATEWAY_TIMEOUT_SECONDS", "0"),
        ("GATEWAY_TIMEOUT_SECONDS", "soon"),
        ("JWT_PUBLIC_KEYS", '"one"'),
        ("ENVIRONMENT", "live"),
        ("KAFKA_SESSION_TIMEOUT_MS", "10"),
        ("JWT_PUBLIC_KEYS", "[]"),
        ("JWT_PUBLIC_KEYS", '["no key"]'),
        ("JWT_PUBLIC_KEYS", ""),
        ("JWT_PUBLIC_KEYS", "no-json"),
    )
