"""The page about performance has what the benches printed."""

import pytest

from tools.performance import benches
from tools.performance.page import PAGE, filled
from tools.performance.printed import NotPrintedError, Printed, Table, read

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


def test_the_page_has_what_was_printed() -> None:
    page = PAGE.read_text()

    assert filled(page, benches.printed()) == page, 'run `make performance ARGS="--page-only"`'


def test_each_bench_was_run() -> None:
    assert [name for name in benches.BENCHES if not (benches.FOLDER / f"{name}.txt").exists()] == []
