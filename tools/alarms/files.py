"""deploy/observability/alerts.yml: written from the description, never by hand."""

from pathlib import Path

import yaml
from shop_harness.services import ROOT

from tools.alarms.description import Scale, rules

FILE = ROOT / "deploy" / "observability" / "alerts.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
HEAD = """\
# Alarms for Prometheus, each with a page in docs/runbooks. Made from tools/alarms/description.py by
# `python -m tools.alarms --write-rules`: not to be edited here.
"""


def text_of(scale: Scale) -> str:
    """The file's text."""
    return HEAD + yaml.safe_dump(rules(scale), sort_keys=False, width=1000)


def write_rules(file: Path = FILE, scale: Scale | None = None) -> None:
    """Write the file of rules."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text_of(scale or Scale()))
