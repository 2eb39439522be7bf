"""libpq's variables, such as PGPORT, PGSSLMODE and PGDATESTYLE: kept away from a server that is started here."""

import os
import re

_VARIABLE = re.compile("PG[A-Z]+")


def forget_libpq_variables() -> None:
    """Remove libpq's variables from the environment of this process: they are about another server.

    Every client obeys them where a url is silent, and so do the programs that are started from here, the server itself
    included. No url can say all that they change: asyncpg has no parameter in place of PGSSLCERT or PGSSLNEGOTIATION.
    """
    for name in filter(_VARIABLE.fullmatch, list(os.environ)):
        del os.environ[name]
