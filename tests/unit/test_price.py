"""The parts of `make price` that need no server."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shop_harness.percentiles import percentile

from tools.measuring.counted import statements_of
from tools.measuring.hops import hop, is_control
from tools.measuring.processor_time import seconds_by_name
from tools.measuring.wire import SSL_REQUEST, Conversation, Statement, Transaction
from tools.price.baseline import BaselineError, Price, growth, read_baseline, write_baseline
from tools.price.figures import Counts, apart, shapes_of

VERSION_3 = 196608
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


def message(kind: str, *content: bytes) -> bytes:
    joined = b"".join(content)
    return kind.encode() + (len(joined) + 4).to_bytes(4) + joined


def startup(code: int, *content: bytes) -> bytes:
    joined = b"".join(content)
    return (len(joined) + 8).to_bytes(4) + code.to_bytes(4) + joined


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def ready(status: str = "I") -> bytes:
    return message("Z", status.encode())


def done(outcome: str) -> bytes:
    return message("C", text(outcome))


def execute(portal: str = "") -> bytes:
    return message("E", text(portal), bytes(4))


def bind(statement: str, portal: str = "") -> bytes:
    return message("B", text(portal), text(statement), bytes(6))


def parse(name: str, statement: str) -> bytes:
    return message("P", text(name), text(statement), bytes(2))


SYNC = message("S")


class Wire:
    """A connection that has started."""

    def __init__(self) -> None:
        self.heard: list[Transaction] = []
        self.conversation = Conversation(self.heard.append)
        self.conversation.client_sent(startup(VERSION_3, b"user\0x\0\0"))
        self.conversation.server_sent(message("R", bytes(4)) + ready())

    def say(self, request: bytes, answer: bytes) -> None:
        self.conversation.client_sent(request)
        self.conversation.server_sent(answer)


# --- what goes by between a client and PostgreSQL ---


def test_a_transaction_is_heard_with_its_statements_outcomes_and_round_trips() -> None:
    wire = Wire()

    wire.say(message("Q", text("BEGIN;")), done("BEGIN") + ready("T"))
    wire.say(parse("s1", "update tasks set x = $1") + SYNC, message("1") + ready("T"))
    wire.say(bind("s1") + execute() + SYNC, message("2") + done("UPDATE 3") + ready("T"))
    wire.say(message("Q", text("COMMIT;")), done("COMMIT") + ready())

    statements = (
        Statement("BEGIN", "BEGIN"),
        Statement("update tasks set x = $1", "UPDATE 3"),
        Statement("COMMIT", "COMMIT"),
    )
    assert wire.heard == [Transaction(statements, round_trips=4, committed=True)]


def test_several_statements_behind_one_sync_are_one_round_trip() -> None:
    wire = Wire()
    wire.say(parse("s1", "insert into inbox") + SYNC, message("1") + ready())
    wire.heard.clear()

    wire.say(bind("s1") + execute() + bind("s1") + execute() + SYNC, done("INSERT 0 1") + done("INSERT 0 1") + ready())

    assert [(len(each.statements), each.round_trips) for each in wire.heard] == [(2, 1)]


def test_bytes_may_come_in_any_pieces() -> None:
    whole, pieces = Wire(), Wire()
    request, answer = message("Q", text("select 1; select 2")), done("SELECT 1") + done("SELECT 1") + ready()

    whole.say(request, answer)
    for byte in request:
        pieces.conversation.client_sent(bytes([byte]))
    for byte in answer:
        pieces.conversation.server_sent(bytes([byte]))

    assert pieces.heard == whole.heard
    assert [statement.text.strip() for statement in whole.heard[0].statements] == ["select 1", "select 2"]


def test_a_request_for_encryption_that_is_refused_comes_before_the_start() -> None:
    heard: list[Transaction] = []
    conversation = Conversation(heard.append)

    conversation.client_sent(startup(SSL_REQUEST))
    conversation.server_sent(b"N")
    conversation.client_sent(startup(VERSION_3, b"user\0x\0\0"))
    conversation.server_sent(ready())
    conversation.client_sent(message("Q", text("select 1")))
    conversation.server_sent(done("SELECT 1") + ready())

    assert heard == [Transaction((Statement("select 1", "SELECT 1"),), round_trips=1, committed=True)]


@pytest.mark.parametrize(
    "answer", [message("E", text("SERROR")) + ready(), done("ROLLBACK") + ready()], ids=["an error", "a rollback"]
)
def test_what_is_rolled_back_is_no_commit(answer: bytes) -> None:
    wire = Wire()

    wire.say(message("Q", text("rollback")), answer)

    assert [transaction.committed for transaction in wire.heard] == [False]


def test_an_error_does_not_move_outcomes_to_later_statements() -> None:
    wire = Wire()
    wire.say(message("Q", text("select broken")), message("E", text("SERROR")) + ready())

    wire.say(message("Q", text("select 1")), done("SELECT 1") + ready())

    assert wire.heard[-1].statements == (Statement("select 1", "SELECT 1"),)


def test_a_semicolon_inside_a_statement_does_not_move_outcomes_to_later_statements() -> None:
    wire = Wire()
    wire.say(message("Q", text("do $$ begin; end $$")), done("DO") + ready())

    wire.say(message("Q", text("select 1")), done("SELECT 1") + ready())

    assert wire.heard[-1].statements == (Statement("select 1", "SELECT 1"),)


def test_a_statement_behind_one_that_fails_is_skipped_up_to_where_the_client_waits() -> None:
    wire = Wire()
    wire.say(parse("s1", "select 1") + SYNC, message("1") + ready())
    requests = bind("s1") + execute() + bind("s1") + execute() + SYNC + message("Q", text("select 2"))

    wire.say(requests, message("E", text("SERROR")) + ready() + done("SELECT 1") + ready())

    assert [transaction.statements for transaction in wire.heard[1:]] == [(), (Statement("select 2", "SELECT 1"),)]


# --- what a statement is ---


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("INSERT INTO outbox (topic) VALUES ($1)", "insert outbox"),
        ('update "public"."tasks" set a = 1', "update tasks"),
        ("DELETE FROM outbox WHERE id = ANY($1)", "delete outbox"),
        ("SELECT a FROM tasks WHERE due FOR UPDATE SKIP LOCKED", "select tasks"),
        ("with due as (select id from tasks limit 1 for update) update tasks set a = 1", "update tasks"),
        ("with gone as (delete from tasks returning id) insert into outbox select 1", "delete tasks + insert outbox"),
        ("insert into inbox select * from unnest($1::text[]) on conflict do nothing", "insert inbox"),
        ("insert into users values (1) on conflict (id) do update set a = 1", "insert users"),
        ("with mine as (select 1) select * from mine join orders on true", "select orders"),
        ("SELECT clock_timestamp()", "select clock_timestamp"),
        ("/* a hint */ select 1 -- from nowhere", "select"),
        ("select * from unnest($1::int[])", "select unnest"),
        ("LISTEN outbox", "listen"),
        (" ", "nothing"),
    ],
)
def test_a_statement_is_named_by_its_verb_and_table(statement: str, name: str) -> None:
    assert hop(statement) == name


@pytest.mark.parametrize("statement", ["BEGIN ISOLATION LEVEL READ COMMITTED;", "commit", "ROLLBACK;"])
def test_what_only_begins_or_ends_a_transaction_is_no_statement_of_an_order(statement: str) -> None:
    assert is_control(statement)


# --- the counts of an order ---

LOOK = Transaction((Statement("select * from outbox", "SELECT 0"),), round_trips=1, committed=True)
WORK = Transaction(
    (
        Statement("BEGIN;", "BEGIN"),
        Statement("select * from outbox", "SELECT 1"),
        Statement("delete from outbox", "DELETE 1"),
        Statement("COMMIT;", "COMMIT"),
    ),
    round_trips=4,
    committed=True,
)


def test_a_look_that_is_also_made_at_rest_is_no_work_unless_it_finds_something() -> None:
    work, looks = apart({LOOK: 7, WORK: 2}, shapes_of({LOOK: 30}))

    assert (work, looks) == (Counter({WORK: 2}), Counter({LOOK: 7}))


def test_a_deletion_of_old_rows_that_finds_none_is_no_work_though_the_rest_had_none() -> None:
    seldom = Transaction(
        (Statement("BEGIN;", "BEGIN"), Statement("delete from inbox", "DELETE 0"), Statement("COMMIT;", "COMMIT")),
        round_trips=3,
        committed=True,
    )

    assert apart({seldom: 1}, shapes_of({LOOK: 30})) == (Counter(), Counter({seldom: 1}))


def test_a_question_that_no_row_answers_is_work_unless_it_is_also_asked_at_rest() -> None:
    question = Transaction((Statement("select * from idempotency_keys", "SELECT 0"),), round_trips=1, committed=True)

    assert apart({question: 1}, shapes_of({LOOK: 30})) == (Counter({question: 1}), Counter())


def test_a_transaction_that_only_looked_is_no_commit() -> None:
    written = "with written_0 as (insert into orders select $1 returning id) select count(*) from written_0"
    alone = Transaction((Statement(written, "SELECT 1"),), round_trips=1, committed=True)
    failed = Transaction((Statement(written, "SELECT 1"),), round_trips=1, committed=False)

    counts = Counts.of({LOOK: 3, alone: 2, failed: 1}, wal_bytes=0, orders=1)

    assert (counts.commits, counts.round_trips) == (2, 6)


def test_counts_are_those_of_one_order() -> None:
    counts = Counts.of({WORK: 4}, wal_bytes=900, orders=2)

    assert counts == Counts(
        commits=2,
        statements=4,
        round_trips=8,
        wal_bytes=450,
        hops={"select outbox": 2, "delete outbox": 2},
    )
    assert Counts.sum_of([counts, counts]).round_trips == 16


def test_what_begins_and_ends_a_transaction_is_no_statement_at_rest_either() -> None:
    assert statements_of({LOOK: 3, WORK: 2}) == 3 * 1 + 2 * 2


# --- the baseline ---


def price(*, statements: float = 10, cpu: float = 0.5, **hops: float) -> Price:
    counts = Counts(
        commits=2,
        statements=statements,
        round_trips=14,
        wal_bytes=3000,
        hops={name.replace("_", " "): times for name, times in hops.items()},
    )
    return Price({"payments": counts}, {"payments": cpu})


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"

    write_baseline(price(insert_outbox=1), file)

    assert read_baseline(file) == price(insert_outbox=1)
    assert growth(read_baseline(file), price(insert_outbox=1)) == []


def test_growth_names_the_service_the_figure_and_the_hop() -> None:
    grown = growth(price(insert_outbox=1, select_tasks=2), price(statements=11, insert_outbox=1, select_tasks=3))

    assert grown == ["payments: statements 10.00 -> 11.00 (+10.0 %): select tasks +1.00"]


@pytest.mark.parametrize(
    ("now", "complaints"),
    [
        (price(statements=10.5), 0),
        (price(statements=10.51), 1),
        (price(statements=1), 0),
        (price(cpu=0.575), 0),
        (price(cpu=0.58), 1),
    ],
    ids=["5 % more", "more than 5 %", "less", "15 % more CPU", "more than 15 % of CPU"],
)
def test_counts_may_grow_by_5_per_cent_and_cpu_by_15(now: Price, complaints: int) -> None:
    assert len(growth(price(), now)) == complaints


def test_a_service_that_the_baseline_does_not_know_is_a_complaint() -> None:
    assert growth(Price({}, {}), price())[0] == "payments has no baseline"


def test_a_missing_baseline_is_one_line_that_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r'^no baseline in .*none\.json: ARGS="--write-baseline" writes one$'):
        read_baseline(tmp_path / "none.json")


@pytest.mark.parametrize("content", ["", "[]", '{"counts": {"payments": {"commits": "many"}}, "processor": {}}'])
def test_a_broken_baseline_is_one_line_that_says_where(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content)

    with pytest.raises(BaselineError, match=r"^.*broken\.json is no baseline: [^\n]+ writes a new one$"):
        read_baseline(file)


# --- what is measured beside them ---


def test_a_process_has_the_time_of_children_that_run_and_of_those_that_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.1: pass\n"
    before = seconds_by_name({"this": os.getpid()})["this"]

    subprocess.run([sys.executable, "-c", burn], check=True)  # noqa: S603 - our own code
    ended = seconds_by_name({"this": os.getpid()})["this"] - before
    with subprocess.Popen([sys.executable, "-c", f"{burn}print(flush=True)\ninput()"], **PIPES) as child:  # noqa: S603
        assert child.stdout is not None
        child.stdout.readline()
        running = seconds_by_name({"this": os.getpid()})["this"] - before - ended
        child.communicate(b"\n")

    assert ended >= 0.08
    assert running >= 0.08


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50.0, 99.0, 100.0]
    assert percentile([3.0], 50) == 3.0
