"""libpq's variables are about another server, and never reach the one that is started here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import Project

VARIABLES = {
    "PGCLIENTENCODING": "nonsense",
    "PGDATABASE": "nowhere",
    "PGDATESTYLE": "nonsense",
    "PGGSSLIB": "nonsense",
    "PGHOST": "/nowhere",
    "PGPASSFILE": "/nowhere",
    "PGPORT": "5433",
    "PGSERVICE": "nowhere",
    "PGSSLCERT": "/nowhere",
    "PGSSLMODE": "require",
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "read-only",
    "PGUSER": "nobody",
}
"""Each alone ends the start of the server, or a client's connection, with an error."""
USES_POSTGRES = """
    import asyncio, os
    from backing_services.postgres import EmbeddedPostgres, connected

    async def one(url):
        async with connected(url) as connection:
            return await connection.fetchval("select 1")

    def test_it(postgres_server):
        assert asyncio.run(one(postgres_server.url("postgres"))) == 1
        assert not [name for name in os.environ if name.startswith("PG")]

    def test_a_server_of_its_own_changes_nothing_that_a_test_may_not_change():
        with EmbeddedPostgres() as server:
            assert asyncio.run(one(server.url("postgres"))) == 1
"""
STARTS_A_SERVER = """
import asyncio
from backing_services.postgres import EmbeddedPostgres
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

async def main(url):
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        print((await connection.execute(text("select current_user"))).scalar_one())
    await engine.dispose()

with EmbeddedPostgres({arguments}) as server:
    asyncio.run(main(server.url("postgres")))
"""


@pytest.mark.parametrize("arguments", ["", "port=0"])
def test_a_program_that_starts_a_server_is_not_led_elsewhere(arguments: str, tmp_path: Path) -> None:
    program = STARTS_A_SERVER.replace("{arguments}", arguments)

    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        env={**os.environ, **VARIABLES},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (0, "postgres\n"), done.stderr[-1000:]


# node-postgres#2195, pgsync#27: PGPORT or PGSSLMODE led the tests away from their own server
@pytest.mark.parametrize("chosen", ["-k its_own", ""])
def test_tests_on_the_embedded_server_do_not_see_them(project: Project, chosen: str) -> None:
    run = project({"tests/integration/test_x.py": USES_POSTGRES}, *chosen.split(), **VARIABLES)

    assert run.status == 0, run.text


def test_a_given_server_keeps_them(project: Project) -> None:
    keeps = "import os\ndef test_it():\n    assert os.environ['PGPASSWORD'] == 'kept'"
    given = {"TEST_DATABASE_URL": "postgresql://app@db.example/app_test", "PGPASSWORD": "kept"}

    assert project({"tests/integration/test_x.py": keeps}, **given).status == 0


def test_variables_that_only_begin_alike_stay(project: Project) -> None:
    stays = "import os\ndef test_it():\n    assert os.environ['PG_BROKER'] == 'kept'"

    assert project({"tests/integration/test_x.py": stays}, PG_BROKER="kept").status == 0
