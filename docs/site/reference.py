"""What each library offers, as pages: the public names of its modules, with their docstrings."""

from collections.abc import Iterator, Mapping, Sequence

PAGES: Mapping[str, Sequence[str]] = {
    "outboxed": ("outboxed",),
    "outboxed-service": (
        "outboxed.process",
        "outboxed.settings",
        "outboxed.web",
        "outboxed.telemetry",
        "outboxed.healthcheck",
    ),
    "outboxed-messages": ("outboxed.messages", "outboxed.consuming", "outboxed.relay", "outboxed.tasks"),
    "outboxed-storage": (
        "outboxed.ports",
        "outboxed.storage",
        "outboxed.storage.tables",
        "outboxed.storage.schema",
        "outboxed.errors",
        "outboxed.failpoints",
    ),
    "outboxed-testing": (
        "outboxed.testing",
        "outboxed.testing.fixtures",
        "outboxed.testing.memory",
        "outboxed.testing.adapters",
        "outboxed.testing.tracking",
        "outboxed.testing.topics",
        "outboxed.testing.records",
        "outboxed.testing.histories",
        "outboxed.testing.edges",
        "outboxed.testing.tokens",
        "outboxed.testing.services",
    ),
    "backing-services": (
        "backing_services.choice",
        "backing_services.containers",
        "backing_services.postgres",
        "backing_services.kafka",
        "backing_services.processes",
        "backing_services.faults",
        "backing_services.waiting",
        "backing_services.levels",
    ),
    "pact-faststream": ("pact_faststream", "pact_faststream.values", "pact_faststream.matrix"),
    "asyncapi-gate": ("asyncapi_gate",),
}
"""The modules of each page, by its name."""


def pages() -> Iterator[tuple[str, str]]:
    """Each page's name and text; mkdocstrings puts the docstrings in."""
    for name, modules in PAGES.items():
        parts = [f"## {module}\n\n::: {module}\n" for module in modules]
        yield f"reference/{name}.md", "\n".join([f"# {_title(name)}\n", *parts])


def _title(name: str) -> str:
    library, _, part = name.partition("-") if name.startswith("outboxed") else (name, "", "")
    return f"Reference: {library}{f' ({part})' if part else ''}"
