"""What isn't installed with pact-faststream alone: named in one line where it's missing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ModuleNotFoundError):
    """A package is missing that an extra of pact-faststream installs; the message says what to type."""


@contextmanager
def extra(extra_name: str, *, of: str) -> Iterator[None]:
    """Import inside the block what the extra installs. Raises MissingExtraError for what isn't there; `of` needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "pact_faststream"}:
            raise
        install = f'pip install "pact-faststream[{extra_name}]"'
        raise MissingExtraError(f"{of} needs {missing}, which isn't installed: {install}", name=error.name) from None


@contextmanager
def extra_of_command(extra_name: str, *, of: str) -> Iterator[None]:
    """The same for a command: what is missing is one line on standard error, and exit 2."""
    try:
        with extra(extra_name, of=of):
            yield
    except MissingExtraError as error:
        print(f"pact: {error}", file=sys.stderr)  # noqa: T201 - it talks to a person
        raise SystemExit(2) from None
