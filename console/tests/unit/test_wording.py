import pytest
from shop_console.wording import duration, printable


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0124, "12 ms"),
        (3.44, "3.4 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (7200, "2 h"),
        (3 * 86_400, "3 d"),
    ],
)
def test_a_duration_is_written_for_a_person(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_terminal_is_sent_no_control_characters() -> None:
    assert printable("a\x1b[2Jb\n") == r"a\x1b[2Jb\n"
