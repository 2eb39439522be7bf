"""A service's commands, run in the test's process."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pytest
from typer import Typer
from typer.testing import CliRunner, Result


@dataclass(frozen=True)
class Commands:
    """`python -m SERVICE ...` in this process; `environment` is that of each command."""

    typer: Typer
    environment: Mapping[str, str]

    async def __call__(self, *arguments: str, stdin: bytes | None = None, **environment: str) -> Result:
        """In a thread, because each has an event loop of its own."""
        invoke = partial(CliRunner().invoke, input=stdin, env={**self.environment, **environment})
        with pytest.MonkeyPatch.context() as patch:
            # the test run's own logging stays as it is
            patch.setattr("outboxed.process._cli.configure_logs", lambda **_: None)
            return await asyncio.to_thread(invoke, self.typer, list(arguments))

    async def refused(self, *arguments: str, **environment: str) -> str:
        """The one line of stderr. Nothing is on stdout: a command that fails has told of no success."""
        result = await self(*arguments, stdin=None, **environment)
        assert (result.exit_code, result.stdout) == (1, "")
        [line] = result.stderr.splitlines()
        return line
