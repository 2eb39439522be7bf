"""The checked-in document: never stale, its bytes stable, and never made to hide a breaking change."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from asyncapi_gate import (
    BreakingChangeError,
    StaleDocumentError,
    UnreadableDocumentError,
    check_document,
    served_document,
)
from fastapi import FastAPI

from ..parcel import warehouse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Has the document of a parcel with a weight, checked in."""
    check_document(warehouse(weight=int), tmp_path / "asyncapi", write=True)
    return tmp_path / "asyncapi"


def test_a_document_that_is_checked_in_passes(folder: Path) -> None:
    check_document(warehouse(weight=int), folder, write=False)


def test_a_document_that_is_missing_or_stale_is_an_error_that_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    for place in (folder, tmp_path / "elsewhere"):
        with pytest.raises(StaleDocumentError, match=r"warehouse\.json.*make contracts"):
            check_document(warehouse(weight=int, carrier=str), place, write=False)


def test_a_harmless_change_is_written(folder: Path) -> None:
    check_document(warehouse(weight=int, carrier=str), folder, write=True)

    check_document(warehouse(weight=int, carrier=str), folder, write=False)


@pytest.mark.parametrize("write", [True, False])
def test_a_breaking_change_is_refused_and_not_written(folder: Path, write: bool) -> None:
    before = (folder / "warehouse.json").read_bytes()

    with pytest.raises(
        BreakingChangeError, match=r"warehouse\.json stays[^$]*parcel\.shipped\.v1: weight: integer became"
    ):
        check_document(warehouse(weight=str), folder, write=write)

    assert (folder / "warehouse.json").read_bytes() == before


def test_a_release_that_changes_no_event_changes_no_document(folder: Path) -> None:
    check_document(warehouse(version="2", weight=int), folder, write=False)


def test_the_bytes_of_a_document_are_those_of_its_events(folder: Path) -> None:
    before = (folder / "warehouse.json").read_bytes()
    (folder / "warehouse.json").unlink()

    check_document(warehouse(version="2", weight=int), folder, write=True)

    assert (folder / "warehouse.json").read_bytes() == before


@pytest.mark.parametrize("text", ["<<<<<<< ours", "{}", "[]", '{"info": {"title": "x"}, "operations": {"o": {}}}'])
def test_a_file_that_nobody_can_read_is_not_overwritten(folder: Path, text: str) -> None:
    (folder / "warehouse.json").write_text(text)

    with pytest.raises(UnreadableDocumentError, match=r"warehouse\.json can't be read"):
        check_document(warehouse(weight=int), folder, write=True)

    assert (folder / "warehouse.json").read_text() == text


async def test_the_document_is_what_an_app_serves() -> None:
    async def served() -> dict[str, Any]:
        return warehouse()

    app = FastAPI()
    app.add_api_route("/asyncapi.json", served)

    assert await served_document(app) == json.loads(json.dumps(warehouse()))


async def test_an_app_that_serves_no_document_is_an_error() -> None:
    with pytest.raises(httpx.HTTPStatusError):
        await served_document(FastAPI())
