"""`python -m SERVICE`: what each command asks of its service, what it prints, and how it ends."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from outboxed._printable import printable
from outboxed.process import CommandLine, Finding
from outboxed.storage import Content, DeadLetter, DeadLetterError, Edit
from outboxed.testing.suites.commands import Commands

from ..composed import Settings

FAILED_AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
RECORD = Content(b"k1", b'{"owner": "Ada"}', (("ce_type", b"money.moved.v1"),))
LETTER = DeadLetter(
    id=7,
    source="event",
    group="bank",
    topic="moves",
    partition=3,
    offset=41,
    key=RECORD.key,
    value=RECORD.value,
    headers=RECORD.headers,
    reason="RuntimeError: unlucky",
    failed_at=FAILED_AT,
    status="open",
    original=RECORD,
)
EDITED = replace(LETTER, key=b"k2", edited_at=FAILED_AT)


@dataclass
class Letters:
    """Dead letters that note what they are asked; with `refusal` they refuse it."""

    found: Sequence[DeadLetter] = (LETTER,)
    refusal: Exception | None = None
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def list(self, **sought: object) -> Sequence[DeadLetter]:
        self._answer("list", sought)
        return self.found

    async def show(self, letter_id: int) -> DeadLetter:
        self._answer("show", letter_id)
        return self.found[0]

    async def edit(self, letter_id: int, edit: Edit) -> None:
        self._answer("edit", letter_id, edit)

    async def replay(self, letter_id: int) -> None:
        self._answer("replay", letter_id)

    async def discard(self, letter_id: int) -> None:
        self._answer("discard", letter_id)

    def _answer(self, *asked: object) -> None:
        self.asked.append(asked)
        if self.refusal is not None:
            raise self.refusal


@dataclass
class Bank:
    """A service that notes what it is asked to do."""

    dead_letters: Letters = field(default_factory=Letters)
    migrated: int = 0

    async def migrate(self) -> None:
        self.migrated += 1

    async def close(self) -> None: ...


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def command(bank: Bank) -> Commands:
    built: Any = bank
    return Commands(CommandLine("outboxed", Settings, lambda _: built).typer, {"COLUMNS": "200"})


# --- dead letters ---


@pytest.mark.parametrize("action", ["replay", "discard"])
async def test_a_command_does_what_its_name_says_to_the_letter_that_was_named(
    bank: Bank, command: Commands, action: str
) -> None:
    ended = await command("dead-letters", action, "7")

    assert (ended.exit_code, bank.dead_letters.asked) == (0, [(action, 7)])
    assert ended.stdout == f"dead letter 7 {action}ed\n"


async def test_an_edit_has_each_part_that_was_typed(bank: Bank, command: Commands, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"\xff")
    parts = ("--key", "k2", "--value", str(tmp_path / "value"), "--header", "a=1", "--header", "b=x=y")

    ended = await command("dead-letters", "edit", "7", *parts, "--remove-header", "c", "--remove-header", "d")

    assert ended.exit_code == 0
    edit = Edit(b"k2", b"\xff", {"a": b"1", "b": b"x=y"}, ["c", "d"])
    assert bank.dead_letters.asked == [("edit", 7, edit)]


async def test_an_edit_of_nothing_is_refused_and_asks_for_nothing(bank: Bank, command: Commands) -> None:
    said = await command.refused("dead-letters", "edit", "7")

    assert (said, bank.dead_letters.asked) == (
        "nothing to change: give --key, --value, --header or --remove-header",
        [],
    )


@pytest.mark.parametrize("action", ["show", "replay", "discard"])
async def test_a_letter_that_is_refused_is_one_line_and_no_success(bank: Bank, command: Commands, action: str) -> None:
    bank.dead_letters.refusal = DeadLetterError("dead letter 7 was already replayed")

    assert await command.refused("dead-letters", action, "7") == "outboxed: dead letter 7 was already replayed"


async def test_what_a_handler_raises_again_is_told_and_no_success(bank: Bank, command: Commands) -> None:
    bank.dead_letters.refusal = RuntimeError("unlucky")

    said = await command.refused("dead-letters", "replay", "7")

    assert said == "dead letter 7 was refused again: RuntimeError: unlucky"


async def test_a_list_is_of_what_was_asked_for(bank: Bank, command: Commands) -> None:
    every = ("--status", "replayed", "--source", "task", "--key", "k1", "--type", "call", "--limit", "3")

    await command("dead-letters", "list", *every)
    await command("dead-letters", "list")

    asked = {"status": "replayed", "source": "task", "key": "k1", "type_": "call", "limit": 3}
    usual = {"status": "open", "source": None, "key": None, "type_": None, "limit": 100}
    assert bank.dead_letters.asked == [("list", asked), ("list", usual)]


@pytest.mark.parametrize(("limit", "more"), [("1", True), ("2", False)])
async def test_a_list_that_ends_at_its_limit_says_that_there_may_be_more(
    command: Commands, limit: str, more: bool
) -> None:
    ended = await command("dead-letters", "list", "--limit", limit)

    assert ("or more: see --limit" in ended.stdout) is more


async def test_a_listed_letter_has_its_place_and_reason_and_not_its_value(command: Commands) -> None:
    table = (await command("dead-letters", "list")).stdout
    line = json.loads((await command("dead-letters", "list", "--json")).stdout)

    for shown in ("7", "event", "money.moved.v1", "moves", "k1", "3/41", "2026-01-15 12:00:00", "unlucky"):
        assert shown in table, shown
    assert line == {
        "id": 7,
        "source": "event",
        "status": "open",
        "type": "money.moved.v1",
        "topic": "moves",
        "partition": 3,
        "offset": 41,
        "key": "k1",
        "failed_at": "2026-01-15T12:00:00+00:00",
        "edited_at": None,
        "reason": "RuntimeError: unlucky",
    }
    assert "Ada" not in table


async def test_what_a_record_holds_is_shown_as_it_is_and_changes_no_colour(bank: Bank, command: Commands) -> None:
    """Whoever sends a record could else hide its reason, or end the list."""
    bank.dead_letters.found = [replace(LETTER, reason="[red]hidden[/] and [/] more", key=b"[bold]k1")]

    table = (await command("dead-letters", "list")).stdout

    assert "[red]hidden[/] and [/] more" in table
    assert "[bold]k1" in table


async def test_an_edited_letter_is_shown_as_it_is_now_and_as_it_was(bank: Bank, command: Commands) -> None:
    bank.dead_letters.found = [EDITED]

    lines = (await command("dead-letters", "show", "7")).stdout.splitlines()

    assert {"key: k2", "original key: k1", "status: open", "edited at: 2026-01-15T12:00:00+00:00"} <= set(lines)
    assert lines.index("key: k2") < lines.index("original key: k1")


# --- the schema, and the doctor ---


async def test_migrate_migrates_once_and_ends_well(bank: Bank, command: Commands) -> None:
    assert ((await command("migrate")).exit_code, bank.migrated) == (0, 1)


WELL = Finding("database", "ok", "PostgreSQL 16")
ODD = Finding("clock", "warning", "this host is 90.0 s ahead of the database", "set this host's clock")
ILL = Finding("Kafka", "failed", "no answer", "start Kafka")


@pytest.mark.parametrize(
    ("findings", "status", "verdict"),
    [([WELL], 0, "ok"), ([WELL, ODD], 0, "ok"), ([ILL, WELL], 1, "failed"), ([], 0, "ok")],
    ids=["well", "a warning", "something failed", "nothing"],
)
async def test_the_doctor_ends_badly_only_where_something_failed(
    command: Commands, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], status: int, verdict: str
) -> None:
    async def examine(_: object) -> list[Finding]:
        return findings

    monkeypatch.setattr("outboxed.process._cli.examine", examine)

    in_lines, as_json = await command("doctor"), await command("doctor", "--json")

    document = json.loads(as_json.stdout)
    assert (in_lines.exit_code, as_json.exit_code, document["verdict"]) == (status, status, verdict)
    assert [(each["about"], each["verdict"]) for each in document["findings"]] == [
        (finding.about, finding.verdict) for finding in findings
    ]


async def test_the_doctor_says_what_to_do_below_what_it_found(
    command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def examine(_: object) -> list[Finding]:
        return [WELL, ILL]

    monkeypatch.setattr("outboxed.process._cli.examine", examine)

    well, ill, do = (await command("doctor")).stdout.splitlines()

    assert well.split(maxsplit=2) == ["ok", "database", "PostgreSQL 16"]
    assert (ill.split(maxsplit=2), do.strip()) == (["failed", "Kafka", "no answer"], "start Kafka")


def test_a_services_process_reads_no_variable_of_libpqs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would show another certificate, or take another password, than its settings say."""
    seen: list[list[str]] = []
    monkeypatch.setenv("PGSSLCERT", "/of/a/developer.pem")
    monkeypatch.setenv("PGPASSFILE", "/of/a/developer")
    line = CommandLine("outboxed", Settings, lambda _: None)  # type: ignore[arg-type, return-value]  # none is built
    monkeypatch.setattr(line, "typer", lambda: seen.append([name for name in os.environ if name.startswith("PG")]))

    line()

    assert seen == [[]]


@pytest.mark.parametrize("signs", ["\n", "\r", "\t", "\x1b[2J", "\x85", "\u2028", "\u202e", "\x00"])
def test_what_a_stranger_sent_is_one_line_that_no_terminal_obeys(signs: str) -> None:
    shown = printable(f"before{signs}after")

    assert shown.isprintable()
    assert shown.startswith("before\\")
    assert shown.endswith("after")
