"""Bearer tokens: JWT, EdDSA. One service issues them, every service verifies them with public keys alone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ValidationError

from outboxed.errors import ConfigurationError
from outboxed.settings import load_public_key

ALGORITHM = "EdDSA"


class InvalidTokenError(Exception):
    """The token is not from our issuer, or no longer valid."""


@dataclass(frozen=True)
class Principal:
    """Who calls."""

    user_id: UUID
    role: str


class _Claims(BaseModel):
    sub: UUID
    role: str


def _public_key(pem: str, number: int) -> Ed25519PublicKey:
    try:
        return load_public_key(pem)
    except ValueError as error:
        raise ConfigurationError(f"JWT_PUBLIC_KEYS: number {number} {error}") from None


class TokenVerifier:
    """Accepts tokens signed with any of the keys (PEM), so that a key can be replaced without a gap.

    A token must come from `issuer`, be meant for `audience` and give its bearer one of `roles`.
    """

    def __init__(self, public_keys: Sequence[str], *, issuer: str, audience: str, roles: Collection[str]) -> None:
        """Raises ConfigurationError for a key that isn't Ed25519: at the start, not at the first request."""
        self._public_keys = [_public_key(key, number) for number, key in enumerate(public_keys, start=1)]
        self._issuer = issuer
        self._audience = audience
        self._roles = roles

    def verify(self, token: str) -> Principal:
        """Raises InvalidTokenError."""
        for key in self._public_keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=self._audience,
                    issuer=self._issuer,
                    # the issuer's clock may be a second ahead of ours
                    options={"require": ["exp", "iat", "sub", "jti"], "verify_iat": False},
                )
                known = _Claims.model_validate(claims)
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, ValidationError) as error:
                raise InvalidTokenError(type(error).__name__) from None
            if known.role not in self._roles:
                raise InvalidTokenError("UnknownRole")
            return Principal(known.sub, known.role)
        raise InvalidTokenError("no key fits the signature")
