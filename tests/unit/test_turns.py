"""How the benches compare kinds of work that take turns."""

import os

import pytest

from tools.measuring.turns import Turn, Watch, cost_table, in_own_process, in_turns, ratio


def burn(items: int) -> Turn:
    """At least a hundredth of a second of CPU, in the process that it names by its items."""
    watch = Watch()
    while watch.turn(items).cpu < 0.01:
        pass
    return watch.turn(os.getpid())


def turn(microseconds: float, seconds: float = 2.0) -> Turn:
    return Turn(1000, seconds, microseconds / 1000)


def test_a_turn_tells_the_cost_of_an_item_and_the_rate() -> None:
    assert turn(50.0).microseconds == pytest.approx(50.0)
    assert turn(50.0).rate == pytest.approx(500.0)


def test_a_ratio_is_that_of_the_cheapest_turns() -> None:
    turns = {"ours": [turn(30), turn(90), turn(50)], "by hand": [turn(80), turn(20), turn(10)]}

    assert ratio(turns, "ours", "by hand") == pytest.approx(3.0)


def test_the_kinds_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def work(name: str) -> Turn:
        order.append(name)
        return turn(len(order))

    turns = in_turns({"a": lambda: work("a"), "b": lambda: work("b")}, 2)

    assert order == ["a", "b", "a", "b"]
    assert [each.microseconds for each in turns["b"]] == pytest.approx([2, 4])
    assert capsys.readouterr().out == "a: 1 µs\nb: 2 µs\na: 3 µs\nb: 4 µs\n"


def test_the_table_has_a_line_for_each_kind() -> None:
    turns = {"ours": [turn(30), turn(50)], "by hand": [turn(10), turn(10)]}

    table = cost_table(turns, to="by hand", item="an event", title="")

    assert [[*column.cells] for column in table.columns] == [
        ["ours", "by hand"],
        ["40", "10"],
        ["30", "10"],
        ["3.00", "1.00"],
        ["500", "500"],
    ]


def test_a_turn_of_its_own_process_measures_that_process() -> None:
    measured = in_own_process(burn, 1)

    assert measured.items != os.getpid()
    assert 0.01 <= measured.cpu < 1.0
