"""Every form of an event that was ever published or read, kept as a file, and every reader against every form.

A topic holds records that are days old, and a dead letter may be older. So a reader of today meets forms of yesterday,
and a form of today meets readers that were deployed yesterday. A form is a small AsyncAPI document of one message:
`forms/<service>/<sent or received>/<event>/<number>.json`, whose `info.version` is the day on which it was written.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from asyncapi_gate.documents import StaleDocumentError
from asyncapi_gate.gate import GUIDE, changed_message
from asyncapi_gate.gate.comparison import Comparison, Place
from asyncapi_gate.reading import KEY_FIELD, Document, Message, Schema, read_document
from asyncapi_gate.schemas import WORDS, plain

Direction = Literal["sent", "received"]
DIRECTIONS: tuple[Direction, ...] = ("sent", "received")
ACTIONS: Mapping[Direction, str] = {"sent": "send", "received": "receive"}
FORMS = "forms"
OF_VALUES = WORDS["string"] | WORDS["number"]


class UnreadableFormError(AssertionError):
    """A reader can't read a form that it may meet."""


@dataclass(frozen=True)
class Form:
    """One form of an event, as one service sends or receives it; `number` is 0 for one that isn't kept yet."""

    service: str
    event: str
    direction: Direction
    number: int
    document: Document

    @property
    def message(self) -> Message:
        """What is known about the event."""
        return _messages(self.document, self.direction)[self.event]

    @property
    def since(self) -> date:
        """The day on which the form was written."""
        return date.fromisoformat(self.document.content["info"]["version"])

    def __str__(self) -> str:
        return f"form {self.number} of {self.since}" if self.number else "its new form"

    def is_same(self, other: "Form") -> bool:
        """Whether two forms differ at most in words for people."""
        mine, others = self.message, other.message
        return (mine.topic, mine.key_field) == (others.topic, others.key_field) and all(
            plain(one, self.document) == plain(two, other.document)
            for one, two in ((mine.headers, others.headers), (mine.payload, others.payload))
        )


def check_forms(document: Mapping[str, Any], folder: Path, *, write: bool) -> None:
    """Compare what a service sends and receives now with all forms that are kept below a folder, of all services.

    With `write` a new form is kept. Raises UnreadableFormError, with a line for each field, if a reader can't read a
    form that it may meet; nothing is written then. Raises StaleDocumentError if a new form isn't kept.
    """
    kept, now = kept_forms(folder), list(_forms_of(Document(document)))
    today = [next((form for form in reversed(kept) if _is_kept(one, form)), one) for one in now]
    forms = [*kept, *(form for form in today if not form.number)]
    if problems := list(dict.fromkeys(line for form in today for line in _problems(form, forms))):
        raise UnreadableFormError("\n".join(problems))
    for form in (form for form in today if not form.number):
        if not write:
            raise StaleDocumentError(
                f"{form.service}: a new form of {form.event} isn't kept: run `make contracts` and commit it"
            )
        _keep(form, kept, folder)


def kept_forms(folder: Path) -> list[Form]:
    """All forms that are kept, the oldest of each event first. Raises UnreadableDocumentError."""
    found = [
        Form(path.parents[2].name, path.parent.name, direction, int(path.stem), read_document(path))
        for direction in DIRECTIONS
        for path in (folder / FORMS).glob(f"*/{direction}/*/*.json")
    ]
    return sorted(found, key=lambda form: (form.service, form.direction, form.event, form.number))


def droppable(folder: Path, days: int) -> list[Path]:
    """The files of the forms that were followed by another one more than so many days ago."""
    limit = _today() - timedelta(days=days)
    files = [(form, _path_of(form, folder)) for form in kept_forms(folder)]
    return [
        file
        for (_, file), (following, next_file) in pairwise(files)
        if file.parent == next_file.parent and following.since < limit
    ]


def _forms_of(document: Document) -> Iterator[Form]:
    for direction in DIRECTIONS:
        for event, message in _messages(document, direction).items():
            alone = _document_of(document, message, ACTIONS[direction])
            yield Form(document.title, event, direction, 0, Document(alone))


def _messages(document: Document, direction: Direction) -> Mapping[str, Message]:
    return document.sent if direction == "sent" else document.received


def _is_kept(form: Form, kept: Form) -> bool:
    named = (form.service, form.event, form.direction) == (kept.service, kept.event, kept.direction)
    return named and form.is_same(kept)


