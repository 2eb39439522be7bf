"""Prometheus and its alertmanager, as Debian packages them or as their own releases name them."""

import shutil

PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "alertmanager": "prometheus-alertmanager"}
NAMES = {"alertmanager": ("prometheus-alertmanager", "alertmanager")}
"""Debian's name first."""


class ProgramMissingError(RuntimeError):
    """A program isn't installed; the message says how it is."""


def program(name: str) -> str:
    """Where a program is. Raises ProgramMissingError."""
    for candidate in NAMES.get(name, (name,)):
        if found := shutil.which(candidate):
            return found
    raise ProgramMissingError(f"no {name} here: `apt-get install {PACKAGES[name]}`")
