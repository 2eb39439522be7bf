"""A database URL: libpq's parameters become asyncpg's, and what neither can mean here is refused.

Everything that asyncpg would else take from libpq's variables (`PGHOST`, `PGSSLMODE`, ...) is given to it: a service is
configured by its own variables alone. It has no argument in place of PGSSLCERT and its like, which it reads with
`sslmode=prefer` and `allow`; so a service's process forgets them.
"""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from outboxed._compat.sqlalchemy import database_of
from outboxed.settings._addresses import join_address, parse_host, parse_number, parse_port, split_address
from outboxed.settings._files import check_ca_file, check_readable, check_system_authorities

DRIVER = "postgresql+asyncpg"
FORM = f"must be a URL such as {DRIVER}://user:password@host:5432/database"
POSTGRES_PORT = 5432
CONNECT_SECONDS = 5
LONGEST_CONNECT_SECONDS = 300
WITHOUT_DEMAND = ("disable", "allow", "prefer")
ENCRYPTED = ("require", "verify-ca", "verify-full")
WRITABLE = ("any", "primary", "read-write")
"""The other values of target_session_attrs lead to a server that takes no writes, which every service needs."""
STATEMENT_CACHES = ("prepared_statement_cache_size", "statement_cache_size")
"""SQLAlchemy's and asyncpg's."""
POOLERS = ("transaction",)
"""What a pooler such as PgBouncer gives to a client: a session for the time of one transaction."""
CERTIFICATES = ("sslrootcert", "sslcert", "sslkey")
KNOWN = frozenset(
    {
        "application_name",
        "connect_timeout",
        "host",
        "pooler",
        "port",
        "ssl",
        "sslmode",
        "target_session_attrs",
        *CERTIFICATES,
        *STATEMENT_CACHES,
    }
)
_LIBPQ_VARIABLE = re.compile(r"PG[A-Z]+")
_PARAMETER = re.compile(r"[a-z_]{1,40}")

Address = tuple[str, int]


def forget_libpq_variables() -> None:
    """Remove libpq's variables from the environment of this process."""
    for name in filter(_LIBPQ_VARIABLE.fullmatch, list(os.environ)):
        del os.environ[name]


@dataclass(frozen=True)
class Database:
    """Where a database is and how to reach it; a host that begins with a slash is the folder of a Unix socket.

    `connect_timeout` is in seconds. `encryption` is asyncpg's `ssl`: a mode, a context or False. `pooler` is one of
    POOLERS, or None where each connection has a session of its own.
    """

    addresses: tuple[Address, ...]
    name: str
    user: str
    password: str = field(repr=False)
    encryption: ssl.SSLContext | str | bool = field(default="prefer", compare=False)
    application_name: str | None = None
    connect_timeout: int = CONNECT_SECONDS
    target_session_attrs: str = "any"
    statement_caches: Mapping[str, int] = field(default_factory=dict)
    pooler: str | None = None

    @classmethod
    def parse(cls, url: "str | Database") -> "Database":
        """Raises ValueError, whose message names the parameter and never repeats a value."""
        return url if isinstance(url, Database) else _parse(url)

    @property
    def address(self) -> str:
        """For logs: where, without who."""
        return f"{','.join(join_address(*each) for each in self.addresses)}/{self.name}"

    @property
    def url(self) -> URL:
        """For SQLAlchemy, which also needs `connect_options`."""
        host, port = self.addresses[0]
        if len(self.addresses) == 1 and not host.startswith("/"):
            return URL.create(DRIVER, self.user, self.password or None, host, port, self.name)
        hosts, ports = zip(*self.addresses, strict=True)
        places = {"host": ",".join(hosts), "port": ",".join(map(str, ports))}
        return URL.create(DRIVER, self.user, self.password or None, database=self.name, query=places)

    def connect_options(self, **server_settings: str) -> dict[str, Any]:
        """Arguments of asyncpg.connect; the URL's application_name goes before that of the `server_settings`."""
        if self.application_name is not None:
            server_settings["application_name"] = self.application_name
        hosts, ports = zip(*self.addresses, strict=True)
        return {
            "host": list(hosts),
            "port": list(ports),
            "user": self.user,
            "password": self.password,
            "database": self.name,
            "ssl": self.encryption,
            "direct_tls": False,
            "gsslib": "gssapi",
            "krbsrvname": "postgres",
            "target_session_attrs": self.target_session_attrs,
            "timeout": self.connect_timeout,
            "server_settings": server_settings,
        }


def _parse(text: str) -> Database:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(FORM) from None
    if url.drivername != DRIVER or not url.username or not url.database:
        raise ValueError(FORM)
    query = _single(url.query)
    addresses = tuple(_addresses(url))
    modes = [query[name] for name in ("sslmode", "ssl") if name in query]
    caches = {name: _number(query, name, 0, 100_000, 0) for name in STATEMENT_CACHES if name in query}
    pooler = _one_of(query, "pooler", POOLERS, "") or None
    if pooler and (kept := [name for name, size in caches.items() if size]):
        raise ValueError(f"has the parameter pooler, with which {kept[0]} must be 0")
    over_network = any(not host.startswith("/") for host, _ in addresses)
    return Database(
        addresses=addresses,
        name=database_of(url) or "",
        user=url.username,
        password=str(url.password or ""),
        encryption=_ssl(modes, query) if over_network else _without_network(modes),
        application_name=query.get("application_name"),
        connect_timeout=_number(query, "connect_timeout", 1, LONGEST_CONNECT_SECONDS, CONNECT_SECONDS),
        target_session_attrs=_one_of(query, "target_session_attrs", WRITABLE, "any"),
        statement_caches=caches,
        pooler=pooler,
    )


