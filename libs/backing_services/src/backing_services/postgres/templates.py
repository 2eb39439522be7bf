"""Databases that are migrated once and copied from then on."""

from collections.abc import Awaitable, Callable

from backing_services.postgres.server import PostgresServer

Migrate = Callable[[str], Awaitable[None]]
LOCK = 0x7E57  # an advisory lock that serialises makers of templates; any number that nobody else takes


async def migrated_template(server: PostgresServer, *, name: str, fingerprint: str, migrate: Migrate) -> str:
    """Return the name of a database that `migrate(url)` has prepared, `<name>_test_template_<fingerprint>`.

    The template is made once for each server and fingerprint (such as a hash of the migrations), even if several
    processes ask at once. `migrate` must close its connections. If it raises, the error comes through and no template
    remains.
    """
    template = f"{name}_test_template_{fingerprint}"
    if await server.database_exists(template):
        return template
    async with server.administration() as connection:
        await connection.execute(f"select pg_advisory_lock({LOCK})")  # until the connection closes
        if not await server.database_exists(template):
            await _build(server, template, migrate)
    return template


async def _build(server: PostgresServer, template: str, migrate: Migrate) -> None:
    """Migrate under another name, so that a template with its final name is complete."""
    unfinished = f"{template}_new"
    await server.drop_database(unfinished)
    await server.create_database(unfinished)
    await migrate(server.url(unfinished))
    await server.rename_database(unfinished, template)
