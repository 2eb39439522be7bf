"""``python -m tools.installed``: the two libraries in a repository of somebody else's, with pip, as their READMEs say.

Nothing of this project's environment is used: a new virtual environment, the packages of `pip install`, and the files
of the minimal example of backing_services.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from libs.backing_services.tests.snippets import files

ROOT = Path(__file__).parents[2]
README = ROOT / "libs" / "backing_services" / "README.md"
INSTALL = re.compile(r"^    (pip install .*)$", re.MULTILINE)


def main() -> None:
    """Exit with 1 when a step fails; its output is printed."""
    begun = time.monotonic()
    [command] = INSTALL.findall(README.read_text())
    with tempfile.TemporaryDirectory(prefix="installed-") as folder:
        Path(folder).chmod(0o755)  # as root the embedded PostgreSQL runs as nobody, who has to come in
        environment, repository = Path(folder) / "venv", Path(folder) / "repository"
        venv.create(environment, with_pip=True)
        _run([environment / "bin" / "pip", "--quiet", *shlex.split(command)[1:]], ROOT)
        for name, content in files(README).items():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            (repository / name).write_text(content)
        output = _run([environment / "bin" / "pytest", "-q"], repository)
    passed = re.findall(r"^\d+ passed", output, re.MULTILINE)
    if not passed:
        sys.exit(f"installed: nothing passed:\n{output}")
    print(f"installed: {command}, and {passed[0]} in {time.monotonic() - begun:.0f} s")


def _run(command: list[Path | str], folder: Path) -> str:
    foreign = ("PYTEST_", "PYTHON", "TEST_", "TESTKIT_", "REQUIRE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(  # noqa: S603 - as documented
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        print(f"installed: {shlex.join(map(str, command))} ended with {done.returncode}:", file=sys.stderr)
        print(done.stdout + done.stderr, file=sys.stderr)
        sys.exit(1)
    return done.stdout


if __name__ == "__main__":
    main()
