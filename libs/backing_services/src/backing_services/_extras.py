"""What isn't installed with pytest-backing-services alone: named in one line where it's missing."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ModuleNotFoundError):
    """A package is missing that an extra of pytest-backing-services installs; the message says what to type."""


@contextmanager
def extra(extra_name: str, *, of: str) -> Iterator[None]:
    """Import inside the block what the extra installs. Raises MissingExtraError for what isn't there; `of` needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "backing_services"}:
            raise
        install = f'pip install "pytest-backing-services[{extra_name}]"'
        raise MissingExtraError(f"{of} needs {missing}, which isn't installed: {install}", name=error.name) from None
