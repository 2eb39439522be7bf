"""Changes that somebody may make to a message one day, on purpose or not; some are harmless, others breaking.

They change the form of a message, not its values: another e-mail address is another message.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

from pact_faststream.records import OutboxRecord, WireRecord, wire

Path = tuple[str | int, ...]
ABSENT = object()


@dataclass(frozen=True)
class Mutant:
    """A message with one change; the name says which part was changed, and how."""

    name: str
    record: WireRecord


def mutants_of(sent: OutboxRecord, *, enums: Sequence[str] = ()) -> Sequence[Mutant]:
    """All changes of a real message, each alone. `enums` names the fields whose values are members of an enum."""
    original = wire(sent)
    value, key = original.value or b"", (original.key or b"").decode()
    data = json.loads(value)
    return [
        *(Mutant(name, replace(original, value=_json(changed))) for name, changed in _fields(data, enums)),
        *(Mutant(name, replace(original, value=body)) for name, body in _bodies(value, data)),
        *(Mutant(name, replace(original, headers=headers)) for name, headers in _headers(original.headers)),
        *(Mutant(f"key: {name}", replace(original, key=key)) for name, key in _keys(key)),
        *(Mutant(f"topic: {name}", replace(original, topic=topic)) for name, topic in _topics(original.topic)),
    ]


def _fields(data: Any, enums: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for path, value in _paths(data):
        where = ".".join(map(str, path))
        for name, changed in _values(value):
            yield f"{where}: {name}", with_field(data, path, changed)
        if path[-1] in enums:
            yield f"{where}: a new member", with_field(data, path, "something_new")
            yield f"{where}: in another case", with_field(data, path, str(value).swapcase())
        if isinstance(path[-1], str):
            yield f"{where}: removed", with_field(data, path, ABSENT)
            for name, renamed in _names(path[-1]):
                yield f"{where}: {name}", with_field(with_field(data, path, ABSENT), (*path[:-1], renamed), value)
    for path in ((), *(path for path, value in _paths(data) if isinstance(value, dict))):
        yield f"{'.'.join(map(str, path)) or 'data'}: a field added", with_field(data, (*path, "added"), "new")


def _values(value: Any) -> Iterator[tuple[str, Any]]:
    yield "null", None
    yield "in a list", [value]
    yield "in an object", {"value": value}
    match value:
        case str():
            yield from _strings(value)
        case list():
            yield from {"an empty list": [], "its first item alone": value[0], "a string": "x"}.items()
            yield "twice as long", value * 2
        case dict():
            yield from {"an empty object": {}, "a string": "x", "a list": list(value.values())}.items()
        case int():
            yield from {
                "a string": str(value),
                "a fraction": value + 0.5,
                "a boolean": True,
                "a float": float(value),
            }.items()


def _strings(value: str) -> Iterator[tuple[str, Any]]:
    yield from {"an empty string": "", "a number": 7, "a boolean": True, "an object": {}, "an empty list": []}.items()
    for kind in (_uuid, _amount, _time):
        changes = kind(value)
        if changes is not None:
            yield from changes.items()
            return


def _uuid(value: str) -> Mapping[str, Any] | None:
    try:
        UUID(value)
    except ValueError:
        return None
    return {
        "in upper case": value.upper(),
        "without hyphens": value.replace("-", ""),
        "in braces": f"{{{value}}}",
        "as a URN": f"urn:uuid:{value}",
        "cut short": value[:-1],
        "with a blank": f" {value}",
    }


def _amount(value: str) -> Mapping[str, Any] | None:
    whole, dot, cents = value.partition(".")
    if not (dot and whole.isdigit() and cents.isdigit()):
        return None
    return {
        "as a JSON number": float(value),
        "in cents": int(whole + cents),
        "in cents, as a string": whole + cents,
        "with an exponent": f"{int(whole + cents)}e-2",
        "with a comma": f"{whole},{cents}",
        "with a plus": f"+{value}",
        "negative": f"-{value}",
        "with its currency": f"{value} EUR",
        "with four decimals": f"{value}00",
        "with one decimal": f"{whole}.{cents[0]}",
        "with a blank": f" {value}",
        "not a number": "NaN",
    }


def _time(value: str) -> Mapping[str, Any] | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return {
        "without a zone": at.replace(tzinfo=None).isoformat(),
        "with +00:00": at.isoformat(),
        "in another zone": at.astimezone(timezone(timedelta(hours=2))).isoformat(),
        "with milliseconds": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "with whole seconds": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "with a blank for T": value.replace("T", " "),
        "as epoch seconds": int(at.timestamp()),
        "as epoch seconds in a string": str(int(at.timestamp())),
        "as a date": at.date().isoformat(),
        "as in HTTP": at.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "with month 13": f"{value[:5]}13{value[7:]}",
    }


def _names(name: str) -> Iterator[tuple[str, str]]:
    first, *others = name.split("_")
    yield "renamed", f"{name}_value"
    yield "its name in upper case", name.upper()
    if others:
        yield "its name in camel case", first + "".join(word.title() for word in others)


def _bodies(value: bytes, data: dict[str, Any]) -> Iterator[tuple[str, bytes | None]]:
    first = next(iter(data))
    deep: Any = "end"
    for _ in range(100):
        deep = [deep]
    yield from {
        "body: null": None,
        "body: empty": b"",
        "body: JSON null": b"null",
        "body: an empty object": b"{}",
        "body: in a list": _json([data]),
        "body: in an object": _json({"data": data}),
        "body: JSON in a string": _json(value.decode()),
        "body: cut short": value[:-1],
        "body: with a trailing comma": value[:-1] + b",}",
        "body: with single quotes": value.replace(b'"', b"'"),
        "body: with a byte order mark": b"\xef\xbb\xbf" + value,
        "body: in UTF-16": value.decode().encode("utf-16"),
        "body: no JSON at all": b"<event/>",
        "body: reordered": _json(dict(reversed(data.items()))),
        "body: indented": json.dumps(data, indent=2).encode(),
        "body: with blanks around it": b"\n " + value + b" \n",
        "body: a null added": _json({**data, "added": None}),
        "body: a number beyond 64 bits added": _json({**data, "added": 10**30}),
        "body: a deep list added": _json({**data, "added": deep}),
        "body: half a megabyte added": _json({**data, "added": "x" * 500_000}),
        "body: a field twice, the last one right": b'{"%s":"wrong",%s' % (first.encode(), value[1:]),
        "body: a field twice, the last one wrong": b'%s,"%s":"wrong"}' % (value[:-1], first.encode()),
    }.items()


def _headers(headers: tuple[tuple[str, bytes | None], ...]) -> Iterator[tuple[str, Any]]:
    for number, (name, value) in enumerate(headers):
        rest = (*headers[:number], *headers[number + 1 :])
        changes: dict[str, tuple[tuple[str, bytes | None], ...]] = {
            "removed": (),
            "null": ((name, None),),
            "empty": ((name, b""),),
            "in upper case": ((name.upper(), value),),
            "unreadable": ((name, b"\xff\xfe"),),
            "another value": ((name, str(uuid4()).encode()),),
            "twice": ((name, value), (name, value)),
            "twice, the second one wrong": ((name, value), (name, b"wrong")),
            "twice, the first one wrong": ((name, b"wrong"), (name, value)),
        }
        yield from ((f"header {name}: {what}", (*rest, *changed)) for what, changed in changes.items())
    yield "headers: none", ()
    yield "headers: one added", (*headers, ("added", b"new"))
    yield "headers: reordered", tuple(reversed(headers))


def _keys(key: str) -> Iterator[tuple[str, bytes | None]]:
    yield from {
        "null": None,
        "empty": b"",
        "another one": str(uuid4()).encode(),
        "in upper case": key.upper().encode(),
        "without hyphens": key.replace("-", "").encode(),
        "as JSON": json.dumps(key).encode(),
        "with a prefix": f"key-{key}".encode(),
        "unreadable": b"\xff\xfe",
    }.items()


def _topics(topic: str) -> Iterator[tuple[str, str]]:
    yield from {
        "another one": f"{topic}-v2",
        "in upper case": topic.upper(),
        "with a prefix": f"prefix.{topic}",
    }.items()


def _paths(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    children: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in children:
        yield (*path, name), value
        yield from _paths(value, (*path, name))


def with_field(data: Any, path: Path, value: Any) -> Any:
    """A copy of JSON data with another value at a path; ABSENT removes what is there."""
    changed = deepcopy(data)
    node = changed
    for step in path[:-1]:
        node = node[step]
    if value is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return changed


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
