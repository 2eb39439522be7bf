"""Which statements would read a large table to its end, by PostgreSQL's own plan."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation, PostgresServer
from backing_services.postgres import plans as plans_module
from backing_services.postgres.plans import Plans, WholeReadError
from backing_services.postgres.server import connected
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SCHEMA = """
create type mood as enum ('glad', 'sad');
create table owners (id uuid primary key, name text not null unique check (name <> ''), mood mood not null);
create table pets (
    id bigint generated always as identity primary key,
    owner uuid not null references owners,
    name varchar(40) not null,
    tags text[] not null,
    weight numeric(6, 2) not null,
    chip jsonb not null,
    born timestamptz not null,
    ill_since timestamptz
);
create index pets_owner on pets (owner);
create index pets_born on pets (born);
create index "Pets ill" on pets (ill_since) where ill_since is not null;
create table vets (name text not null);
create table "Odd Name" (id int primary key, "group" int not null);
create domain email as text not null check (value like '%@%');
create table letters (address email primary key);
create table moods (mood mood primary key);
create table stays (at int4range, mood mood, from_where inet, primary key (at, mood, from_where));
create table animals (id int primary key check (id > 0));
create table birds (wings int not null) inherits (animals);
create schema "Else where";
create table "Else where".cats (id int primary key, lives int not null);
create table cats (id int primary key, lives int not null);
create index cats_lives on cats (lives);
create table kinds (id int primary key, name text not null, family text not null);
create index kinds_family on kinds (family);
insert into kinds select id, 'kind ' || id, 'dogs' from generate_series(0, 99) as ids (id);
create table visits (id int, year int check (year > 2000), primary key (id, year)) partition by range (year);
create table visits_of_2026 partition of visits for values from (2026) to (2027);
create table bills (id int primary key, visit int, year int, foreign key (visit, year) references visits);
create materialized view weights as select id, weight from pets;
create index weights_weight on weights (weight);
"""

GOOD = {
    "a key": "select * from pets where id = 7",
    "an index": "select * from pets where owner = '00000000-0000-0000-0000-000000000001' order by name",
    "a range": "delete from pets where born < (select clock_timestamp() - interval '1 year')",
    "a partial index": "select count(*) from pets where ill_since is not null",
    "as many rows as asked for": "select id from pets where true order by id limit 10",
    "whether there is any": "select exists (select 1 from pets where id > 0)",
    "a join by keys": "select * from pets join owners on owners.id = pets.owner where pets.id = 7",
    "an array of keys": "delete from pets using unnest(array[1, 2]::bigint[]) as ids (id) where pets.id = ids.id",
    "a key of a domain": "select * from letters where address = 'ada@example.com'",
    "a key without a value that is known": "select * from stays where at = '[1,2)' and mood = 'sad'",
    "what migrations wrote, all of one kind": "select name from kinds where family = 'dogs'",
    "a partition, which is left out": "select * from visits where year = 2026 and id = 1",
    "a materialized view, which is left out": "select * from weights where weight = 9",
    "a conflict": "insert into owners values (gen_random_uuid(), 'ada', 'glad') on conflict (name) do nothing",
}
WHOLE = {
    "a condition without an index": ("select * from pets where name = 'Rex'", "pets (Seq Scan, ((name)::text"),
    "a function that may change meanwhile": ("select * from pets where born < clock_timestamp()", "pets (Seq Scan"),
    "an order by the key, and a condition without an index": (
        "select * from pets where name = 'Rex' order by id limit 1",
        "pets (",
    ),
    "a few by a function that may change meanwhile": (
        "select id from pets where born < clock_timestamp() - interval '1 year' limit 10",
        "pets (Seq Scan",
    ),
    "more than a partial index finds": (
        "select * from pets where ill_since is not null and weight > 9",
        "pets (Index Scan",
    ),
    "whether there is any of few": ("select exists (select 1 from pets where name = 'Rex')", "pets (Seq Scan"),
    "more than one value, under a name": (
        "with heavy as materialized (select * from pets where weight > 9) select count(*) from heavy",
        "pets (Seq Scan",
    ),
    "a limit above an order without an index": ("select * from pets where true order by weight limit 10", "pets (Seq"),
    "a limit above a hash of all": (
        "select * from pets join (select weight from pets where true) as heavy using (weight) limit 10",
        "pets (Seq Scan",
    ),
    "a join without an index": (
        "select * from vets join pets on pets.name = vets.name where vets.name = 'ada'",
        "pets (Seq Scan",
    ),
}


@pytest.fixture(scope="module")
async def pets(postgres_server: PostgresServer) -> AsyncIterator[DatabaseIsolation]:
    async def migrate(url: str) -> None:
        async with connected(url) as connection:
            await connection.execute(SCHEMA)

    isolation = await DatabaseIsolation.create(postgres_server, name="pets", fingerprint="1", migrate=migrate)
    yield isolation
    await isolation.close()


@pytest.fixture(scope="module")
async def plans(pets: DatabaseIsolation) -> AsyncIterator[Plans]:
    async with Plans.of(pets, small=["vets"]) as plans:
        yield plans


@pytest.fixture
async def engine(pets: DatabaseIsolation, plans: Plans) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(pets.url)
    plans.hear(engine)
    yield engine
    await engine.dispose()
    await pets.clean()


@pytest.mark.parametrize("what", GOOD)
async def test_what_is_found_by_an_index_reads_no_table_whole(plans: Plans, what: str) -> None:
    assert await plans.read_whole(GOOD[what]) == []


@pytest.mark.parametrize("what", WHOLE)
async def test_what_no_index_finds_reads_a_table_whole(plans: Plans, what: str) -> None:
    statement, told = WHOLE[what]
    [whole] = await plans.read_whole(statement)

    assert whole.startswith(told)


async def test_values_are_the_planners_to_look_at(plans: Plans) -> None:
    statement = "select id from pets where true order by id limit $1"

    assert await plans.read_whole(statement, ["'10'"]) == []
    assert await plans.read_whole("select * from pets where name = $1", ["'it''s'"])


async def test_a_table_that_is_small_may_be_read_whole(plans: Plans) -> None:
    assert await plans.read_whole("select * from vets where name = 'ada'") == []


async def test_what_an_engine_executes_is_refused_once_with_what_to_do(engine: AsyncEngine, plans: Plans) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("select * from pets where chip = :chip"), {"chip": "{}"})
        await connection.execute(sa.text("select * from pets where id = 7"))

    with pytest.raises(
        WholeReadError, match=r"1,000,000 rows .* reads pets \(Seq Scan, .* where chip = \$1.*\nAdd an ind"
    ):
        await plans.refuse_whole_reads()
    await plans.refuse_whole_reads()


async def test_all_that_a_test_executed_is_refused_at_once(engine: AsyncEngine, plans: Plans) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("select * from pets where weight = 1"))
        await connection.execute(sa.text("select * from pets where weight = 2"))

    with pytest.raises(WholeReadError, match=r"(?s)where weight = 1\n.*where weight = 2\nAdd an index"):
        await plans.refuse_whole_reads()
    await plans.refuse_whole_reads()


@pytest.mark.parametrize(
    "statement",
    [
        "/* of: orders */ select * from pets where weight = 3",
        "-- the heavy ones\nselect * from pets where weight = 3",
        "(select * from pets where weight = 3) union (select * from pets where weight = 4)",
        "merge into pets using vets on pets.name = vets.name when matched then delete",
    ],
)
async def test_however_a_statement_begins_it_is_heard(engine: AsyncEngine, plans: Plans, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text(statement.replace(":", "\\:")))

    with pytest.raises(WholeReadError, match="reads pets"):
        await plans.refuse_whole_reads()


async def test_what_only_the_test_has_is_not_judged(engine: AsyncEngine, plans: Plans) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("create temporary table mine (id int) on commit drop"))
        await connection.execute(sa.text("select * from mine where id = 1"))
        await connection.execute(sa.text("set local pets.owner = 'ada'"))
        await connection.execute(sa.text("select * from vets where name = current_setting('pets.owner')"))

    await plans.refuse_whole_reads()


async def test_names_are_looked_up_in_the_schemas_of_the_connection(pets: DatabaseIsolation, plans: Plans) -> None:
    async def heard(search_path: str) -> None:
        engine = create_async_engine(pets.url, connect_args={"server_settings": {"search_path": search_path}})
        plans.hear(engine)
        async with engine.connect() as connection:
            await connection.execute(sa.text("select * from cats where lives = 9"))
        await engine.dispose()

    await heard("public")  # which has an index for it
    await heard('"Else where", public')

    with pytest.raises(WholeReadError, match="reads cats"):
        await plans.refuse_whole_reads()


async def test_an_engine_that_can_not_be_heard_is_refused(pets: DatabaseIsolation, plans: Plans) -> None:
    with pytest.raises(TypeError, match="engine of psycopg can't be heard, only one of asyncpg"):
        plans.hear(create_async_engine(pets.url.replace("+asyncpg", "+psycopg")))


async def test_what_is_let_through_and_what_asks_for_all_is_not_refused(engine: AsyncEngine, plans: Plans) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("select count(*) from pets"))
        await connection.execute(sa.text("update pets set tags = '{}'"))
        await connection.execute(sa.text("select id from pets where weight > 3"))

    await plans.refuse_whole_reads(["from pets where weight"])


async def test_another_role_than_a_superuser_hears_nothing_and_is_refused_nothing(
    pets: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans_module, "MAY_PRETEND", "select false")
    engine = create_async_engine(pets.url)
    async with Plans.of(pets) as plans, engine.connect() as connection:
        plans.hear(engine)
        await connection.execute(sa.text("select * from pets where weight > 3"))
        await plans.refuse_whole_reads()

        assert await plans.read_whole("select * from pets where weight > 3") == ()
    await engine.dispose()
