"""deploy/postgres/create-databases.sh on a real server: each service is alone in its own database."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from backing_services.postgres import EmbeddedPostgres
from backing_services.postgres.installation import find_installation

SCRIPT = Path(__file__).parents[2] / "deploy/postgres/create-databases.sh"
PASSWORDS = {"orders": "a'b\"c $d", "payments": "p/q@r"}
SERVICES = tuple(PASSWORDS)
RIGHTS = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(port=0) as server:
        assert run_script(server) == 0
        yield server


def run_script(server: EmbeddedPostgres, *, user: str = "postgres") -> int:
    programs = find_installation().folder / "bin"
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": user,
        **{f"{name.upper()}_DATABASE_PASSWORD": password for name, password in PASSWORDS.items()},
    }
    return subprocess.run(["bash", str(SCRIPT)], env=environment, check=False).returncode  # noqa: S603, S607


async def connect(server: EmbeddedPostgres, role: str, database: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(host="127.0.0.1", port=server.port, user=role, database=database)


MEMBERSHIPS = """
select count(*) from pg_auth_members join pg_roles on pg_roles.oid in (member, roleid) where rolname = $1
"""


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_has_nobody_elses_rights_and_nobody_has_its_own(server: EmbeddedPostgres, service: str) -> None:
    async with server.administration() as connection:
        memberships = await connection.fetchval(MEMBERSHIPS, service)

    assert memberships == 0


def test_no_password_is_told(server: EmbeddedPostgres, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_script(server) == 0

    said = "".join(capfd.readouterr())
    assert [password for password in PASSWORDS.values() if password in said] == []
    assert said == ""


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_owns_its_database_and_nothing_more(server: EmbeddedPostgres, service: str) -> None:
    connection = await connect(server, service, service)
    try:
        await connection.execute("create table of_its_own (id int)")
        rights = await connection.fetchrow(f"select {RIGHTS} from pg_roles where rolname = $1", service)  # noqa: S608
    finally:
        await connection.close()

    assert rights is not None
    assert not any(rights.values())


@pytest.mark.parametrize("database", ["postgres", "template1", "payments"])
async def test_a_service_is_let_into_no_other_database(server: EmbeddedPostgres, database: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connect(server, "orders", database)


async def test_each_role_has_the_password_that_is_set_now_however_it_is_written(server: EmbeddedPostgres) -> None:
    async with server.administration() as connection:
        before = await connection.fetchval("select rolpassword from pg_authid where rolname = 'orders'")

    assert run_script(server) == 0  # what is there already is kept

    async with server.administration() as connection:
        again = await connection.fetchval("select rolpassword from pg_authid where rolname = 'orders'")
    assert before.startswith("SCRAM-SHA-256$")
    assert again != before  # the same password with a new salt


async def test_a_role_that_may_make_no_database_fails_the_script(server: EmbeddedPostgres) -> None:
    async with server.administration() as connection:
        await connection.execute("create role nobody login; grant connect on database postgres to nobody")

    assert run_script(server, user="nobody") != 0
