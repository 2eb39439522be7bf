"""Tokens as the orders service issues them, signed with a key of this run's own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class KeyPair:
    private: str
    public: str

    @classmethod
    def generate(cls) -> Self:
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(private.decode(), public.decode())

    def token(self, role: str = "operator", **claims: Any) -> str:
        now = datetime.now(UTC)
        valid = {"iss": "orders", "aud": "shop", "sub": str(uuid4()), "role": role, "jti": str(uuid4())}
        times = {"iat": now, "exp": now + timedelta(minutes=5)}
        return jwt.encode({**valid, **times, **claims}, self.private, "EdDSA")

    def bearer(self, role: str = "operator", **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role, **claims)}"}
