"""Who is logged in, for how long, and whose forms are taken."""

import pytest
from shop_console.sessions import EARLIER, MOST, Sessions


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("before_the_tokens_end", "is_there"), [(EARLIER + 1, True), (EARLIER, False)])
def test_a_session_ends_before_its_token_does(before_the_tokens_end: float, is_there: bool) -> None:
    clock = Clock()
    sessions = Sessions(clock)
    session = sessions.open("token", "op@example.com", seconds=600)

    clock.now += 600 - before_the_tokens_end

    assert (sessions.get(session.id) is session) is is_there


def test_a_session_that_was_closed_is_over() -> None:
    sessions = Sessions()
    session = sessions.open("token", "op@example.com", seconds=600)

    sessions.close(session.id)

    assert sessions.get(session.id) is None


def test_the_oldest_session_gives_way() -> None:
    sessions = Sessions()
    oldest, *others = [sessions.open("token", "op@example.com", seconds=600) for _ in range(MOST + 1)]

    assert sessions.get(oldest.id) is None
    assert sessions.get(others[0].id) is others[0]


def test_a_form_is_of_its_own_session_alone() -> None:
    sessions = Sessions()
    mine, others = [sessions.open("token", "op@example.com", seconds=600) for _ in range(2)]

    assert mine.sent(mine.csrf)
    assert not mine.sent(others.csrf)
    assert not mine.sent("ä")
