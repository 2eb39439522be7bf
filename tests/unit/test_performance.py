"""The page about performance has what the benches printed."""

import re
import subprocess
from pathlib import Path

import pytest
import typer

from tools.measuring.cores import Reading
from tools.performance import benches
from tools.performance.page import PAGE, README, filled, with_figures
from tools.performance.printed import OVER_ITS_LIMIT, NotPrintedError, Printed, Table, read
from tools.price.baseline import read_baseline

AS_SOMEBODY = ("-c", "user.name=team", "-c", "user.email=team@example.com", "-c", "commit.gpgsign=false")
PRINTED = """\
2026-01-01, two cores
by hand: 20 µs
         20,000 events a turn
┏━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━┓
┃         ┃ CPU, µs ┃ items/s ┃
┡━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━┩
│ by hand │ 20      │ 10,519  │
├─────────┼─────────┼─────────┤
│ ours    │ 126     │ 3,563.5 │
└─────────┴─────────┴─────────┘
    CPU of the process alone
            a ratio

 payments killed
┏━━━━━━━┳━━━━━━━┓
┃ kills ┃ twice ┃
┡━━━━━━━╇━━━━━━━╇
│ 5     │ 0     │
└───────┴───────┘
consumer: 6.3 times
"""


def test_what_was_printed_is_read_as_tables_and_a_last_line() -> None:
    rows = [["by hand", "20", "10,519"], ["ours", "126", "3,563.5"]]
    first = Table(["", "CPU, µs", "items/s"], rows, "20,000 events a turn", "CPU of the process alone; a ratio")
    second = Table(["kills", "twice"], [["5", "0"]], "payments killed")

    assert read(PRINTED) == Printed("2026-01-01, two cores", [first, second], "consumer: 6.3 times")


def test_a_column_is_read_as_numbers() -> None:
    [table, _] = read(PRINTED).tables

    assert table.column("CPU, µs") == ["20", "126"]
    assert table.numbers("items/s") == [10519.0, 3563.5]


def test_a_column_that_nobody_printed_is_named_with_those_that_are_there() -> None:
    with pytest.raises(NotPrintedError, match="no column 'p50' among kills, twice"):
        read(PRINTED).tables[1].column("p50")


@pytest.mark.parametrize("text", ["", "2026-01-01\n", PRINTED.rpartition("consumer")[0]])
def test_a_bench_without_a_last_line_has_printed_no_figure(text: str) -> None:
    with pytest.raises(NotPrintedError, match="no figure"):
        read(text)


@pytest.mark.parametrize("line", ["│         │ more    │         │", "┃         ┃ more    ┃         ┃"])
def test_a_cell_over_several_lines_is_not_taken_for_a_row(line: str) -> None:
    with pytest.raises(NotPrintedError, match="a cell goes over several lines: more"):
        read(PRINTED.replace("├─────────┼─────────┼─────────┤", line))


def test_a_text_between_two_tables_that_could_be_of_either_is_refused() -> None:
    with pytest.raises(NotPrintedError, match="no empty line before a table"):
        read(PRINTED.replace("\n\n payments killed", "\n payments killed"))


def test_a_part_of_the_page_has_tables_the_last_line_and_what_it_was_measured_on() -> None:
    page = "Before.\n\n<!-- begin: tasks -->\nold\n<!-- end: tasks -->\n\nAfter.\n"
    table = Table(["", "µs"], [["ours", "5"]], "tasks alone", "least of two")
    printed = Printed("2026-01-01, two cores", [table], "tasks: 5")

    assert filled(page, {"tasks": printed}) == (
        "Before.\n\n<!-- begin: tasks -->\n\n"
        "Tasks alone:\n\n| | µs |\n| --- | --- |\n| ours | 5 |\n\nLeast of two.\n\n"
        "`tasks: 5`\n\n2026-01-01, two cores.\n\n"
        "<!-- end: tasks -->\n\nAfter.\n"
    )


def test_a_bench_without_a_place_in_the_page_is_not_left_out_silently() -> None:
    with pytest.raises(ValueError, match="no place for tasks"):
        filled("A page.\n", {"tasks": Printed("", [], "tasks: 5")})


def test_a_part_of_the_page_says_that_its_run_was_over_its_limit() -> None:
    page = "<!-- begin: tasks -->\n<!-- end: tasks -->\n"
    printed = read(f"2026-01-01{OVER_ITS_LIMIT}\ntasks: 5")

    assert "\n**This run was over its limit.**\n" in filled(page, {"tasks": printed})


