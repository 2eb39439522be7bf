"""What is started at the begin of a block and closed at its end."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Startable(ABC):
    """A context manager; a start that fails is cleared up."""

    @abstractmethod
    def start(self) -> None:
        """Start it and block until it accepts connections."""

    @abstractmethod
    def close(self) -> None:
        """Stop what was started here; leave alone what was given."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
