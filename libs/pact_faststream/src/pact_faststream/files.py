"""Pact files: generated, never edited, and always in step with the expectations."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pact import Pact


class StalePactError(AssertionError):
    """The checked-in pact file isn't what the expectations say now."""


@dataclass(frozen=True)
class PactFile:
    """The file of one consumer and provider; `make` gives the pact with all interactions.

    The file's bytes depend on the expectations only, not on the order or the process in which tests run.
    """

    folder: Path
    consumer: str
    provider: str
    make: Callable[[], Pact]

    @property
    def path(self) -> Path:
        """Named as the Pact tools name it."""
        return self.folder / f"{self.consumer}-{self.provider}.json"

    def check(self, *, write: bool) -> None:
        """Compare the file with the expectations, or with `write` make the file again. Raises StalePactError."""
        current = self._document()
        if write:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.path.write_text(current)
        elif not self.path.exists() or self.path.read_text() != current:
            raise StalePactError(
                f"{self.path.name} isn't what the expectations say: run `make contracts` and commit it"
            )

    def _document(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            self.make().write_file(folder, overwrite=True)
            [path] = Path(folder).glob("*.json")
            return path.read_text()
