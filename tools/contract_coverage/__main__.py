"""Print how many fields the contracts hold: those of published events, of what consumers read, and of HTTP answers."""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from typing import Any

from asyncapi_gate.agreement import Pact
from asyncapi_gate.coverage import Coverage, Unread, coverage, of_answer
from asyncapi_gate.reading import read_document
from pydantic import BaseModel

from tools.scratch import ROOT

CONTRACTS = ROOT / "contracts"
CLIENTS: Mapping[tuple[str, str], str] = {("payments", "payment-gateway"): "payments.gateway"}
"""By consumer and provider of a pact over HTTP: the module whose models read the answers."""
HTTP = "Synchronous/HTTP"


def main() -> int:
    """Exit with 1 unless every field is held by a pact, or listed as unread by its publisher."""
    found = list(covered())
    for each in found:
        print(each)
        for problem in each.problems:
            print(f"  {problem}")
    held, fields = sum(each.held for each in found), sum(each.fields for each in found)
    listed = sum(map(len, unread().values()))
    print(f"contract-coverage: {held}/{fields} fields held, {listed} of them as unread, {100 * held / fields:.4g} %")
    return 1 if any(each.problems for each in found) else 0


def covered() -> Iterator[Coverage]:
    documents = [read_document(path) for path in sorted((CONTRACTS / "asyncapi").glob("*.json"))]
    pacts = [json.loads(path.read_text()) for path in sorted((CONTRACTS / "pacts").glob("*.json"))]
    yield from coverage(documents, pacts, unread())
    for pact in pacts:
        if bodies := list(_answers(pact)):
            yield from _of_client(pact["consumer"]["name"], pact["provider"]["name"], bodies)


def unread() -> Unread:
    """What all services list in `[tool.shop.unread]`."""
    files: Sequence[Path] = sorted(ROOT.glob("services/*/pyproject.toml"))
    tables = [tomllib.loads(file.read_text())["tool"].get("shop", {}).get("unread", {}) for file in files]
    return {event: fields for table in tables for event, fields in table.items()}


def _answers(pact: Pact) -> Iterator[Any]:
    for interaction in pact["interactions"]:
        if interaction["type"] == HTTP:
            yield interaction["response"].get("body", {}).get("content")


def _of_client(consumer: str, provider: str, bodies: Sequence[Any]) -> Iterator[Coverage]:
    """Coverage of the models that read whole answers: those of the client's module that are no part of another one."""
    module = import_module(CLIENTS[consumer, provider])
    models = [
        model
        for _, model in getmembers(module, isclass)
        if issubclass(model, BaseModel) and model.__module__ == module.__name__
    ]
    schemas = {model.__name__: model.model_json_schema() for model in models}
    inner = {name for schema in schemas.values() for name in schema.get("$defs", {})}
    for name, schema in schemas.items():
        if name not in inner:
            yield of_answer(f"{consumer} reads {name} of {provider}", schema, bodies)


if __name__ == "__main__":
    sys.exit(main())
