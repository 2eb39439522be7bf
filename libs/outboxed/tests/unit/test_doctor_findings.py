"""A look that fails is a finding: why, in one line, and what to do."""

import pytest
from outboxed.process._doctor._findings import Finding, looked_at
from sqlalchemy.exc import OperationalError


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OperationalError("select 1", {}, RuntimeError("the server\nis going down")), "the server is going down"),
        (LookupError(), "LookupError"),
    ],
)
async def test_what_keeps_a_look_from_its_answer_is_told_in_one_line(error: Exception, found: str) -> None:
    async def look() -> Finding:
        raise error

    assert await looked_at("database", look, do="start it") == Finding("database", "failed", found, "start it")
