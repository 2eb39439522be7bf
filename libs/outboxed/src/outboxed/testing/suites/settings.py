"""Tests of a service's settings."""

import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from outboxed.errors import ConfigurationError
from outboxed.settings import ServiceSettings, load
from outboxed.testing.suites._params import each_of

OUR_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAVfe1HxwnPIO4/YQRT3ljLVunFGENd2tE88kGnCXqOhE=
-----END PUBLIC KEY-----"""
"""Not development's; nobody kept its private key."""
SECRET = re.compile(r"password|secret|private_key|token")
"""In the name of a setting that nobody may read."""
TEXTS = (str, SecretStr, str | None, SecretStr | None)
LEGIBLE = 4
"""Characters: fewer may stand in a message by chance."""


def wrong_settings(*pairs: tuple[str, str]) -> Any:
    """The fixture `wrong` of a SettingsSuite: variables without their prefix, each with a value to be refused."""
    return each_of(*pairs, ids=" ".join)


class SettingsSuite:
    """Needs the fixture `wrong`; variables are without their prefix."""

    settings: ClassVar[type[ServiceSettings]]
    key: ClassVar[tuple[str, str]] = ("JWT_PUBLIC_KEYS", json.dumps([OUR_KEY]))
    """The variable of the key that production needs, and one that will do."""

    @pytest.fixture
    def in_production(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServiceSettings]:
        """Loads settings that production starts with, changed as given; None leaves a variable out."""

        def load_with(**changes: str | None) -> ServiceSettings:
            ready = {
                "ENVIRONMENT": "production",
                "DATABASE_URL": "postgresql+asyncpg://service:secret@db/service",
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                self.key[0]: self.key[1],
            }
            for name, value in {**ready, **changes}.items():
                if value is not None:
                    monkeypatch.setenv(self.variable(name), value)
            return load(self.settings)

        return load_with

    def variable(self, name: str) -> str:
        return f"{self.settings.model_config['env_prefix']}{name}"

    def test_a_wrong_setting_is_named_in_one_line_without_its_value(
        self, monkeypatch: pytest.MonkeyPatch, wrong: tuple[str, str]
    ) -> None:
        name, value = wrong
        monkeypatch.setenv(self.variable(name), value)

        with pytest.raises(ConfigurationError, match=f"^{self.variable(name)}") as refused:
            load(self.settings)

        assert "\n" not in str(refused.value)
        assert len(value) < LEGIBLE or value not in str(refused.value)

    def test_production_starts_with_secrets_of_its_own(self, in_production: Callable[..., ServiceSettings]) -> None:
        assert in_production().environment == "production"

    def test_no_secret_is_shown_with_the_settings_or_those_of_kafka(
        self, in_production: Callable[..., ServiceSettings]
    ) -> None:
        own = self.key[0].lower()  # it has a form of its own, and is set
        texts = {name for name, field in self.settings.model_fields.items() if field.annotation in TEXTS}
        secrets = [name for name in texts if SECRET.search(name)]

        settings = in_production(**{name.upper(): "canary" for name in secrets if name != own})

        shown = f"{settings!r} {settings} {settings.kafka!r}"
        assert "kafka_sasl_password" in secrets
        assert "canary" not in shown
        assert own not in secrets or self.key[1] not in shown.replace("\\n", "\n")

    @pytest.mark.parametrize("missing", ["DATABASE_URL", "KAFKA_SECURITY_PROTOCOL"])
    def test_production_refuses_a_default_that_everybody_knows(
        self, in_production: Callable[..., ServiceSettings], missing: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=self.variable(missing)):
            in_production(**{missing: None})

    def test_production_refuses_the_key_of_development(self, in_production: Callable[..., ServiceSettings]) -> None:
        with pytest.raises(ConfigurationError, match=self.variable(self.key[0])):
            in_production(**{self.key[0]: None})
