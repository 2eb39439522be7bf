"""What looks like a bad deploy."""

from outboxed._last_minute import MAX_REFUSALS, LastMinute


def test_a_refusal_that_is_taken_back_counts_no_more_and_those_of_others_do() -> None:
    last_minute = LastMinute(lambda: 0.0)
    for _ in range(MAX_REFUSALS - 1):
        last_minute.refused("mails")
    for event_type in ("mails", "other"):
        last_minute.refused(event_type)

    assert last_minute.problem() is not None
    last_minute.take_back("mails")
    assert last_minute.problem() is None
    last_minute.take_back("unknown")
    last_minute.refused("mails")
    assert last_minute.problem() == "20 of 20 events of mails were refused within a minute"
