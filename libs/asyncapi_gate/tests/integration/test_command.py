"""`python -m asyncapi_gate gate`, which compares the work tree with a revision in git."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asyncapi_gate import written
from asyncapi_gate.__main__ import app
from typer.testing import CliRunner

from ..parcel import warehouse

FILE = Path("contracts/asyncapi/warehouse.json")
BROKEN = (
    "parcel.shipped.v1: weight: integer became string. Publish parcel.shipped.v2 beside it (docs/evolving-events.md)\n"
)


def made(**fields: Any) -> str:
    return written(warehouse(**fields))


@dataclass(frozen=True)
class Repository:
    """A repository in which the file of a parcel with a weight is committed."""

    folder: Path

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
        config = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        command = ["git", *identity, *arguments]
        subprocess.run(command, check=True, cwd=self.folder, capture_output=True, env=os.environ | config)  # noqa: S603

    def commit(self, text: str | None, file: Path = FILE) -> None:
        self.write(text, file)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a commit")

    def write(self, text: str | None, file: Path = FILE) -> None:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True) if text is None else path.write_text(text)


@dataclass(frozen=True)
class Gate:
    """The command, in this process and a folder: status, output, errors."""

    monkeypatch: pytest.MonkeyPatch
    folder: Path

    def __call__(self, *arguments: str, folder: Path = Path(), **environment: str) -> tuple[int, str, str]:
        with self.monkeypatch.context() as patch:
            patch.chdir(self.folder / folder)
            done = CliRunner().invoke(app, arguments, env=environment)
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path)
    repository.git("init", "--quiet", "--initial-branch", "main")
    repository.commit(made(weight=int))
    return repository


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, repository: Repository) -> Gate:
    return Gate(monkeypatch, repository.folder)


def test_a_breaking_change_is_a_line_and_status_1(repository: Repository, gate: Gate) -> None:
    repository.write(made(weight=str))

    assert gate("--against", "HEAD") == (1, BROKEN, "")


def test_a_breaking_change_that_was_committed_is_seen_from_before_it(repository: Repository, gate: Gate) -> None:
    repository.commit(made(weight=str))

    assert gate("--against", "HEAD~1") == (1, BROKEN, "")
    assert gate("--against", "HEAD") == (0, "no published event of HEAD is broken\n", "")


def test_an_event_that_main_gained_since_is_not_missed_on_a_branch(repository: Repository, gate: Gate) -> None:
    repository.git("branch", "feature")
    repository.commit(made(weight=int, carrier=str))
    repository.git("switch", "--quiet", "feature")

    assert gate("--against", "main")[0] == 0
    repository.write(made(weight=str))
    assert gate("--against", "main") == (1, BROKEN, "")


def test_a_revision_without_a_common_commit_is_one_clear_line_and_status_2(repository: Repository, gate: Gate) -> None:
    repository.git("switch", "--quiet", "--orphan", "elsewhere")
    repository.commit(None)

    status, _, errors = gate("--against", "main")

    assert (status, len(errors.splitlines())) == (2, 1)


def test_a_harmless_change_passes(repository: Repository, gate: Gate) -> None:
    repository.write(made(weight=int, carrier=str))

    assert gate("--against", "main")[0] == 0


def test_a_new_document_breaks_nobody(repository: Repository, gate: Gate) -> None:
    new = FILE.with_name("reception.json")
    repository.write(made(weight=str), new)

    assert gate("--against", "HEAD")[0] == 0
    assert gate("--against", "HEAD", str(new))[0] == 0


def test_a_folder_that_was_not_there_breaks_nobody(repository: Repository, gate: Gate) -> None:
    repository.commit(None)
    repository.write(made(weight=str))

    assert gate("--against", "HEAD")[0] == 0


@pytest.mark.parametrize("arguments", [[], [str(FILE)]])
def test_a_document_that_was_deleted_publishes_nothing_any_more(
    repository: Repository, gate: Gate, arguments: list[str]
) -> None:
    repository.write(None)

    status, output, _ = gate("--against", "HEAD", *arguments)

    assert (status, len(output.splitlines())) == (1, 1)
    assert output.startswith("parcel.shipped.v1: is no longer published. Mark it as deprecated first")


def test_a_file_that_is_named_is_compared_alone_from_whatever_folder(repository: Repository, gate: Gate) -> None:
    repository.commit(made(weight=int), FILE.with_name("reception.json"))
    repository.write(made(weight=str))
    repository.write(made(weight=str), FILE.with_name("reception.json"))

    assert gate("--against", "HEAD", FILE.name, folder=FILE.parent) == (1, BROKEN, "")
    assert gate("--against", "HEAD", str(repository.folder / FILE)) == (1, BROKEN, "")


@pytest.mark.parametrize("revision", ["nowhere", "HEAD~9", "-x", ""])
def test_an_unknown_revision_is_one_clear_line_and_status_2(gate: Gate, revision: str) -> None:
    status, output, errors = gate(f"--against={revision}")

    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert "git can't say what to compare with" in errors


def test_a_file_that_is_nowhere_is_one_clear_line_and_status_2(gate: Gate) -> None:
    assert gate("--against", "HEAD", "none.json") == (
        2,
        "",
        "asyncapi: there is no none.json, neither here nor at HEAD\n",
    )


def test_a_file_that_nobody_can_read_is_one_clear_line_and_status_2(repository: Repository, gate: Gate) -> None:
    repository.write("<<<<<<< ours")

    status, _, errors = gate("--against", "HEAD")

    assert status == 2
    assert errors.startswith("asyncapi: warehouse.json can't be read as an AsyncAPI document: ")
    repository.commit("<<<<<<< ours")
    assert gate("--against", "HEAD")[2].startswith("asyncapi: warehouse.json at HEAD can't be read")


def test_forms_that_nobody_can_meet_any_more_are_dropped(tmp_path: Path, gate: Gate) -> None:
    folder = tmp_path / "contracts/asyncapi/forms/warehouse/sent/parcel.shipped.v1"
    folder.mkdir(parents=True)
    for number, day in (("1", "2025-01-01"), ("2", "2025-02-01")):
        content = json.loads(made(weight=int))
        content["info"]["version"] = day
        (folder / f"{number}.json").write_text(json.dumps(content))

    dropped = "dropped contracts/asyncapi/forms/warehouse/sent/parcel.shipped.v1/1.json\n"
    assert gate("--drop-forms", "14") == (0, dropped, "")
    assert gate("--drop-forms", "14") == (0, "no form was followed more than 14 days ago\n", "")
    assert [path.name for path in folder.iterdir()] == ["2.json"]


@pytest.mark.parametrize("arguments", [[], ["--against", "HEAD", "--drop-forms", "14"]])
def test_it_compares_or_drops(gate: Gate, arguments: list[str]) -> None:
    assert gate(*arguments) == (2, "", "asyncapi: either --against or --drop-forms is needed\n")


def test_it_is_a_command(repository: Repository) -> None:
    repository.write(made(weight=str))

    command = [sys.executable, "-m", "asyncapi_gate", "--against", "HEAD"]
    done = subprocess.run(command, check=False, cwd=repository.folder, capture_output=True, text=True)  # noqa: S603

    assert (done.returncode, done.stdout) == (1, BROKEN)


def test_without_git_it_is_one_clear_line_and_status_2(gate: Gate) -> None:
    status, _, errors = gate("--against", "HEAD", PATH="/nonexistent")

    assert (status, len(errors.splitlines())) == (2, 1)
