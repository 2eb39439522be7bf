"""Times and sizes that belong together: each is right by itself, and wrong beside another one."""

from outboxed._backoff import backoff
from outboxed._compat.uvicorn import HttpLimits
from outboxed._wakeups import IDLE_POLL_SECONDS, POLL_SECONDS, SAFETY_SECONDS
from outboxed.consuming import _kafka as consuming
from outboxed.messages import MAX_VALUE_BYTES
from outboxed.process import _announcements as announcements
from outboxed.process._roles import GRACE_SECONDS
from outboxed.relay import _flow as flow
from outboxed.relay import _outcomes as outcomes
from outboxed.relay._relay import FROM_THE_START_SECONDS
from outboxed.settings import KafkaSettings
from outboxed.storage import API_POOL_SECONDS, POOL_SECONDS, _retention
from outboxed.storage._pools import POOL_SIZE
from outboxed.tasks._queue import FIRST_BACKOFF, MAX_BACKOFF
from outboxed.web._http import MAX_BODY_BYTES

SESSION = KafkaSettings(("kafka:9092",)).session_timeout_ms / 1000


def test_a_session_of_the_consumer_outlasts_lost_heartbeats_and_a_hand_over() -> None:
    assert SESSION >= 6, "the least that Apache Kafka takes by default (group.min.session.timeout.ms)"
    assert consuming.HEARTBEATS >= 3, "as Kafka's documentation has it: one that is lost must not end the session"
    assert consuming.HANDOVER_SECONDS < SESSION / 2
    assert consuming.COMMIT_SECONDS < SESSION


def test_the_consumer_ends_within_the_time_that_its_process_has() -> None:
    assert consuming.ConsumerRole.grace < consuming.STOP_SECONDS < GRACE_SECONDS


def test_what_nobody_was_told_of_is_found_soon() -> None:
    assert POLL_SECONDS <= IDLE_POLL_SECONDS <= 1
    assert SAFETY_SECONDS <= 10, "a process that was killed between its commit and its word"
    assert consuming.METADATA_MS <= 30_000, "a topic that was made again has no readers until then"
    assert 2 * announcements.HERE_SECONDS < announcements.FORGOTTEN_SECONDS, "one word that is lost means nothing"
    assert SAFETY_SECONDS < announcements.HERE_SECONDS


def test_pauses_begin_short_and_end_at_a_minute() -> None:
    assert FIRST_BACKOFF < MAX_BACKOFF <= 60
    assert flow.FIRST_PAUSE < flow.LONGEST_PAUSE <= 60, "whoever gave a topic its right waits for it"
    assert outcomes.FIRST_RETRY < outcomes.LONGEST_RETRY <= 60
    assert consuming.FIRST_BACKOFF < consuming.MAX_BACKOFF < SESSION


def test_a_row_that_kafka_refuses_is_told_of_within_minutes() -> None:
    """It holds up the events of its key until somebody is told."""
    pauses = [backoff(attempt, first=outcomes.FIRST_RETRY, cap=outcomes.LONGEST_RETRY) for attempt in range(1, 10)]

    assert outcomes.ATTEMPTS <= 5
    assert sum(pauses[: outcomes.UNNAMED_ATTEMPTS - 1]) <= 10 * 60
    assert len(pauses) + 1 >= outcomes.UNNAMED_ATTEMPTS


def test_a_row_that_nobody_told_of_is_found_within_a_minute() -> None:
    assert FROM_THE_START_SECONDS <= 60


def test_a_caller_waits_for_a_connection_for_less_time_than_a_role() -> None:
    assert API_POOL_SECONDS < POOL_SECONDS
    assert 2 * POOL_SIZE + 1 <= 20, (
        "of the hundred that PostgreSQL has by default; a process has two pools and a listener"
    )


def test_a_batch_is_no_larger_than_the_memory_for_it() -> None:
    """An event may have half a megabyte: of ordinary ones a batch has a megabyte."""
    assert consuming.MAX_RECORDS <= 500, "more are no faster, and each outlasts its hand-over sooner"


def test_what_is_old_is_pruned_many_times_a_day() -> None:
    """What a day brings is deleted in small steps; in one it would hold up everything else."""
    assert _retention.EVERY_SECONDS <= 600


def test_a_client_that_is_slow_goes_before_it_holds_a_place_for_long() -> None:
    limits = HttpLimits()

    assert max(limits.head, limits.keep_alive) <= 10
    assert max(limits.body, limits.unread) <= 30
    assert limits.connections <= 1000


def test_a_body_is_no_larger_than_what_a_service_stores() -> None:
    assert MAX_BODY_BYTES < MAX_VALUE_BYTES, "an event that is made of it must fit into a record"
