"""`python -m tools.installed`: installs each library with pip, as its README says, in an environment of its own.

For each library: a new virtual environment, the `pip install` of the README, the imports, and for backing_services the
minimal example. Nothing of this project's environment is used.
"""

import re
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from libs.backing_services.tests.snippets import files
from tools.uv import own_environment

ROOT = Path(__file__).parents[2]
INSTALL = re.compile(r"^    (pip install [^#\n]*[^#\s])", re.MULTILINE)
IMPORTS = {
    "backing_services": "import backing_services.postgres, backing_services.kafka",
    "outboxed": "import outboxed.process, outboxed.testing.tracking",
    "pact_faststream": "import pact_faststream.broker.__main__, pact_faststream.matrix; pact_faststream.MessagePact",
    "asyncapi_gate": "import asyncapi_gate.__main__, asyncapi_gate",
}
"""The code of each library that must work after its README's last install command."""


def main() -> None:
    """Exit with 1 when a step fails; its output is printed."""
    begun = time.monotonic()
    for library in sorted(path.parent.name for path in ROOT.glob("libs/*/pyproject.toml")):
        imports = IMPORTS[library]
        readme = ROOT / "libs" / library / "README.md"
        with tempfile.TemporaryDirectory(prefix="installed-") as folder:
            Path(folder).chmod(0o755)  # as root the embedded PostgreSQL runs as nobody, who needs access
            environment, repository = Path(folder) / "venv", Path(folder) / "repository"
            venv.create(environment, with_pip=True)
            for command in INSTALL.findall(readme.read_text()):
                _run([environment / "bin" / "pip", "--quiet", *shlex.split(command)[1:]], ROOT)
            _run([environment / "bin" / "python", "-c", imports], Path(folder))
            print(f"installed: {library}{_tested(readme, environment, repository)}", flush=True)
    print(f"installed: {len(IMPORTS)} libraries in {time.monotonic() - begun:.0f} s")


def _tested(readme: Path, environment: Path, repository: Path) -> str:
    """Run the README's example, if there is one, and return its result."""
    if not (example := files(readme)):
        return ""
    for name, content in example.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(content)
    output = _run([environment / "bin" / "pytest", "-q"], repository)
    passed = re.findall(r"^\d+ passed", output, re.MULTILINE)
    if not passed:
        sys.exit(f"installed: nothing passed:\n{output}")
    return f", {passed[0]}"


def _run(command: list[Path | str], folder: Path) -> str:
    done = subprocess.run(  # noqa: S603 - as documented
        command, cwd=folder, env=own_environment(), check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        print(f"installed: {shlex.join(map(str, command))} ended with {done.returncode}:", file=sys.stderr)
        print(done.stdout + done.stderr, file=sys.stderr)
        sys.exit(1)
    return done.stdout


if __name__ == "__main__":
    main()
