"""Who is logged in: a cookie names a session, which has the operator's token and a secret for its forms."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_urlsafe

COOKIE = "console"
MOST = 1000
EARLIER = 30.0
"""Seconds before the token's end at which a session ends."""


@dataclass(frozen=True)
class Session:
    """An operator's login; `csrf` comes back with each form of its pages, and no other site knows it."""

    token: str = field(repr=False)
    email: str
    ends: float
    id: str = field(default_factory=lambda: token_urlsafe(32), repr=False)
    csrf: str = field(default_factory=lambda: token_urlsafe(32), repr=False)

    def sent(self, csrf: str) -> bool:
        """Whether a form is one of this session's."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode())


class Sessions:
    """In memory: a restart logs everybody out. The oldest give way."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self, token: str, email: str, *, seconds: float) -> Session:
        """Begin one for as long as a token is valid."""
        session = Session(token, email, self._clock() + seconds - EARLIER)
        self._sessions[session.id] = session
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return session

    def get(self, session_id: str) -> Session | None:
        """The session of a cookie, while it lasts."""
        session = self._sessions.get(session_id)
        if session is not None and session.ends <= self._clock():
            del self._sessions[session_id]
            return None
        return session

    def close(self, session_id: str) -> None:
        """End one, if it is there."""
        self._sessions.pop(session_id, None)
