"""Runs a command of the broker's in this process: a start of Python takes longer than the rest."""

from dataclasses import dataclass

import pytest
from pact_faststream.broker.__main__ import app
from typer.testing import CliRunner


@dataclass(frozen=True)
class Run:
    status: int
    out: str
    err: str


def run(*arguments: str) -> Run:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Run(result.exit_code, result.stdout, result.stderr)


def set_only(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], **values: str) -> None:
    """Forget what the machine says of a broker, of CI and of proxies; then set `values`."""
    for name in environment:
        if name.startswith(("PACT_", "WEBHOOK_", "GITHUB_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
