"""The partner: each job once, and what goes wrong on demand."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from partner import Jobs, create_app


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(Jobs()))
    async with httpx.AsyncClient(transport=transport, base_url="http://partner") as client:
        yield client


async def ask(http: httpx.AsyncClient, key: str = "1") -> httpx.Response:
    return await http.put(f"/v1/jobs/{key}", json={"step": "DISPATCHED", "details": {"email": "ada@example.com"}})


async def jobs(http: httpx.AsyncClient) -> Any:
    return (await http.get("/_jobs")).json()["items"]


async def put_faults(http: httpx.AsyncClient, *faults: dict[str, Any]) -> None:
    (await http.put("/_faults", json={"faults": faults})).raise_for_status()


async def test_a_job_is_done_once_however_often_its_key_comes(http: httpx.AsyncClient) -> None:
    answers = [await ask(http) for _ in range(3)]

    assert [answer.json() for answer in answers] == [{"id": "job_1"}] * 3
    details = {"email": "ada@example.com"}
    assert await jobs(http) == [{"id": "job_1", "key": "1", "step": "DISPATCHED", "details": details}]


async def test_another_key_is_another_job(http: httpx.AsyncClient) -> None:
    assert (await ask(http, "1")).json() != (await ask(http, "2")).json()


async def test_a_fault_of_a_status_does_no_job_so_many_times(http: httpx.AsyncClient) -> None:
    await put_faults(http, {"action": "status", "status": 409, "times": 2})

    statuses = [(await ask(http)).status_code for _ in range(2)]
    done = await jobs(http)

    assert [*statuses, (await ask(http)).status_code] == [409, 409, 200]
    assert done == []


async def test_garbage_comes_after_the_job_was_done(http: httpx.AsyncClient) -> None:
    await put_faults(http, {"action": "garbage"})

    answer = await ask(http)

    assert answer.text == "no JSON"
    assert len(await jobs(http)) == 1


@pytest.mark.parametrize("body", [{}, {"step": "", "details": {}}, {"step": "x", "details": []}])
async def test_what_is_no_job_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.put("/v1/jobs/1", json=body)).status_code == 422


async def test_it_says_that_it_is_well(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health")).json() == {"status": "ok"}
