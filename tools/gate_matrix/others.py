"""Other tools that compare schemas, each at a pinned version in an environment of its own.

Each is asked what it is made for: those that compare JSON schemas get the two schemas of the event, those that compare
documents get two documents that differ in this schema alone.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.gate_matrix.changes import DEFINITIONS, Change, Schema, definitions, placed

FOLDER = Path(__file__).parent
NODE = FOLDER / "node"
OF_NODE = ("@asyncapi/diff", "json-schema-diff", "json-schema-diff-validator", "jsoncompat")
OASDIFF = "github.com/oasdiff/oasdiff@v1.37.0"
SECONDS = 300
"""The longest that installing or asking may take."""

Verdict = bool | None
"""True if breaking; None where the tool gives no answer."""


class NotAskedError(Exception):
    """A tool can't be asked here; the message says why in a few words."""


@dataclass(frozen=True)
class Asked:
    """The verdicts by tool, and why each other tool wasn't asked."""

    verdicts: Mapping[str, Sequence[Verdict]]
    missing: Mapping[str, str]


def ask_others(changes: Sequence[Change]) -> Asked:
    """Install what is missing, and ask all tools at once."""
    verdicts: dict[str, Sequence[Verdict]] = {}
    missing: dict[str, str] = {}
    pairs = json.dumps(list(map(_asked, changes)))
    with ThreadPoolExecutor() as pool:
        node = pool.submit(_run, "npm", "ci", "--loglevel=error", "--prefix", str(NODE))
        answers = {name: pool.submit(_ask_node, name, pairs, node) for name in OF_NODE}
        answers["jsonsubschema"] = pool.submit(_ask_python, pairs)
        answers["oasdiff"] = pool.submit(_ask_oasdiff, changes)
    for name, answer in answers.items():
        try:
            verdicts[name] = answer.result()
        except NotAskedError as reason:
            missing[name] = str(reason)
    return Asked(verdicts, missing)


def _ask_node(tool: str, pairs: str, installed: "Future[str]") -> Sequence[Verdict]:
    installed.result()
    return _verdicts(_run("node", str(NODE / "ask.mjs"), tool, text=pairs))


def _ask_python(pairs: str) -> Sequence[Verdict]:
    uv, script = os.environ.get("UV", "uv"), str(FOLDER / "python" / "ask.py")
    return _verdicts(_run(uv, "run", "--quiet", "--locked", "--script", script, text=pairs))


def _ask_oasdiff(changes: Sequence[Change]) -> Sequence[Verdict]:
    """In one pair of OpenAPI documents, in which each change is the answer of an operation of its own."""
    programs = Path(".tools/go").resolve()
    _run("go", "install", OASDIFF, GOBIN=str(programs))
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.json"), Path(folder, "after.json")
        before.write_text(json.dumps(_openapi([change.before.schema for change in changes])))
        after.write_text(json.dumps(_openapi([change.after.schema for change in changes])))
        told = _run(str(programs / "oasdiff"), "breaking", "--format", "json", str(before), str(after))
    broken = {found["path"] for found in json.loads(told or "[]")}
    return [f"/{number}" in broken for number in range(len(changes))]


def _asked(change: Change) -> Any:
    before, after = change.before.schema, change.after.schema
    documents = [_lone(before), _lone(after)]
    pair = None if None in documents else [_asyncapi(found) for found in documents]
    return [before, after, pair]


def _verdicts(text: str) -> Sequence[Verdict]:
    found: Sequence[Verdict] = json.loads(text)
    return found


def _run(*command: str, text: str | None = None, **environment: str) -> str:
    """What a program prints. Raises NotAskedError if it is missing, fails or takes too long."""
    if shutil.which(command[0]) is None:
        raise NotAskedError(f"there is no {Path(command[0]).name} here")
    try:
        done = subprocess.run(  # noqa: S603 - the commands are those above
            command,
            input=text,
            env=os.environ | environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotAskedError(f"{Path(command[0]).name} took more than {SECONDS} seconds") from None
    except subprocess.CalledProcessError as error:
        said = next(iter(reversed(error.stderr.strip().splitlines())), "it said nothing")
        raise NotAskedError(f"{Path(command[0]).name} {command[1]} failed: {said}") from None
    return done.stdout


def _asyncapi(schema: Schema) -> Schema:
    """A document without references, as @asyncapi/diff wants it."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "warehouse", "version": "1"},
        "channels": {
            "parcels": {"address": "parcels", "messages": {"shipped": {"name": "shipped", "payload": schema}}}
        },
        "operations": {"send": {"action": "send", "channel": {"address": "parcels"}}},
    }


def _openapi(schemas: Sequence[Schema]) -> Schema:
    def answer(number: int, schema: Schema) -> Schema:
        content = {"application/json": {"schema": at_components(schema, f"{number}.")}}
        return {"get": {"responses": {"200": {"description": "the event", "content": content}}}}

    defined = {
        f"{number}.{name}": at_components(found, f"{number}.")
        for number, schema in enumerate(schemas)
        for name, found in definitions(schema).items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "warehouse", "version": "1"},
        "paths": {f"/{number}": answer(number, schema) for number, schema in enumerate(schemas)},
        "components": {"schemas": defined},
    }


def at_components(node: Any, prefix: str = "") -> Any:
    """A schema whose definitions stand under a document's components, their names after a prefix."""
    if isinstance(node, list):
        return [at_components(part, prefix) for part in node]
    if isinstance(node, dict):
        return {word: at_components(meant, prefix) for word, meant in node.items() if word != DEFINITIONS}
    if isinstance(node, str):  # a reference, or one of a discriminator's mapping
        return node.replace(f"#/{DEFINITIONS}/", f"#/components/schemas/{prefix}")
    return node


def _lone(schema: Schema) -> Any:
    """A schema with its definitions in place of references; None if it is recursive."""
    lone = placed(schema, definitions(schema))
    return None if '"$ref"' in json.dumps(lone) else lone
