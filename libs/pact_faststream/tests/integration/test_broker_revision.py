"""Which version and branch are published: those of git, unless somebody says otherwise."""

import os
import subprocess
from pathlib import Path

import pytest
from pact_faststream.broker.revision import Revision, revision_to_publish, version_in_use
from pact_faststream.broker.settings import BrokerSettingError, load_settings

from ..broker_commands import set_only


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def clean(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL="http://broker.example", **own, **values)


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one commit of a repository in which the test runs, on the branch feat/x."""
    clean(monkeypatch)
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "feat/x")
    Path("code.py").write_text("")
    git("add", ".")
    git("commit", "--quiet", "--no-gpg-sign", "-m", "a commit")
    return git("rev-parse", "HEAD")


def test_the_version_is_the_commit_and_the_branch_is_gits(commit: str) -> None:
    assert revision_to_publish(load_settings()) == Revision(commit, "feat/x")


@pytest.mark.parametrize("file", ["code.py", "new.py"])
@pytest.mark.usefixtures("commit")
def test_a_changed_file_is_not_what_the_commit_says(file: str) -> None:
    Path(file).write_text("changed")

    with pytest.raises(BrokerSettingError, match=rf"not what the commit says \({file}\).*PACT_VERSION"):
        revision_to_publish(load_settings())


@pytest.mark.usefixtures("commit")
def test_a_version_that_somebody_named_counts_whatever_git_says(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("code.py").write_text("changed")
    clean(monkeypatch, PACT_VERSION="1.2.3", PACT_BRANCH="main")

    assert revision_to_publish(load_settings()) == Revision("1.2.3", "main")


def test_a_question_about_a_version_may_be_asked_beside_changed_files(commit: str) -> None:
    Path("code.py").write_text("changed")

    assert version_in_use(load_settings()) == commit


@pytest.mark.parametrize(
    ("ci", "branch"),
    [
        ({"GITHUB_HEAD_REF": "feat/y", "GITHUB_REF_NAME": "5/merge"}, "feat/y"),
        ({"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch"}, "main"),
        ({"GITHUB_REF_NAME": "5/merge", "PACT_BRANCH": "feat/z"}, "feat/z"),
        ({"GITHUB_REF_NAME": "gh-readonly-queue/main/pr-5-0a1b2c"}, "main"),
        ({"GITHUB_REF_NAME": "gh-readonly-queue/release/1.x/pr-17-0a1b2c"}, "release/1.x"),
        ({"GITHUB_REF_NAME": "gh-readonly-queue/not-one"}, "gh-readonly-queue/not-one"),
    ],
    ids=["pull request", "push", "said", "merge queue", "merge queue of a branch with a slash", "like a merge queue"],
)
def test_where_ci_checked_out_a_commit_its_variables_say_the_branch(
    commit: str, monkeypatch: pytest.MonkeyPatch, ci: dict[str, str], branch: str
) -> None:
    git("checkout", "--quiet", "--detach")
    clean(monkeypatch, **ci)

    assert revision_to_publish(load_settings()) == Revision(commit, branch)


@pytest.mark.parametrize("ci", [{}, {"GITHUB_REF_NAME": "v1.0", "GITHUB_REF_TYPE": "tag"}], ids=["nothing", "tag"])
@pytest.mark.usefixtures("commit")
def test_no_branch_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch, ci: dict[str, str]) -> None:
    git("checkout", "--quiet", "--detach")
    clean(monkeypatch, **ci)

    with pytest.raises(BrokerSettingError, match="PACT_BRANCH"):
        revision_to_publish(load_settings())


def test_outside_a_repository_the_version_must_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BrokerSettingError, match=r"git can't say the version .*PACT_VERSION"):
        version_in_use(load_settings())


def test_outside_a_repository_both_may_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch, GIT_CEILING_DIRECTORIES=str(tmp_path.parent), PACT_VERSION="1.2.3", PACT_BRANCH="main")
    monkeypatch.chdir(tmp_path)

    assert revision_to_publish(load_settings()) == Revision("1.2.3", "main")
