"""What the README shows works as it stands there; tracked sessions and documents: tests/journey, tests/contract."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from backing_services.faults import FaultError, SmallDisk
from backing_services.faults.proxies import program
from backing_services.kafka import apache
from backing_services.plugin import not_available
from backing_services.processes import ManagedProcess, ProcessSpec, free_port

from ..conftest import Project
from ..snippets import files, perform, snippet

README = Path(__file__).parents[2] / "README.md"
FILES = files(README)
USES_A_PRIVATE_DATABASE = """
import pytest
from backing_services.postgres import connected

@pytest.mark.private_database
async def test_a_column_more(database_url):
    async with connected(database_url) as connection:
        await connection.execute("alter table orders add column total int")

async def test_the_others_do_not_see_it(database_url):
    async with connected(database_url) as connection:
        columns = "select count(*) from information_schema.columns where table_name = 'orders'"
        assert await connection.fetchval(columns) == 1
"""


def test_the_minimal_example(project: Project) -> None:
    run = project({**FILES}, "-p", "no:cacheprovider")

    assert set(FILES) == {"conftest.py", "tests/integration/test_orders.py", "pytest.ini"}
    assert run.status == 0, run.text
    run.lines.fnmatch_lines(["*1 passed*"])


def test_a_database_of_a_tests_own(project: Project) -> None:
    shared = FILES["conftest.py"]
    conftest = shared[: shared.index("@pytest.fixture\nasync def database_url")] + snippet(README, "isolation.of_test")

    run = project({**FILES, "conftest.py": conftest, "tests/integration/test_ddl.py": USES_A_PRIVATE_DATABASE})

    assert run.status == 0, run.text
    run.lines.fnmatch_lines(["*3 passed*"])


async def test_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    names = await perform(snippet(README, "EmbeddedPostgres(durable=True"), {"Path": Path})

    assert await names["server"].database_exists("postgres")
    names["server"].close()


async def test_the_mock_of_kafka() -> None:
    mock, _ = snippet(README, "with MockKafka()").split("with ApacheKafka()")

    await perform(mock, {})


@pytest.mark.real_kafka
async def test_apache_kafka() -> None:
    if reason := apache.why_unavailable():
        not_available("kafka", reason)
    imported, rest = snippet(README, "with MockKafka()").split("\n\nwith MockKafka()")

    await perform(imported + "\n\nwith ApacheKafka()" + rest.split("with ApacheKafka()")[1], {})


async def test_faults(tmp_path: Path) -> None:
    """On a machine with Toxiproxy that lets us mount a disk."""
    try:
        program()
        with SmallDisk(2**20):
            pass
    except FaultError as error:
        not_available("faults", str(error))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    done: list[str] = []

    async def kill(*_: Any) -> str:
        done.append("kill")
        return "killed"

    async def outage(*_: Any) -> str:
        done.append("outage")
        return "away and back"

    names: dict[str, Any] = {
        "ProcessSpec": ProcessSpec,
        "server": type("Server", (), {"port": server.sockets[0].getsockname()[1]}),
        "command": ["true"],
        "log": tmp_path / "log",
        "kill": kill,
        "outage": outage,
        "told": lambda *_: None,
    }
    await perform(snippet(README, "Toxiproxy").replace("over=60", "over=0.1"), names)

    assert sorted(done) == ["kill"] * 10 + ["outage"] * 2
    server.close()


async def test_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server stands for the service."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "health").mkdir()
    (tmp_path / "health" / "ready").touch()
    port = free_port()
    code = snippet(README, "Supervisor(on_restart=print)")
    served = code.replace('"-m", "orders"', f'"-m", "http.server", "{port}", "--bind", "127.0.0.1"')
    assert served != code

    names = await perform(served, {"sys": sys, "Path": Path, "url": f"http://127.0.0.1:{port}"})

    assert isinstance(names["orders"], ManagedProcess)
