import argon2
import pytest
from orders.passwords import Argon2Hasher


@pytest.fixture(scope="module")
def passwords() -> Argon2Hasher:
    """The real algorithm at its lowest cost."""
    return Argon2Hasher(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def test_a_password_is_recognised_by_its_hash(passwords: Argon2Hasher) -> None:
    hashed = passwords.hash("correct horse")

    assert hashed.startswith("$argon2id$")
    assert passwords.verify(hashed, "correct horse")
    assert not passwords.verify(hashed, "wrong horse")


def test_the_same_password_has_another_hash_each_time(passwords: Argon2Hasher) -> None:
    assert passwords.hash("correct horse") != passwords.hash("correct horse")


def test_the_service_hashes_at_or_above_owasps_minimum() -> None:
    parameters = argon2.PasswordHasher()

    assert parameters.type is argon2.Type.ID
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2