def _single(query: Mapping[str, Any]) -> dict[str, str]:
    for name, value in query.items():
        if name not in KNOWN:
            shown = f"the parameter {name}" if _PARAMETER.fullmatch(name) else "a parameter"
            raise ValueError(f"has {shown}, which has no meaning here; it may have {', '.join(sorted(KNOWN))}")
        if not isinstance(value, str) and name not in {"host", "port"}:
            raise ValueError(f"has the parameter {name} twice")
    return {name: value for name, value in query.items() if isinstance(value, str)}


def _addresses(url: URL) -> Iterator[Address]:
    """Of the URL's own host, or of SQLAlchemy's and libpq's parameters `host` and `port`, which may be several."""
    hosts, ports = (_listed(url.query.get(name, ())) for name in ("host", "port"))
    if url.host:
        if hosts or ports:
            raise ValueError("has a host, and so must not have the parameters host and port")
        hosts, ports = [url.host], [str(url.port or POSTGRES_PORT)]
    if not hosts:
        raise ValueError(FORM)
    if len(ports) not in {0, 1, len(hosts)}:
        raise ValueError("has another number of ports than of hosts")
    for number, host in enumerate(hosts):
        yield _address(host, ports[number % len(ports)] if ports else "")


def _address(host: str, port: str) -> Address:
    try:
        own_port = ""
        if not host.startswith("/"):
            # as in libpq, an IPv6 address without a port of its own needs no brackets
            host, own_port = (host, "") if host.count(":") > 1 and "[" not in host else split_address(host)
            host = parse_host(host)
        return host, parse_port(own_port or port or str(POSTGRES_PORT))
    except ValueError as error:
        raise ValueError(f"{FORM}; its address {error}") from None


def _listed(value: str | tuple[str, ...]) -> list[str]:
    return [part for each in ((value,) if isinstance(value, str) else value) for part in each.split(",")]


def _ssl(modes: list[str], query: Mapping[str, str]) -> ssl.SSLContext | str | bool:
    mode = _ssl_mode(modes) or "prefer"
    if mode not in ENCRYPTED:
        if unused := [name for name in CERTIFICATES if name in query]:
            raise ValueError(f"has the parameter {unused[0]}, which needs an sslmode of {_or(ENCRYPTED)}")
        return False if mode == "disable" else mode
    return _ssl_context(mode, query)


def _without_network(modes: list[str]) -> bool:
    """As libpq does, a Unix socket ignores the mode."""
    _ssl_mode(modes)
    return False


def _ssl_mode(modes: list[str]) -> str | None:
    if len(modes) > 1:
        raise ValueError("has the parameters sslmode and ssl, which are one")
    if modes and modes[0] not in (*WITHOUT_DEMAND, *ENCRYPTED):
        raise ValueError(f"has the parameter sslmode or ssl, which must be {_or((*WITHOUT_DEMAND, *ENCRYPTED))}")
    return modes[0] if modes else None


def _ssl_context(mode: str, query: Mapping[str, str]) -> ssl.SSLContext:
    """What libpq's documentation, "SSL Support", says of each mode; without sslrootcert the system's authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    if (authorities := _file(query, "sslrootcert", check_ca_file)) is not None:
        context.load_verify_locations(cafile=authorities)
    elif mode == "verify-full":
        check_system_authorities()
        context.load_default_certs()
    elif mode == "verify-ca":
        raise ValueError("has sslmode=verify-ca, which needs the parameter sslrootcert")
    else:
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _file(query, "sslcert", check_readable), _file(query, "sslkey", check_readable)
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError):
            raise ValueError("has the parameters sslcert and sslkey, which are no certificate with its key") from None
    elif key is not None:
        raise ValueError("has the parameter sslkey, which needs sslcert")
    return context


def _file(query: Mapping[str, str], name: str, check: Any) -> str | None:
    try:
        return check(query[name]) if name in query else None
    except ValueError as error:
        raise ValueError(f"has the parameter {name}, whose file {error}") from None


def _number(query: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    problem = f"has the parameter {name}, which must be a number from {low} to {high}"
    return parse_number(query.get(name, str(default)), low, high, problem)


def _one_of(query: Mapping[str, str], name: str, values: tuple[str, ...], default: str) -> str:
    if name not in query:
        return default
    value = query[name]
    if value not in values:
        raise ValueError(f"has the parameter {name}, which must be {_or(values)}")
    return value


def _or(values: tuple[str, ...]) -> str:
    return " or ".join(part for part in (", ".join(values[:-1]), values[-1]) if part)
