"""The PostgreSQL that `BACKING_POSTGRES=container` gives to tests, on the image that docker compose runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from backing_services.postgres import ContainerPostgres, PostgresStartError
from testcontainers.core.config import testcontainers_config

from .containers import ComposedShop

TAKES_LONG = "sleep 2"
"""Seconds of the initialisation, longer than it takes to see that its server is ready at its socket."""
FAILS = "echo 'no such tenant' >&2; exit 3"

Initialised = Callable[[str], Awaitable[ContainerPostgres]]


@pytest.fixture
async def initialised_by(
    shop: ComposedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Initialised]:
    """A PostgreSQL, not started yet, whose image runs a line of shell when it initialises."""
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)  # close() takes the container away
    [image] = (await shop.run("config", "--images", "postgres")).split()
    made: list[str] = []

    async def initialised_by(line: str) -> ContainerPostgres:
        (tmp_path / "init.sh").write_text(f"{line}\n")
        (tmp_path / "Dockerfile").write_text(f"FROM {image}\nCOPY init.sh /docker-entrypoint-initdb.d/\n")
        made.append((await shop.docker("build", "--quiet", str(tmp_path))).strip())
        monkeypatch.setenv("POSTGRES_IMAGE", made[-1])
        return ContainerPostgres()

    yield initialised_by
    await shop.docker("image", "rm", *made)


async def test_a_server_that_takes_long_to_initialise_is_waited_for(initialised_by: Initialised) -> None:
    with closing(await initialised_by(TAKES_LONG)) as server:
        await asyncio.to_thread(server.start)

        assert await server.database_exists("postgres")


async def test_a_server_that_ends_before_it_is_ready_says_what_it_logged(initialised_by: Initialised) -> None:
    with (
        closing(await initialised_by(FAILS)) as server,
        pytest.raises(PostgresStartError, match=r"ended: .*no such tenant"),
    ):
        await asyncio.to_thread(server.start)
