"""Where the broker is and who asks it, from the environment."""

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class BrokerSettingError(Exception):
    """A setting is missing or wrong; the message names the variable and is for a person."""


class BrokerSettings(BaseSettings):
    """Each field is an environment variable `PACT_...`; an empty one counts as not set, as CI systems mean it."""

    model_config = SettingsConfigDict(env_prefix="PACT_", env_ignore_empty=True, frozen=True, extra="ignore")

    broker_base_url: str
    broker_token: SecretStr | None = None
    broker_username: str | None = None
    broker_password: SecretStr | None = None
    broker_timeout: float = Field(default=10, gt=0, description="seconds for one answer: a cold broker takes its time")
    version: str | None = Field(default=None, description="instead of git's commit")
    branch: str | None = Field(default=None, description="instead of git's branch")
    url: str | None = Field(default=None, description="the one pact to verify, as a webhook names it")

    @field_validator("broker_base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if "@" in value:
            raise ValueError("must hold no password: use PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if (self.broker_username is None) != (self.broker_password is None):
            raise ValueError("PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD belong together: only one of them is set")
        return self

    @property
    def token(self) -> str | None:
        """The bearer token; it wins over user and password."""
        return self.broker_token.get_secret_value() if self.broker_token else None

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password, unless there is a token."""
        if self.broker_token or self.broker_username is None or self.broker_password is None:
            return None
        return self.broker_username, self.broker_password.get_secret_value()

    def for_the_command_line(self) -> Mapping[str, str]:
        """The environment of `pact`, which has the secrets: any user can see a command line with `ps`."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PACT_")}
        environment["PACT_BROKER_BASE_URL"] = self.broker_base_url
        environment["PACT_BROKER_HTTP_RETRIES"] = "0"  # by default `pact` tries for 64 s
        environment["PACT_DO_NOT_TRACK"] = "true"
        if self.token:
            environment["PACT_BROKER_TOKEN"] = self.token
        if self.login:
            environment["PACT_BROKER_USERNAME"], environment["PACT_BROKER_PASSWORD"] = self.login
        return environment


def load_settings() -> BrokerSettings:
    """Read the environment. Raises BrokerSettingError, whose message names the variable and never shows its value."""
    try:
        return BrokerSettings()
    except ValidationError as error:
        problems = [_problem(problem) for problem in error.errors(include_url=False, include_input=False)]
        raise BrokerSettingError("; ".join(problems)) from None


def _problem(problem: Any) -> str:
    raised = problem.get("ctx", {}).get("error")
    text = str(raised if isinstance(raised, ValueError) else problem["msg"])  # pydantic puts a prefix before ours
    if not problem["loc"]:
        return text
    variable = f"PACT_{problem['loc'][0]}".upper()
    if problem["type"] == "missing":
        return f"{variable} is not set: where is the Pact Broker?"
    return f"{variable} {text}"
