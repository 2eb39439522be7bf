"""Clients that call this machine: a proxy of the environment, or its authorities, must not come between."""

import ast
import re
import subprocess
from collections.abc import Iterator

from shop_harness.services import ROOT

CALLS = {"AsyncClient", "Client", "get", "post", "put", "delete", "request", "stream"}
CALL = re.compile(rf"\bhttpx\.(?:{'|'.join(CALLS)})\(")
REMOTE = ("libs/pact_faststream/", "examples/tasks/before/", "examples/tasks/after/")
"""Their clients are of a Pact Broker or a payment gateway, which may be far away."""


# slime#1714, vibe-seller#111: a proxy came between a program and its neighbour on the same machine
def test_every_client_of_httpx_has_a_transport_of_its_own_or_ignores_the_environment() -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()  # noqa: S603
    present = [name for name in names if (ROOT / name).exists() and not name.startswith(REMOTE)]

    assert not [f"{name}:{line}" for name in present for line in _trusting((ROOT / name).read_text())]


def test_a_client_that_reads_the_environment_is_seen() -> None:
    seen = list(_trusting("httpx.AsyncClient()\nhttpx.get(url, timeout=1)\nhttpx.Client(trust_env=True)\n"))

    assert seen == [1, 2, 3]
    assert not list(_trusting("httpx.AsyncClient(trust_env=False)\nhttpx.Client(transport=t)\nhttpx.URL(u)\n"))


def _trusting(source: str) -> Iterator[int]:
    """The lines of calls that would read the environment."""
    if not CALL.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "httpx"):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        trusts = given.get("trust_env")
        if "transport" not in given and not (isinstance(trusts, ast.Constant) and trusts.value is False):
            yield node.lineno
