"""Public keys in PEM."""

from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import AfterValidator


def load_public_key(pem: str) -> Ed25519PublicKey:
    """The key of a text in PEM, whose line ends may also be a backslash and an n. Raises ValueError."""
    try:
        key = load_pem_public_key(pem.replace("\\n", "\n").encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("is no Ed25519 public key in PEM")  # noqa: TRY004 - pydantic's
    return key


def _check_public_key(pem: str) -> str:
    load_public_key(pem)
    return pem


PublicKey = Annotated[str, AfterValidator(_check_public_key)]
"""An Ed25519 public key, as text in PEM."""
