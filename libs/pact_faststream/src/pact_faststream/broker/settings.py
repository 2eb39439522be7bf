"""Where the broker is and who asks it, from the environment; where the contracts are, from pyproject.toml."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
    build_url: str | None = Field(default=None, description="the page of the build, instead of GitHub's")
    repository_url: str | None = Field(default=None, description="the page of the code, instead of GitHub's")

    @field_validator("broker_base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        value = value.strip()  # a secret of CI often ends with a line break
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if "@" in value:
            raise ValueError("must hold no password: use PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD")
        if "?" in value or "#" in value:
            raise ValueError("must end with the broker's path, without ? and #")
        return value.rstrip("/")

    @field_validator("broker_token")
    @classmethod
    def _check_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        token = value.get_secret_value().strip()
        # what can't stand in a header would be shown by the error that says so
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ValueError("holds a space or another character that a token can't have")
        return SecretStr(token)

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


@dataclass(frozen=True)
class Project:
    """The nearest folder, from the working folder up, whose pyproject.toml has a table `[tool.pact-faststream]`.

    `root` is relative to the working folder.
    `tests` is that table's `provider-tests`: a file by provider. In that of "*", `{provider}` stands for the name.
    """

    root: Path
    tests: Mapping[str, str] = field(default_factory=dict)

    @property
    def contracts(self) -> Path:
        """The folder of `pacts/`."""
        return self.root / "contracts"

    def provider_tests(self, provider: str) -> Path | None:
        """None if the project doesn't say."""
        path = self.tests.get(provider) or self.tests.get("*")
        return self.root / path.format(provider=provider) if path else None


def project_here() -> Project:
    """The project of the working folder, which is the project itself without such a table.

    Raises BrokerSettingError.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (path := folder / "pyproject.toml").is_file():
            try:
                table = tomllib.loads(path.read_text()).get("tool", {}).get("pact-faststream")
            except ValueError as error:
                raise BrokerSettingError(f"{path} can't be read: {error}") from None
            if table is not None:
                return Project(Path(os.path.relpath(folder)), table.get("provider-tests", {}))
    return Project(Path())
