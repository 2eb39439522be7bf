"""The checked-in documents: taken from the running app, never edited, and never overwritten by a breaking change."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncapi_gate.gate import breaking_changes
from asyncapi_gate.reading import read_document

VERSION = "as checked in"
"""Not the package's version, so that a release without a changed event changes no document."""


class StaleDocumentError(AssertionError):
    """The checked-in document isn't what the app serves now."""


class BreakingChangeError(AssertionError):
    """The app's document would break consumers of the checked-in one."""


async def served_document(app: Any) -> dict[str, Any]:
    """The document that an ASGI app serves at `/asyncapi.json`. Raises httpx.HTTPStatusError."""
    try:
        import httpx  # noqa: PLC0415 - whoever has no app doesn't need it
    except ModuleNotFoundError as error:
        install = 'asyncapi_gate.served_document needs httpx: pip install "asyncapi-gate[http]"'
        raise ModuleNotFoundError(install, name=error.name) from None

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        answer = await client.get("/asyncapi.json")
    served: dict[str, Any] = answer.raise_for_status().json()
    return served


def check_document(document: Mapping[str, Any], folder: Path, *, write: bool) -> None:
    """Compare the document with the file of its service, or with `write` make the file again.

    Raises StaleDocumentError. Raises BreakingChangeError if the document breaks an event of the file, and
    UnreadableDocumentError if the two can't be compared; nothing is written then.
    """
    path = folder / f"{document['info']['title']}.json"
    current = written(document)
    if path.exists():
        if path.read_text() == current:
            return
        if changes := breaking_changes(read_document(path).content, document):
            raise BreakingChangeError("\n".join([f"{path.name} stays as it is:", *map(str, changes)]))
    if not write:
        raise StaleDocumentError(f"{path.name} isn't what the app serves: run `make contracts` and commit it")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(current)


def written(document: Mapping[str, Any]) -> str:
    """The bytes of a checked-in document: they depend on the event models only."""
    timeless = {**document, "info": {**document["info"], "version": VERSION}}
    return json.dumps(timeless, indent=2, ensure_ascii=False) + "\n"
