import pytest
from outboxed.testing.adapters import InMemoryBackend
from outboxed.testing.fixtures import backend

from ..sample import in_memory_accounts

__all__ = ["backend"]


@pytest.fixture
def in_memory() -> InMemoryBackend:
    return InMemoryBackend(in_memory_accounts())
