"""Files that settings name: read once at the start, so that an unreadable one isn't met in the middle of the work."""

import os
import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

AUTHORITIES_FILE = "SSL_CERT_FILE"
AUTHORITIES_FOLDER = "SSL_CERT_DIR"


def check_readable(path: str) -> str:
    """Raises ValueError with the system's reason."""
    try:
        Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ValueError(f"can't be read: {getattr(error, 'strerror', None) or 'no path'}") from None
    return path


def check_ca_file(path: str) -> str:
    """Raises ValueError where the file can't be read or holds no certificate."""
    check_readable(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ssl.SSLError, ValueError):
        raise ValueError("holds no certificate in PEM") from None
    return path


def check_system_authorities() -> None:
    """Whether the authorities can be read that OpenSSL's variables put in place of the system's.

    OpenSSL itself would go on without any, and refuse each certificate. Raises ValueError, which names the variable.
    """
    if path := os.environ.get(AUTHORITIES_FILE):
        try:
            check_ca_file(path)
        except ValueError as error:
            raise ValueError(f"{AUTHORITIES_FILE}: {error}") from None
    elif (folder := os.environ.get(AUTHORITIES_FOLDER)) and not Path(folder).is_dir():
        raise ValueError(f"{AUTHORITIES_FOLDER}: is no folder")


CaFile = Annotated[str, AfterValidator(check_ca_file)]
"""The path of a file of certificates in PEM."""
