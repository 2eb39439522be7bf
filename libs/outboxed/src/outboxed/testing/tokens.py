"""Bearer tokens as outboxed.web.TokenVerifier accepts them, signed with a key of the run's own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from outboxed.web import ALGORITHM


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 pair in PEM, and tokens signed with it; `role` is a token's default role."""

    private: str
    public: str
    issuer: str
    audience: str
    role: str

    @classmethod
    def generate(cls, *, issuer: str, audience: str, role: str) -> Self:
        """A new pair."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(private.decode(), public.decode(), issuer, audience, role)

    def token(self, role: str | None = None, **claims: Any) -> str:
        """A token; valid, unless the `claims` that replace its own make it invalid."""
        now = datetime.now(UTC)
        names = {"iss": self.issuer, "aud": self.audience, "role": role or self.role}
        valid = {**names, "sub": str(uuid4()), "jti": str(uuid4())}
        times = {"iat": now, "exp": now + timedelta(minutes=5)}
        return jwt.encode({**valid, **times, **claims}, self.private, ALGORITHM)

    def bearer(self, role: str | None = None, **claims: Any) -> dict[str, str]:
        """A token as a request's header."""
        return {"Authorization": f"Bearer {self.token(role, **claims)}"}


def signing_keys(*, issuer: str, audience: str, role: str) -> Any:
    """The fixture `keys`: what tokens are signed and verified with; `role` is a token's default role."""

    @pytest.fixture(scope="session")
    def keys() -> KeyPair:
        return KeyPair.generate(issuer=issuer, audience=audience, role=role)

    return keys
