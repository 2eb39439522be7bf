"""The file that a running `make up` leaves for other commands."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from shop_demo.one_service import said_of, variables_for
from shop_demo.running import VARIABLE, Running, RunningError, file_of_up, read_running, up_file

VALUES = {"PAYMENTS_DATABASE_URL": "postgresql+asyncpg://a:b'c $d@[::1]:1/x?y=z", "PAYMENTS_HTTP_PORT": "8001", "E": ""}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "deep" / "shop.env"))
    return file_of_up()


def killed(variables: Mapping[str, str]) -> Running:
    return Running(Path("shop.env"), variables, is_over=True)


def test_nothing_runs_where_there_is_no_file() -> None:
    assert read_running() is None


def test_what_is_written_is_read_while_it_runs_and_gone_afterwards(file: Path) -> None:
    with up_file() as mine:
        mine.write(VALUES)
        running = read_running()

    assert running == Running(file, VALUES, is_over=False)
    assert not file.exists()


def test_only_its_owner_may_read_it_whoever_made_it(file: Path) -> None:
    file.parent.mkdir()
    file.touch(mode=0o644)

    with up_file() as mine:
        mine.write(VALUES)
        assert file.stat().st_mode & 0o777 == 0o600


def test_while_it_starts_nothing_is_used() -> None:
    with up_file(), pytest.raises(RunningError, match=r"^`make up` is still starting .*: wait until it prints"):
        read_running()


def test_a_second_one_needs_a_file_of_its_own(file: Path) -> None:
    with up_file() as mine:
        mine.write(VALUES)
        with pytest.raises(RunningError, match=f"has {file}: end it, or set {VARIABLE}"), up_file():
            pass
        assert read_running() == Running(file, VALUES, is_over=False)


def test_what_a_killed_one_left_is_known_as_over_and_replaced_by_the_next(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("PAYMENTS_HTTP_PORT=1\n" + "LEFT=1\n" * 100)

    left = read_running()
    with up_file() as mine:
        mine.write({"PAYMENTS_HTTP_PORT": "2"})
        running = read_running()

    assert left == Running(file, {"PAYMENTS_HTTP_PORT": "1", "LEFT": "1"}, is_over=True)
    assert running == Running(file, {"PAYMENTS_HTTP_PORT": "2"}, is_over=False)


@pytest.mark.parametrize(
    ("arguments", "port"),
    [([], "0"), (["--role", "worker"], "0"), (["run"], "0"), (["doctor"], "8001"), (["dead-letters", "list"], "8001")],
)
def test_a_second_process_listens_elsewhere_and_a_command_knows_the_first_ones_port(
    file: Path, arguments: list[str], port: str
) -> None:
    assert variables_for("payments", arguments, Running(file, VALUES, is_over=False))["PAYMENTS_HTTP_PORT"] == port


def test_of_a_killed_one_nothing_is_used_and_that_is_said() -> None:
    assert variables_for("payments", [], killed(VALUES)) == {}
    assert said_of(killed(VALUES)).startswith("shop.env is of a `make up` that was killed: it isn't used")
