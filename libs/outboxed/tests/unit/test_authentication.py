"""Bearer tokens: whose are accepted, and every way in which one may be false."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from outboxed.errors import ConfigurationError
from outboxed.testing.tokens import KeyPair
from outboxed.web import InvalidTokenError, TokenVerifier

OLD, NEW, STRANGER = (KeyPair.generate(issuer="orders", audience="shop", role="operator") for _ in range(3))


def verifier_of(*keys: str) -> TokenVerifier:
    return TokenVerifier(keys, issuer="orders", audience="shop", roles=("customer", "operator"))


@pytest.fixture
def verifier() -> TokenVerifier:
    return verifier_of(NEW.public, OLD.public)


@pytest.mark.parametrize("keys", [OLD, NEW], ids=["old", "new"])
def test_while_a_key_is_replaced_the_tokens_of_both_are_accepted(verifier: TokenVerifier, keys: KeyPair) -> None:
    user_id = uuid4()

    assert verifier.verify(keys.token("customer", sub=str(user_id))).user_id == user_id


@pytest.mark.parametrize("role", ["customer", "operator"])
def test_a_token_says_who_calls(verifier: TokenVerifier, role: str) -> None:
    assert verifier.verify(NEW.token(role)).role == role


def test_a_key_may_come_with_escaped_line_ends_as_from_an_environment_file() -> None:
    verifier = verifier_of(NEW.public.replace("\n", "\\n"))

    assert verifier.verify(NEW.token()).role == "operator"


def _signed(header: dict[str, Any], secret: bytes | None) -> str:
    claims = {"iss": "orders", "aud": "shop", "sub": str(uuid4()), "role": "operator", "jti": "1"}
    times = {"iat": datetime.now(UTC).timestamp(), "exp": (datetime.now(UTC) + timedelta(minutes=5)).timestamp()}
    body = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, {**claims, **times})
    )
    signature = hmac.new(secret, body, hashlib.sha256).digest() if secret else b""
    return (body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


FALSE = {
    "another's key": STRANGER.token(),
    "expired": NEW.token(exp=datetime.now(UTC) - timedelta(hours=1)),
    "expired two seconds ago": NEW.token(exp=datetime.now(UTC) - timedelta(seconds=2)),
    "another audience": NEW.token(aud="bank"),
    "another issuer": NEW.token(iss="payments"),
    "no end": NEW.token(exp=None),
    "a role that nobody has": NEW.token("root"),
    "a subject that is no id": NEW.token(sub="admin"),
    "no algorithm": _signed({"alg": "none", "typ": "JWT"}, None),
    "the public key as a password": _signed({"alg": "HS256", "typ": "JWT"}, NEW.public.encode()),
    "a changed claim": NEW.token("customer").replace(".", ".e30", 1),
    "no signature": NEW.token().rpartition(".")[0] + ".",
    "nothing": "",
    "rubbish": "a.b.c",
    "not even ASCII": "ä.ö.ü",
}


def test_a_token_issued_by_a_host_whose_clock_is_ahead_is_accepted(verifier: TokenVerifier) -> None:
    assert verifier.verify(NEW.token(iat=datetime.now(UTC) + timedelta(seconds=90))).role == "operator"


@pytest.mark.parametrize("kind", FALSE)
def test_a_false_token_is_refused(verifier: TokenVerifier, kind: str) -> None:
    with pytest.raises(InvalidTokenError):
        verifier.verify(FALSE[kind])


def test_without_keys_nobody_is_let_in() -> None:
    with pytest.raises(InvalidTokenError):
        verifier_of().verify(NEW.token())


def _of_another_kind() -> str:
    key = generate_private_key(SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("pem", ["canary", "", NEW.private, _of_another_kind()], ids=["text", "empty", "private", "EC"])
def test_a_key_that_is_none_is_refused_at_the_start_and_not_shown(pem: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^JWT_PUBLIC_KEYS: number 2 is no Ed25519 public key") as refused:
        verifier_of(NEW.public, pem)

    assert not pem or pem not in str(refused.value)


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "jti"])
def test_a_token_without_one_of_its_claims_is_refused(verifier: TokenVerifier, claim: str) -> None:
    claims: dict[str, Any] = {claim: None}

    with pytest.raises(InvalidTokenError, match="MissingRequiredClaimError"):
        verifier.verify(NEW.token("customer", **claims))


def test_why_a_token_is_refused_is_told_to_programs(verifier: TokenVerifier) -> None:
    with pytest.raises(InvalidTokenError, match=r"^ExpiredSignatureError$"):
        verifier.verify(NEW.token(exp=datetime.now(UTC) - timedelta(hours=1)))
    with pytest.raises(InvalidTokenError, match=r"^no key fits the signature$"):
        verifier.verify(STRANGER.token())
    with pytest.raises(InvalidTokenError, match=r"^UnknownRole$"):
        verifier.verify(NEW.token("root"))
