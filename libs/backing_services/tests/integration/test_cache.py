import os
import tempfile
from pathlib import Path

import pytest
from backing_services._cache import cache_folder, fetch_command, published


@pytest.fixture(autouse=True)
def no_given_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKING_CACHE", raising=False)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKING_CACHE", str(tmp_path))

    assert cache_folder() == tmp_path


def test_the_cache_is_in_the_home_folder_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder() == tmp_path / ".cache/backing-services"


@pytest.mark.parametrize("home", ["", "/dev/null/home"])  # which not even root can make
def test_the_cache_is_a_temporary_folder_where_there_is_no_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert cache_folder().parent == tmp_path


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("no_home")
def test_a_temporary_cache_is_its_owners_alone() -> None:
    """What is in it is run."""
    assert cache_folder().stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("no_home")
def test_a_temporary_cache_that_another_user_has_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # not the owner of what is made

    with pytest.raises(PermissionError, match="belongs to another user; set BACKING_CACHE"):
        cache_folder()


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    target = tmp_path / "there" / "target"

    published(target, lambda folder: (folder / "file").touch())
    published(target, lambda _: pytest.fail("built again"))

    assert [path.name for path in target.iterdir()] == ["file"]


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        published(tmp_path / "target", fail)

    assert list(tmp_path.iterdir()) == []


def test_of_two_that_build_at_once_the_first_wins_and_the_second_uses_its_work(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def overtaken(folder: Path) -> None:
        published(target, lambda first: (first / "first").touch())
        (folder / "second").touch()

    published(target, overtaken)

    assert [path.name for path in target.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_program_that_cannot_be_fetched_ends_the_command_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    class RefusedError(Exception): ...

    def fetch() -> Path:
        raise RefusedError("no archive of this name")

    with pytest.raises(SystemExit) as ended:
        fetch_command(fetch, RefusedError)
    fetch_command(lambda: Path("program"), RefusedError)

    assert ended.value.code == "no archive of this name"
    assert capsys.readouterr().out == "program\n"
