"""Passwords as argon2id hashes."""

import argon2


class Argon2Hasher:
    """The library's defaults (RFC 9106, low memory: 64 MiB, 3 passes) are above OWASP's minimum."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()

    def hash(self, password: str) -> str:
        """With a salt of its own."""
        return self._hasher.hash(password)

    def verify(self, password_hash: str, password: str) -> bool:
        """Whether the hash is this password's."""
        try:
            return self._hasher.verify(password_hash, password)
        except argon2.exceptions.VerifyMismatchError:
            return False