def _problems(form: Form, forms: Iterable[Form]) -> Iterator[str]:
    """What fails between a form of today and those that it may meet."""
    others = [other for other in forms if other.event == form.event]
    sent = [other for other in others if other.direction == "sent"]
    if form.direction == "received":
        unkept = _never_promised(form, sent)
        for other in sent:
            yield from _unreadable(form, other, unkept, "Give the field a default, or wait until that form is dropped")
        return
    for earlier in sent:
        for field, what in changed_message(earlier.message, form.message, Comparison(earlier.document, form.document)):
            yield _line(
                form.event, field, f"{_told(what)}, for readers of {earlier}", "Publish a new version beside it"
            )
    for reader in others:
        if reader.direction == "received":
            unkept = _never_promised(reader, sent)
            yield from _unreadable(reader, form, unkept, "Publish a new version beside it")


def _unreadable(reader: Form, form: Form, unkept: set[tuple[str, str]], instead: str) -> Iterator[str]:
    for field, what in _findings(reader, form):
        if (field, _asked(what)) not in unkept:
            yield _line(form.event, field, f"{_told(what)} in {form}, for {reader.service} ({reader})", instead)


def _never_promised(reader: Form, sent: Iterable[Form]) -> set[tuple[str, str]]:
    """The patterns, formats and bounds that a reader asks for and no form promised.

    The reader's pact is held against them, in what is really sent.
    """
    asked = [{(field, _asked(what)) for field, what in _findings(reader, form)} for form in sent]
    return (
        {(field, what) for field, what in set.intersection(*asked) if what.split()[0] in OF_VALUES} if asked else set()
    )


def _findings(reader: Form, form: Form) -> Iterator[tuple[str, str]]:
    """The reader's view is the earlier schema: whatever the form allows it has to allow."""
    return Comparison(reader.document, form.document).of(Place(), reader.message.payload, (form.message.payload,))


def _asked(what: str) -> str:
    return what.partition(" became ")[0]


def _told(what: str) -> str:
    """A finding as one about two forms that stand side by side."""
    expected, became, found = what.partition(" became ")
    if became:
        return f"{expected} is expected, not {found}"
    return {"was removed": "is missing"}.get(what, what.removesuffix(" now"))


def _line(event: str, field: str, what: str, instead: str) -> str:
    return f"{event}: {field}: {what}. {instead} ({GUIDE})"


def _keep(form: Form, kept: Iterable[Form], folder: Path) -> None:
    numbers = [other.number for other in kept if _path_of(other, folder).parent == _path_of(form, folder).parent]
    info = {"title": form.service, "version": _today().isoformat()}
    path = _path_of(form, folder).with_stem(str(max(numbers, default=0) + 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**form.document.content, "info": info}, indent=2, ensure_ascii=False) + "\n")


def _path_of(form: Form, folder: Path) -> Path:
    return folder / FORMS / form.service / form.direction / form.event / f"{form.number}.json"


def _today() -> date:
    return datetime.now(UTC).date()


def _document_of(document: Document, message: Message, action: str) -> Schema:
    """A document that has this message alone."""
    name, topic = message.type, message.topic
    schemas = document.content.get("components", {}).get("schemas", {})
    found: dict[str, Any] = {}
    _collect([message.headers, message.payload], schemas, found)
    reference = {"$ref": f"#/channels/{topic}/messages/{name}"}
    return {
        "asyncapi": "3.1.0",
        "info": {"title": document.title, "version": ""},
        "channels": {topic: {"address": topic, "messages": {name: {"$ref": f"#/components/messages/{name}"}}}},
        "operations": {action: {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "messages": [reference]}},
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "headers": message.headers,
                    "payload": message.payload,
                    "bindings": {"kafka": {"key": {"type": "string", KEY_FIELD: message.key_field}}},
                }
            },
            "schemas": {name: found[name] for name in schemas if name in found},
        },
    }


def _collect(node: Any, schemas: Schema, found: dict[str, Any]) -> None:
    """Gather the schemas that are referred to, by name."""
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        _collect(part, schemas, found)
    name = str(node.get("$ref", "")).rpartition("/")[2] if isinstance(node, dict) else ""
    if name in schemas and name not in found:
        found[name] = schemas[name]
        _collect(schemas[name], schemas, found)
