"""`python -m shop_console`: the console as a process, and a story in the terminal."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping

import pytest
from backing_services.processes import ManagedProcess, free_port
from backing_services.waiting import eventually
from shop_harness.system import System

from .conftest import Place


@pytest.fixture(scope="session")
async def console(system: System) -> ManagedProcess:
    """The console that `make up` starts; the system ends it."""
    return await system.start_console()


async def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shop_console",
        *arguments,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


@pytest.fixture
def at(system: System, console: ManagedProcess) -> Mapping[str, str]:  # noqa: ARG001 - it has to run
    return {"CONSOLE_URL": system.ports.url("console")}


async def test_a_story_is_told_in_the_terminal_as_json_and_in_mermaid(at: Mapping[str, str], place: Place) -> None:
    order_id = await place()

    async def told() -> str:
        status, out, error = await run("story", order_id, **at)
        assert (status, error) == (0, "")
        return out if "Your order is confirmed" in out else ""

    table = await eventually(told)

    assert table.startswith(f"{order_id}: CONFIRMED of ada@example.com")
    assert "task: charge, attempt 1" in table
    _, document, _ = await run("story", "--json", order_id, **at)
    assert json.loads(document)["money"]["charged"] == "95.00"
    _, diagram, _ = await run("story", "--mermaid", order_id, **at)
    assert diagram.startswith("sequenceDiagram\n    actor p0 as customer\n")


async def test_an_unknown_order_is_one_line(at: Mapping[str, str]) -> None:
    status, out, error = await run("story", "7", **at)

    assert (status, out, error) == (2, "", "console: nobody knows the order 7\n")


async def test_a_wrong_login_is_one_line(at: Mapping[str, str]) -> None:
    status, _, error = await run("story", "7", **at, CONSOLE_PASSWORD="wrong")

    told = "refuses the login of operator@shop.example: set CONSOLE_EMAIL and CONSOLE_PASSWORD\n"
    assert (status, error) == (2, f"console: {at['CONSOLE_URL']} {told}")


async def test_where_no_console_runs_is_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    status, _, error = await run("story", "7", CONSOLE_URL=url)

    told = f"console: no console answers at {url} (ConnectError): start it with `make up`, or set CONSOLE_URL\n"
    assert (status, error) == (2, told)


async def test_a_wrong_setting_is_one_line() -> None:
    status, _, error = await run("run", CONSOLE_SERVICES="x")

    assert (status, error) == (2, "console: CONSOLE_SERVICES: must be JSON\n")
