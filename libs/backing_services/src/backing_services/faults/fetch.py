"""`python -m backing_services.faults.fetch`: build Toxiproxy (MIT licence, by Shopify) with Go into the cache, once."""

import os
import shutil
import subprocess
from pathlib import Path

from backing_services._cache import fetch_command, published
from backing_services.faults.proxies import VERSION, binary
from backing_services.faults.unavailable import FaultError

MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"


def fetch() -> Path:
    """Return the program, building it first if it is missing. Raises FaultError."""
    if binary().exists():
        return binary()
    if shutil.which("go") is None:
        raise FaultError("no go on the PATH: install Go, or Toxiproxy itself as toxiproxy-server")
    published(binary().parent, _build)
    return binary()


def _build(folder: Path) -> None:
    environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    done = subprocess.run(  # noqa: S603 - our own command
        ["go", "install", MODULE],  # noqa: S607 - Go from the PATH
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise FaultError(f"Go could not build Toxiproxy: {done.stderr.strip()[-500:]}")


if __name__ == "__main__":
    fetch_command(fetch, FaultError)
