"""`make logs ORDER=...`: which lines are of an order, and in which order they come."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from shop_demo.running import LOGS, VARIABLE, up_file
from typer.testing import CliRunner, Result

from tools.logs.__main__ import main
from tools.logs.story import Line, read_lines, story_of, told

ORDER, OTHER = str(uuid4()), str(uuid4())
TRACE = "9" * 32


def logged(at: str, event: str, **fields: object) -> str:
    return json.dumps({"service": "orders", "event": event, "timestamp": at, "level": "info", **fields}) + "\n"


def events(lines: list[Line]) -> list[object]:
    return [line.fields.get("event", line.text) for line in lines]


def test_the_lines_of_several_processes_come_in_the_order_of_time() -> None:
    orders = read_lines("orders", [logged("2", "second", order_id=ORDER), logged("4", "fourth", order_id=ORDER)])
    payments = read_lines("payments", [logged("1", "first", order_id=ORDER), logged("3", "third", order_id=ORDER)])

    assert events(story_of(ORDER, [*orders, *payments])) == ["first", "second", "third", "fourth"]


def test_a_line_that_names_the_order_in_any_field_belongs() -> None:
    lines = list(read_lines("orders", [logged("1", "task_dead_lettered", key=f"confirmed.{ORDER}"), logged("2", "x")]))

    assert events(story_of(ORDER, lines)) == ["task_dead_lettered"]


def test_a_line_without_the_order_belongs_if_its_trace_does() -> None:
    lines = [
        logged("1", "request", order_id=ORDER, trace_id=TRACE),
        logged("2", "recording_again", trace_id=TRACE),
        logged("3", "recording_again", trace_id="8" * 32),
        logged("4", "another_order", trace_id=TRACE, order_id=OTHER),
    ]

    assert events(story_of(ORDER, list(read_lines("orders", lines)))) == ["request", "recording_again"]


def test_a_line_that_is_no_json_has_the_time_of_the_one_before() -> None:
    lines = [logged("5", "internal_error", order_id=ORDER), f"ValueError: {ORDER}\n", logged("6", "later")]

    story = story_of(ORDER, list(read_lines("orders", lines)))

    assert [(line.at, line.text) for line in story[1:]] == [("5", f"ValueError: {ORDER}")]


def test_a_line_is_told_with_its_service_its_level_and_what_else_it_says() -> None:
    text = logged(
        "2026-01-15T12:00:00Z", "task_postponed", order_id=ORDER, level="warning", reason="503\x1b[31m", seconds=2
    )

    [line] = read_lines("file", [text])

    assert told(line).split() == [
        *("2026-01-15T12:00:00Z", "orders", "warning", "task_postponed"),
        *(r"reason=503\x1b[31m", "seconds=2"),
    ]


# --- the command ---


APP = typer.Typer()
APP.command()(main)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(APP, arguments)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "shop.env"))
    (tmp_path / "orders.log").write_text(logged("1", "request", order_id=ORDER))
    return tmp_path


def test_the_command_reads_the_logs_of_what_runs(logs: Path) -> None:
    with up_file() as up:
        up.write({LOGS: str(logs)})
        done, as_json, unknown = run(ORDER), run(ORDER, "--json"), run(OTHER)

    assert (done.exit_code, done.stdout.split()) == (0, ["1", "orders", "request"])
    assert json.loads(as_json.stdout)["order_id"] == ORDER
    assert (unknown.exit_code, unknown.stderr) == (1, f"logs: none of 1 lines names {OTHER!r}\n")


def test_the_command_is_a_module_that_runs(logs: Path) -> None:
    command = [sys.executable, "-m", "tools.logs", ORDER]
    with up_file() as up:
        up.write({LOGS: str(logs)})
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours

    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", "orders", "request"], "")


def test_without_make_up_the_command_says_so_in_one_line(logs: Path) -> None:
    done = run(ORDER)

    assert (done.exit_code, done.stderr) == (
        2,
        "logs: `make up` isn't running: start it, or say ARGS=--compose for the logs of the containers\n",
    )
    assert logs.is_dir()


def test_the_last_logs_of_a_killed_one_are_read_and_that_is_said(logs: Path) -> None:
    (logs / "shop.env").write_text(f"{LOGS}={logs}\n")

    done = run(ORDER)

    assert (done.exit_code, "request" in done.stdout) == (0, True)
    assert done.stderr.startswith("logs: `make up` was killed; these are its last logs")


def test_logs_that_went_with_a_killed_one_are_one_line(logs: Path) -> None:
    (logs / "shop.env").write_text(f"{LOGS}={logs / 'gone'}\n")

    done = run(ORDER)

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "its logs are gone" in done.stderr


def test_no_order_is_in_no_line(logs: Path) -> None:
    with up_file() as up:
        up.write({LOGS: str(logs)})
        done = run("")

    assert (done.exit_code, done.stderr) == (1, "logs: none of 1 lines names ''\n")


def test_what_docker_says_last_is_the_one_line_where_it_fails(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = logs / "docker"
    docker.write_text("#!/bin/sh\necho a warning >&2\necho no configuration file provided >&2\nexit 14\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(logs), prepend=":")

    done = run(ORDER, "--compose")

    assert (done.exit_code, done.stderr) == (2, "logs: docker compose logs failed: no configuration file provided\n")


def test_where_docker_is_not_installed_compose_is_one_line(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(logs))

    done = run(ORDER, "--compose")

    assert (done.exit_code, done.stderr) == (
        2,
        "logs: docker isn't installed: where `make up` runs, leave --compose out\n",
    )