# --- how a bench is run ---


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps what benches print; there is a text of the last run."""
    monkeypatch.setattr(benches, "FOLDER", tmp_path)
    (tmp_path / "tasks.txt").write_text("2026-01-01\ntasks: 5\n")
    return tmp_path


def a_bench_prints(monkeypatch: pytest.MonkeyPatch, text: str, *, status: int = 0, used_by_others: float = 0.0) -> None:
    """Of 4 cores; in place of a process."""
    readings = iter([Reading(0, 0, 0, 4), Reading(1, used_by_others, 0, 4)])
    monkeypatch.setattr(Reading, "now", lambda: next(readings))
    monkeypatch.setattr(benches, "commit", lambda: "abc1234")
    ran = subprocess.CompletedProcess([], status, stdout=text)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ran)


def test_what_a_bench_prints_is_kept_below_a_line_about_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_bench_prints(monkeypatch, "by hand: 20 µs\ntasks: 6\n", used_by_others=0.5)

    assert benches.run("tasks", "--rounds 2") == 0

    about, *lines = (folder / "tasks.txt").read_text().splitlines()
    assert lines == ["by hand: 20 µs", "tasks: 6"]
    assert ' with `ARGS="--rounds 2"`, commit abc1234, Python ' in about
    assert about.endswith("; other programs used 0.5 of 4 cores")


def test_a_run_over_its_limit_is_kept_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_bench_prints(monkeypatch, "tasks: 9", status=benches.OVER_THE_LIMIT)

    assert benches.run("tasks") == benches.OVER_THE_LIMIT

    assert read((folder / "tasks.txt").read_text()).is_over_its_limit


@pytest.mark.parametrize("status", [0, benches.OVER_THE_LIMIT])
def test_an_error_that_a_bench_does_not_expect_leaves_the_figures_as_they_were(
    status: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_bench_prints(monkeypatch, "by hand: 20 µs\n", status=status)

    with pytest.raises(benches.BenchError, match="tasks: the last line is no figure of it: 'by hand: 20 µs'"):
        benches.run("tasks")

    assert (folder / "tasks.txt").read_text() == "2026-01-01\ntasks: 5\n"


def test_figures_of_a_busy_machine_are_not_kept_unless_it_may_be_busy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_bench_prints(monkeypatch, "tasks: 6", used_by_others=1.1)
    with pytest.raises(benches.BenchError, match=r"other programs used 1\.1 of 4 cores"):
        benches.run("tasks")
    assert read((folder / "tasks.txt").read_text()).last_line == "tasks: 5"

    a_bench_prints(monkeypatch, "tasks: 6", used_by_others=1.1)
    benches.run("tasks", busy=True)
    assert read((folder / "tasks.txt").read_text()).about.endswith(benches.MUCH)


@pytest.mark.parametrize(("cores", "is_much"), [(1.0, False), (1.01, True)])
def test_more_than_a_quarter_of_the_cores_is_much(cores: float, is_much: bool) -> None:
    assert (benches.MUCH in benches.others_used(cores, 4)) == is_much


@pytest.mark.parametrize(
    ("file", "changes"),
    [("tools/memory.py", " and changes"), ("docs/performance.md", ""), ("README.md", "")],
    ids=["code", "the page", "the README"],
)
def test_a_run_names_its_commit_and_whether_the_code_was_changed(
    file: str, changes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benches, "ROOT", tmp_path)
    for command in (["init", "--quiet"], [*AS_SOMEBODY, "commit", "--quiet", "--allow-empty", "-m", "begin"]):
        subprocess.run(["git", *command], check=True, cwd=tmp_path)  # noqa: S603, S607
    (tmp_path / file).parent.mkdir(exist_ok=True)

    (tmp_path / file).write_text("changed")

    assert re.fullmatch(f"[0-9a-f]{{7,}}{changes}", benches.commit())


def test_without_git_a_run_says_that_its_commit_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches, "ROOT", tmp_path)

    with pytest.raises(benches.BenchError, match="git doesn't say which commit is measured"):
        benches.commit()


def test_a_bench_gets_the_arguments_that_are_given_for_it() -> None:
    assert benches.arguments(["load=--seconds 60", "idle="], ["load", "idle", "tasks"]) == {
        "load": "--seconds 60",
        "idle": "",
    }


@pytest.mark.parametrize(
    "given",
    [["load"], ["saga=--rounds 1"], ["load=--seconds 60", "load=--seconds 5"]],
    ids=["no =", "not run", "twice"],
)
def test_arguments_for_no_bench_that_is_run_are_refused(given: list[str]) -> None:
    with pytest.raises(typer.BadParameter, match="once for a bench that is run"):
        benches.arguments(given, ["load"])


# --- what is kept ---


def test_the_page_has_what_was_printed() -> None:
    page = PAGE.read_text()

    assert filled(page, benches.printed()) == page, 'run `make performance ARGS="--page-only"`'


def test_each_bench_was_run() -> None:
    assert [name for name in benches.BENCHES if not (benches.FOLDER / f"{name}.txt").exists()] == []


def test_the_readme_has_three_of_the_printed_figures() -> None:
    readme = README.read_text()

    assert with_figures(readme, benches.printed()) == readme, 'run `make performance ARGS="--page-only"`'
    assert "`make bench-saga`" in readme.partition("<!-- begin: figures -->")[2].partition("<!-- end: figures -->")[0]


def test_a_figure_of_the_readme_that_nobody_printed_is_an_error() -> None:
    printed = benches.printed()
    without = Printed("", [Table(["", "product"], [["all", "20"]])], "saga: 20")

    with pytest.raises(NotPrintedError, match="no row 'services' among all"):
        with_figures(README.read_text(), {**printed, "saga": without})


RARE = 0.25
"""Statements an order: what comes less often is by chance in one run and not in another."""


def test_the_page_shows_the_same_hops_as_the_price_that_is_gated() -> None:
    hops = benches.printed()["price"].tables[1]
    shown = {(service, hop) for service, hop, often, _ in hops.rows if float(often) >= RARE}
    gated = read_baseline().counts.items()

    counted = {(service, hop) for service, counts in gated for hop, often in counts.hops.items() if often >= RARE}
    assert shown == counted, """run `make performance ARGS='--given "price=--write-baseline" price'`"""
