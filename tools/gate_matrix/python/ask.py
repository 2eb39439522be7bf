# /// script
# requires-python = ">=3.11"
# dependencies = ["jsonsubschema==0.0.8"]
# ///
"""What jsonsubschema says about each change: true if breaking, false, or null where it gives no answer in time."""

import json
import signal
import sys
from types import FrameType

from jsonsubschema import isSubschema

SECONDS = 1  # of computing, so that a busy machine changes no answer


class TooSlowError(BaseException):
    """No answer in time; jsonsubschema must not catch it."""


def too_slow(_: int, __: FrameType | None) -> None:
    raise TooSlowError


def asked(before: object, after: object) -> bool | None:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return not isSubschema(after, before)
    except (Exception, TooSlowError):  # noqa: BLE001 - whatever it raises: it has no answer
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


signal.signal(signal.SIGPROF, too_slow)
print(json.dumps([asked(before, after) for before, after, _ in json.load(sys.stdin)]))
