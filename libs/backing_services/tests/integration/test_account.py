"""The embedded PostgreSQL where the user is a number without a name, as in many containers."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from backing_services.postgres import PostgresStartError, account
from backing_services.processes.parent_death import bound_to_this_process

NAMELESS = 1_000_650_000
START = """
from backing_services.postgres import EmbeddedPostgres
with EmbeddedPostgres() as server:
    print("runs")
"""


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_has_a_name", lambda _: False)


def name_of(named: account.Named) -> str:
    command = [*named.before, "id", "--user", "--name"]
    environment = {**os.environ, **named.environment}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()  # noqa: S603


def test_a_user_with_a_name_needs_nothing(tmp_path: Path) -> None:
    assert account.with_a_name(tmp_path) == account.Named()


@pytest.mark.skipif(not account._namespace(), reason="no user namespaces are allowed here")  # noqa: SLF001
@pytest.mark.usefixtures("nameless")
def test_a_user_without_a_name_is_nobody_in_a_namespace(tmp_path: Path) -> None:
    assert name_of(account.with_a_name(tmp_path)) == "nobody"


@pytest.mark.skipif(not account._can_be_loaded(account.NSS_WRAPPER), reason="libnss-wrapper is not installed")  # noqa: SLF001
@pytest.mark.usefixtures("nameless")
def test_where_no_namespace_is_allowed_nss_wrapper_gives_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_namespace", tuple)

    assert name_of(account.with_a_name(tmp_path)) == "postgres"


@pytest.mark.usefixtures("nameless")
def test_where_neither_is_there_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_namespace", tuple)
    monkeypatch.setattr(account, "NSS_WRAPPER", "libnowhere.so")

    with pytest.raises(PostgresStartError, match="install libnss-wrapper, add the user to /etc/passwd") as refused:
        account.with_a_name(tmp_path)

    assert "\n" not in str(refused.value)


# docker-library/postgres#359, zonky/embedded-postgres#81: "initdb: could not look up effective user ID"
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without a name")
def test_a_server_runs_as_somebody_without_a_name() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        os.chown(folder, NAMELESS, 0)
        environment = {**os.environ, "BACKING_CACHE": f"{folder}/cache", "TMPDIR": folder}
        command = bound_to_this_process([sys.executable, "-c", START], run_as=(NAMELESS, 0))

        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)  # noqa: S603

    assert (done.stdout, done.stderr) == ("runs\n", "")
