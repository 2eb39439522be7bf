"""Issues the bearer tokens that every service accepts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from outboxed.storage import Clock
from outboxed.web import ALGORITHM, TokenVerifier

from orders.domain import User, UserRole

ISSUER = "orders"
AUDIENCE = "shop"


@dataclass(frozen=True)
class Token:
    access_token: str = field(repr=False)
    expires_in: int
    """Seconds."""


class TokenIssuer:
    """Signs with one private key (PEM, Ed25519)."""

    def __init__(self, private_key: str, *, lifetime: timedelta, clock: Clock) -> None:
        self._private_key = private_key.replace("\\n", "\n")
        self._lifetime = lifetime
        self._clock = clock

    @property
    def public_key(self) -> str:
        """PEM; what the verifiers need."""
        private_key = load_pem_private_key(self._private_key.encode(), password=None)
        return private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def issue(self, user: User) -> Token:
        """A token for a user, valid from now."""
        now = self._clock.now()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user.id),
            "role": user.role.value,
            "iat": int(now.timestamp()),
            "exp": int((now + self._lifetime).timestamp()),
            "jti": str(uuid4()),
        }
        return Token(jwt.encode(claims, self._private_key, algorithm=ALGORITHM), int(self._lifetime.total_seconds()))


def create_token_verifier(public_keys: Sequence[str]) -> TokenVerifier:
    """Accepts the tokens that were issued with these keys (PEM). Raises ConfigurationError."""
    return TokenVerifier(public_keys, issuer=ISSUER, audience=AUDIENCE, roles=list(UserRole))
