import asyncio
from threading import Event

import argon2
import pytest
from backing_services.waiting import eventually
from orders import passwords as module
from orders.passwords import Argon2Hasher
from outboxed.web import ApiError


@pytest.fixture(scope="module")
def passwords() -> Argon2Hasher:
    """The real algorithm at its lowest cost."""
    return Argon2Hasher(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_a_password_is_recognised_by_its_hash(passwords: Argon2Hasher) -> None:
    hashed = await passwords.hash("correct horse")

    assert hashed.startswith("$argon2id$")
    assert await passwords.verify(hashed, "correct horse")
    assert not await passwords.verify(hashed, "wrong horse")


async def test_a_hash_that_is_damaged_is_an_error_and_no_wrong_password(passwords: Argon2Hasher) -> None:
    with pytest.raises(argon2.exceptions.VerificationError, match="Decoding failed"):
        await passwords.verify("$argon2id$v=19$damaged", "correct horse")


async def test_the_same_password_has_another_hash_each_time(passwords: Argon2Hasher) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


def test_the_service_hashes_at_or_above_owasps_minimum() -> None:
    parameters = argon2.PasswordHasher()

    assert parameters.type is argon2.Type.ID
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2


# --- field report: three concurrent registrations ended the process at 256 MiB ---


class SlowHasher(argon2.PasswordHasher):
    """Hashes when it is let go, and counts how many do so at once."""

    def __init__(self) -> None:
        super().__init__()
        self.go = Event()
        self.running = self.most = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        del password, salt
        self.running += 1
        self.most = max(self.most, self.running)
        self.go.wait(20)
        self.running -= 1
        return "hash"


@pytest.fixture
def slow() -> SlowHasher:
    return SlowHasher()


async def test_no_more_passwords_are_hashed_at_once_than_there_is_memory_for(
    slow: SlowHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 20)
    hasher = Argon2Hasher(slow, at_once=2)
    hashing = asyncio.gather(*(hasher.hash("horse") for _ in range(40)))
    await eventually(lambda: slow.running >= 2)

    slow.go.set()

    assert await hashing == ["hash"] * 40
    assert slow.most == 2


async def test_whoever_waits_too_long_is_told_to_come_again(slow: SlowHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0)
    hasher = Argon2Hasher(slow)
    first = asyncio.create_task(hasher.hash("horse"))
    await asyncio.sleep(0)

    with pytest.raises(ApiError) as told:
        await hasher.hash("horse")
    slow.go.set()

    assert (told.value.status, told.value.headers) == (503, {"Retry-After": "1"})
    assert await first == "hash"


def test_whoever_waits_is_answered_before_a_process_that_ends_lets_go_of_its_callers() -> None:
    assert module.WAIT_SECONDS < 1, "uvicorn's timeout_graceful_shutdown; and guesses would wait in their hundreds"


async def test_a_caller_that_hangs_up_keeps_its_turn_until_its_thread_ends(
    slow: SlowHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0)
    hasher = Argon2Hasher(slow)
    gone = asyncio.create_task(hasher.hash("horse"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)

    with pytest.raises(ApiError):
        await hasher.hash("horse")
    slow.go.set()
    monkeypatch.setattr(module, "WAIT_SECONDS", 20)

    assert await hasher.hash("horse") == "hash"
