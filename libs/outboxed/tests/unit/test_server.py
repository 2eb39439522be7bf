"""uvicorn's loop as a service runs it: woken once a second, and ended at once."""

import asyncio

import pytest
from backing_services.waiting import eventually
from fastapi import FastAPI
from outboxed._compat import uvicorn
from outboxed._compat.uvicorn import HttpLimits, Server, config


@pytest.fixture
def server() -> Server:
    """Without sockets."""
    of_nothing = config(FastAPI(), HttpLimits())
    of_nothing.load()
    return Server(of_nothing)


def headers(server: Server) -> list[bytes]:
    return [name for name, _ in server.server_state.default_headers]


async def test_a_server_that_is_told_exits_before_it_would_look_by_itself(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn, "DATE_SECONDS", 3600.0)
    running = asyncio.create_task(server.main_loop())
    await eventually(lambda: bool(headers(server)))

    server.exit()
    await eventually(running.done)


async def test_the_date_of_the_answers_goes_with_the_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "DATE_SECONDS", 0.001)
    running = asyncio.create_task(server.main_loop())
    await eventually(lambda: bool(headers(server)))

    server.server_state.default_headers = []
    await eventually(lambda: bool(headers(server)))
    server.exit()
    await running

    assert headers(server) == [b"date", b"server"]
