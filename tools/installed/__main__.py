"""`python -m tools.installed`: each library, and each of its extras, in an environment of its own.

Each environment has the wheel and what it asks for, and nothing of this project's. What the extra is for is imported
there, and the packages and their size are printed. Then each README's `pip install`, with pip itself, and the minimal
example of backing_services.
"""

import re
import shlex
import sys
import tempfile
import time
import venv
from collections.abc import Mapping
from pathlib import Path

from libs.backing_services.tests.snippets import files
from tools.packaged import Environment, Library, StepError, build, libraries, run
from tools.uv import ROOT

INSTALL = re.compile(r"^    (pip install [^#\n]*[^#\s])", re.MULTILINE)
ALONE = ""
IMPORTS: Mapping[str, Mapping[str, str]] = {
    "asyncapi_gate": {
        ALONE: "import asyncapi_gate.__main__",
        "http": "import asyncapi_gate, httpx",
    },
    "backing_services": {
        ALONE: "import backing_services.postgres, backing_services.kafka, backing_services.processes",
        "containers": "import backing_services.choice, testcontainers.core.container",
        "faults": "import backing_services.faults",
        "tls": "import backing_services.kafka.secured",
        "all": "import backing_services.faults, backing_services.kafka.secured",
    },
    "outboxed": {
        ALONE: "from outboxed import Inbox, Outbox; import outboxed.__main__",
        "asyncpg": "from outboxed.storage import create_engine",
        "migrations": "from outboxed.storage import migrate, schema",
        "telemetry": "import outboxed.telemetry, outboxed.tasks",
        "faststream": "import outboxed.consuming",
        "http": "import outboxed.web",
        "cli": "import typer, rich",
        "otlp": "import outboxed.telemetry, opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "service": "import outboxed.process; outboxed.process.CommandLine",
        "testing": "import outboxed.testing.tracking, outboxed.testing.fixtures",
    },
    "pact_faststream": {
        ALONE: "import pact_faststream, pact_faststream.matrix; pact_faststream.MessagePact",
        "http": "import pact_faststream; pact_faststream.HttpPact",
        "commands": "import pact_faststream.broker.__main__, pact_faststream.diagram",
        "all": "import pact_faststream.broker.__main__; pact_faststream.HttpPact",
    },
}
"""What must work with an extra alone."""


def main() -> None:
    """Exit with 1 when a step fails; its output is printed."""
    begun, environments = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="installed-") as folder:
        Path(folder).chmod(0o755)  # as root the embedded PostgreSQL runs as nobody, who needs access
        try:
            build(Path(folder) / "wheels", "--wheel")
            for library in libraries():
                environments += _each_extra(library, Path(folder))
                passed = _as_documented(library, Path(folder))
                print(f"installed: {library.distribution} as its README says{passed}", flush=True)
        except StepError as error:
            print(f"installed: {error}", file=sys.stderr)
            sys.exit(1)
    print(f"installed: {len(IMPORTS)} libraries, {environments} environments, {time.monotonic() - begun:.0f} s")


def _each_extra(library: Library, folder: Path) -> int:
    chosen = IMPORTS[library.package]
    if missing := {ALONE, *library.extras} ^ set(chosen):
        raise StepError(f"{library.package}: the command and pyproject.toml differ in the extras {sorted(missing)}")
    for extra, code in chosen.items():
        name = f"{library.distribution}[{extra}]" if extra else library.distribution
        environment = Environment.made(folder / "environments" / name)
        environment.install(name, wheels=folder / "wheels")
        run([environment.python, "-c", code], folder)
        print(f"installed: {name}: {environment.size()}", flush=True)
    return len(chosen)


def _as_documented(library: Library, folder: Path) -> str:
    """Run the README's commands, and its example if there is one; returns what passed."""
    readme = library.folder / "README.md"
    environment, repository = folder / library.package / "venv", folder / library.package / "repository"
    venv.create(environment, with_pip=True)
    for command in INSTALL.findall(readme.read_text()):
        run([environment / "bin" / "pip", "--quiet", *shlex.split(command)[1:]], ROOT)
    run([environment / "bin" / "python", "-c", IMPORTS[library.package][ALONE]], folder)
    if not (example := files(readme)):
        return ""
    for name, content in example.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(content)
    output = run([environment / "bin" / "pytest", "-q"], repository)
    passed = re.findall(r"^\d+ passed", output, re.MULTILINE)
    if not passed:
        raise StepError(f"nothing passed:\n{output}")
    return f", {passed[0]}"


if __name__ == "__main__":
    main()
