"""Databases that are migrated once and copied ever after."""

from collections.abc import Awaitable, Callable

from backing_services.postgres.server import PostgresServer

Migrate = Callable[[str], Awaitable[None]]
LOCK = 0x7E57  # any number that nobody else takes: it serialises makers of templates


async def migrated_template(server: PostgresServer, *, name: str, fingerprint: str, migrate: Migrate) -> str:
    """Return the name of a database that `migrate(url)` has prepared, `<name>_test_template_<fingerprint>`.

    It is made once for each server and fingerprint (a hash of the migrations, say), however many processes ask at the
    same time. `migrate` closes its connections. Whatever it raises comes through, and no template remains.
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
    """Migrate under another name, so that a template which bears its name is complete."""
    unfinished = f"{template}_new"
    await server.drop_database(unfinished)
    await server.create_database(unfinished)
    await migrate(server.url(unfinished))
    await server.rename_database(unfinished, template)
