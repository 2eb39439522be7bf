"""Keeps tests, which delete what they find, away from systems that somebody needs."""

import os
import re
from urllib.parse import unquote, urlsplit

MARK = "BACKING_I_AM_A_TEST_SYSTEM"
# "test" as a word of the name: app_test, test-app; not contest, latest_app.
WORD_TEST = re.compile(r"(?<![a-z])tests?(?![a-z])", re.IGNORECASE)


class NotATestSystemError(RuntimeError):
    """An address that nothing marks as a test system was about to be used by tests."""


def refuse_unless_test_system(address: str) -> None:
    """Raise NotATestSystemError unless `address` is marked as one that tests may wipe.

    The word "test" in a database's name marks a database url; all names that this library makes up have the word. A
    Kafka cluster has no such name. `$BACKING_I_AM_A_TEST_SYSTEM` marks either: it holds the exact address (several
    are separated by spaces), or for a database host:port/name without the credentials.
    """
    marked = os.environ.get(MARK, "").split()
    if "://" not in address:
        if address not in marked:
            raise NotATestSystemError(
                f"tests would write to Kafka at {address}. If that cluster is for tests only, set {MARK}={address}"
            )
        return
    parts = urlsplit(address)
    place = f"{parts.netloc.rpartition('@')[2]}{parts.path}"  # without the password: this goes into messages
    if WORD_TEST.search(unquote(parts.path)) or address in marked or place in marked:
        return
    raise NotATestSystemError(
        f"tests would wipe the database {place}. If it is for tests only, give it a name with the word 'test' in it, "
        f"such as app_test, or set {MARK}={place}"
    )
