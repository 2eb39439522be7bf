"""AsyncAPI's own parser on the checked-in documents, and on documents that it has to refuse."""

import json
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from backing_services.plugin import not_available
from outboxed.messages import Amount, ConsumedEvent, Event, EventData, Timestamp, document
from pydantic import ConfigDict, Field

Content = dict[str, Any]
Errors = dict[str, list[str]]
ERROR = 0  # the parser's severity


class Crate(EventData):
    weight: Annotated[int, Field(ge=1)]
    inside: list["Crate"]


class ParcelShipped(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    """Something of all that an event can have."""

    model_config = ConfigDict(json_schema_extra={"deprecated": True})

    parcel_id: UUID
    crate: Annotated[Crate, Field(deprecated=True, description="beside a reference")]
    price: Amount
    shipped_at: Timestamp
    carrier: Literal["bike", "van"] | None = None
    labels: dict[str, str]


class OrderPlaced(ConsumedEvent, type="order.placed.v1", topic="orders", key_field="order_id"):
    order_id: UUID


WHOLE = document(title="warehouse", version="1", published=[ParcelShipped], consumed=[OrderPlaced])


def without_its_schema(content: Content) -> None:
    del content["components"]["schemas"]["ParcelShipped"]


def of_no_known_type(content: Content) -> None:
    content["components"]["schemas"]["ParcelShipped"]["properties"]["price"]["type"] = "money"


def without_a_version(content: Content) -> None:
    del content["info"]["version"]


def of_another_channel(content: Content) -> None:
    content["operations"]["send_parcels"]["messages"] = content["operations"]["receive_orders"]["messages"]


def of_a_later_specification(content: Content) -> None:
    content["asyncapi"] = "9.0.0"


BREAKS: dict[str, Callable[[Content], None]] = {
    "does not exist": without_its_schema,
    "must be equal to one of the allowed values": of_no_known_type,
    'must have required property "version"': without_a_version,
    "Operation message does not belong to the specified channel": of_another_channel,
    'Version "9.0.0" is not supported': of_a_later_specification,
}


@pytest.fixture(scope="session")
def parser(contracts_folder: Path) -> Path:
    """The parser's folder, where it can run."""
    folder = contracts_folder / "asyncapi" / "parser"
    if shutil.which("node") is None:
        not_available("node", "there is no Node.js on the PATH to run the official AsyncAPI parser")
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]["node_modules/@asyncapi/parser"]
    installed = folder / "node_modules" / "@asyncapi" / "parser" / "package.json"
    if not installed.exists() or json.loads(installed.read_text())["version"] != locked["version"]:
        not_available(
            "node", f"the official AsyncAPI parser {locked['version']} is not here: `make fetch-asyncapi-parser`"
        )
    return folder


@pytest.fixture(scope="session")
def errors(parser: Path, contracts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """What the parser finds in every document, by file name; asked once, since Node.js takes a second to start."""
    folder = tmp_path_factory.mktemp("documents")
    for name, content in {"whole": WHOLE, **{change.__name__: broken(change) for change in BREAKS.values()}}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    files = [*sorted((contracts_folder / "asyncapi").glob("*.json")), *sorted(folder.glob("*.json"))]
    command = ["node", str(parser / "validate.mjs"), *map(str, files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)  # noqa: S603
    return {Path(file).name: _errors(found) for file, found in json.loads(done.stdout).items()}


def broken(change: Callable[[Content], None]) -> Content:
    content = deepcopy(WHOLE)
    change(content)
    return content


def _errors(diagnostics: list[dict[str, Any]]) -> list[str]:
    return [f"{'.'.join(map(str, one['path']))}: {one['message']}" for one in diagnostics if one["severity"] == ERROR]


def test_the_parser_finds_no_error_in_the_checked_in_documents(errors: Errors, contracts_folder: Path) -> None:
    names = [path.name for path in (contracts_folder / "asyncapi").glob("*.json")]

    assert names
    assert {name: errors[name] for name in names} == {name: [] for name in names}


def test_the_parser_finds_no_error_in_whatever_an_event_can_have(errors: Errors) -> None:
    assert errors["whole.json"] == []


@pytest.mark.parametrize("says", BREAKS)
def test_the_parser_refuses_a_broken_document(errors: Errors, says: str) -> None:
    assert any(says in error for error in errors[f"{BREAKS[says].__name__}.json"])


def test_the_parsers_lock_file_names_no_registry_and_nothing_runs_at_its_installation(contracts_folder: Path) -> None:
    folder = contracts_folder / "asyncapi" / "parser"

    packages = json.loads((folder / "package-lock.json").read_text())["packages"]

    assert not [name for name, package in packages.items() if "resolved" in package]
    assert "ignore-scripts=true" in (folder / ".npmrc").read_text().splitlines()
