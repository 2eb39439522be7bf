"""What isn't installed with outboxed alone: asked for when it's used, and named in one line where it's missing."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


class MissingExtraError(ModuleNotFoundError):
    """A package is missing that an extra of outboxed installs; the message says what to type."""


@contextmanager
def extra(extra_name: str, *, of: str) -> Iterator[None]:
    """Import inside the block what the extra installs. Raises MissingExtraError for what isn't there; `of` needs it."""
    try:
        yield
    except MissingExtraError:
        raise  # of a part inside: it knows what it needs
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "outboxed"}:
            raise
        install = f'pip install "outboxed[{extra_name}]"'
        raise MissingExtraError(f"{of} needs {missing}, which isn't installed: {install}", name=error.name) from None


def exports_of(package: str, homes: Mapping[tuple[str, str], Sequence[str]]) -> Callable[[str], Any]:
    """A package's `__getattr__`, which imports a module when one of its names is first used.

    `homes` has the names by extra and module.
    """
    homes_by_name = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in homes_by_name:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        extra_name, module = homes_by_name[name]
        with extra(extra_name, of=f"{package}.{name}"):
            found = getattr(import_module(f"{package}.{module}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return find


def loaded(name: str) -> ModuleType | None:
    """A module that somebody in this process has imported: an optional library matters only to who uses it."""
    return sys.modules.get(name)
