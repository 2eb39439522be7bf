"""Hosts and ports: what no client could ever reach is refused before any client tries."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

KAFKA_PORT = 9092
LAST_PORT = 65535
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
"""RFC 1123, section 2.1; and the underscore, which container networks have in names."""
LONGEST_HOST = 253
"""RFC 1035, section 2.3.4, written with dots."""


def parse_host(text: str) -> str:
    """A host as clients take it: a name in ASCII (IDNA), an IPv4 or an IPv6 address without brackets.

    Raises ValueError.
    """
    if ":" in text:
        return _ipv6(text)
    if re.fullmatch(r"[0-9.]+", text):
        return _ipv4(text)
    host = text if text.isascii() else _in_ascii(text)
    if len(host) > LONGEST_HOST or not all(map(_LABEL.fullmatch, host.removesuffix(".").split("."))):
        raise ValueError("is no host name")
    return host


def _in_ascii(text: str) -> str:
    try:
        import idna  # noqa: PLC0415 - few hosts need it, and outboxed alone doesn't bring it
    except ModuleNotFoundError:
        raise ValueError("has letters beyond ASCII, which need the package idna") from None
    try:
        return idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("is no host name") from None


def parse_port(text: str) -> int:
    """A port that somebody can listen on. Raises ValueError."""
    return parse_number(text, 1, LAST_PORT, f"has no port from 1 to {LAST_PORT}")


def parse_number(text: str, low: int, high: int, problem: str) -> int:
    """A number in plain digits. Raises ValueError with the problem."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high):
        raise ValueError(problem)
    return int(text)


def split_address(text: str) -> tuple[str, str]:
    """Take `host`, `host:port` or `[IPv6]:port` apart; the port is empty where there is none. Raises ValueError."""
    host, colon, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    if bracketed := re.fullmatch(r"\[([^\[\]]*)\](?:(:)(.*))?", text):
        host, colon, port = _ipv6(bracketed[1]), bracketed[2] or "", bracketed[3] or ""
    elif ":" in host:
        raise ValueError("must have brackets around an IPv6 address, such as [::1]:9092")
    if colon and not port:
        raise ValueError(f"has no port from 1 to {LAST_PORT}")
    return host, port


def join_address(host: str, port: int) -> str:
    """The opposite of split_address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_bootstrap_servers(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """`a:9092,b:9092` as every Kafka client takes it: one `host:port` for each broker; the usual port is 9092.

    Raises ValueError, which tells the number of the wrong one and never repeats it.
    """
    return text if isinstance(text, tuple) else tuple(_brokers(text))


def _brokers(text: str) -> Iterator[str]:
    parts = [part.strip() for part in text.split(",")]
    for number, part in enumerate(parts, start=1):
        try:
            if not part:
                raise ValueError("is empty")  # noqa: TRY301 - told like the others
            if "://" in part:
                raise ValueError("must be host:port, without a protocol before it")  # noqa: TRY301 - same
            host, port = split_address(part)
            yield join_address(parse_host(host), parse_port(port) if port else KAFKA_PORT)
        except ValueError as error:
            which = f"address {number} of {len(parts)} " if len(parts) > 1 else ""
            raise ValueError(f"must be host:port, several with commas between: {which}{error}") from None


def _parse_http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or parts.port == 0:
            raise ValueError(text)  # noqa: TRY301 - told like the others
        parse_host(parts.hostname or "")
    except ValueError:
        raise ValueError("must be a URL such as https://host or http://host:8090") from None
    return text


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError("is no IPv4 address") from None


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise ValueError("is no IPv6 address") from None


Port = Annotated[int, Field(ge=0, le=LAST_PORT)]
"""To listen on; 0 is any free one."""
Host = Annotated[str, AfterValidator(parse_host)]
"""A name or an address, without a port."""
HttpUrl = Annotated[str, AfterValidator(_parse_http_url)]
"""Where a call over HTTP goes."""
