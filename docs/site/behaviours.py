"""What a service does, by the names of its tests: each is a sentence, each file a feature."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

WRITTEN = {"sql", "http", "smtp", "json", "api", "id", "ids", "utc", "url", "sigterm"}
"""Words in capitals."""
NAMES = {"kafka": "Kafka", "kafkas": "Kafka's", "postgresql": "PostgreSQL"}


@dataclass(frozen=True)
class Feature:
    """A test file: its title, the level that it runs on, and a sentence for each test."""

    title: str
    level: str
    sentences: Sequence[str]


def features(tests: Path) -> Iterator[Feature]:
    """Of all test files below a service's folder of tests, by level and name."""
    for path in sorted(tests.rglob("test_*.py")):
        module = ast.parse(path.read_text())
        sentences = [sentence(name) for name in _tests(module)]
        if sentences:
            yield Feature(_title(module, path), path.parent.name, sentences)


def sentence(name: str) -> str:
    """``test_a_paid_order_is_confirmed``: A paid order is confirmed."""
    words = [_word(word) for word in name.removeprefix("test_").split("_")]
    text = " ".join(words)
    return f"{text[0].upper()}{text[1:]}."


def page(service: str, tests: Path) -> str:
    """Markdown: a heading a feature, a line a behaviour."""
    parts = [f"# What {service} does\n\nFrom the names of its tests, which run on the level in brackets.\n"]
    for feature in features(tests):
        lines = "\n".join(f"- {each}" for each in feature.sentences)
        parts.append(f"## {feature.title} ({feature.level})\n\n{lines}\n")
    return "\n".join(parts)


def _title(module: ast.Module, path: Path) -> str:
    docstring = ast.get_docstring(module)
    first = docstring.splitlines()[0] if docstring else sentence(path.stem)
    return first.rstrip(".")


def _tests(module: ast.Module) -> Iterator[str]:
    suites = {
        name.asname or name.name: (node.module, name.name)
        for node in module.body
        if isinstance(node, ast.ImportFrom) and node.module and "suite" in node.module
        for name in node.names
    }
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in suites:
                    source, suite = suites[base.id]
                    yield from (name for name in dir(getattr(import_module(source), suite)) if name.startswith("test_"))


def _word(word: str) -> str:
    return NAMES.get(word) or (word.upper() if word in WRITTEN else word)
