import pytest
from outboxed.storage import Clock
from outboxed.testing.adapters import InMemoryBackend

from ..fakes import in_memory_notifications


@pytest.fixture
def in_memory(clock: Clock) -> InMemoryBackend:
    return InMemoryBackend(in_memory_notifications(clock))
