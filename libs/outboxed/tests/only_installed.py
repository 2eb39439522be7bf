"""Runs code as if nothing but a distribution with some extras were installed: other packages can't be imported."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement

REFUSES = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def requirements(name: str, extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """What a distribution asks for on this Python, with the extras of each."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        chosen = ("", *extras)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in chosen):
            yield normalized(requirement.name), frozenset(requirement.extras)


def installed_by(name: str, extras: frozenset[str]) -> set[str]:
    """The distributions that installing this one brings, itself included."""
    found: set[tuple[str, frozenset[str]]] = set()
    left = [(name, extras)]
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += requirements(*each)
    return {each for each, _ in found}


def normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def run_with(extras: frozenset[str], code: str, *, name: str = "outboxed") -> "subprocess.CompletedProcess[str]":
    """Run code where nothing but `name` with these extras can be imported, beside the standard library."""
    allowed = installed_by(name, extras)
    refused = {
        package
        for package, distributions in packages_distributions().items()
        if not allowed & {normalized(each) for each in distributions}
    }
    program = f"REFUSED = {sorted(refused)!r}\n{REFUSES}\n{code}"
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)  # noqa: S603
