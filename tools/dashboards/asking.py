"""Each panel's question, asked of a real Prometheus as Grafana asks it: which panels would be empty?"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shop_harness.services import SERVICES

from tools.alarms.watching import NoQueryError, Series, Watch
from tools.dashboards.description import DASHBOARDS, EACH, SERVICE, Panel

WINDOW = "4s"
"""Four scrapes, as Grafana counts it."""
LABEL = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Asked:
    """One panel, and what is wrong with it, a line for each of its queries; nothing if all have figures."""

    dashboard: str
    panel: Panel
    wrong: Sequence[str]

    def __str__(self) -> str:
        return f"{self.dashboard}, {self.panel.title}: {'; '.join(self.wrong)}"


async def asked(watch: Watch, since: float) -> Sequence[Asked]:
    """All panels, over the time since then. Raises httpx.HTTPError."""
    return [
        Asked(dashboard.title, panel, await _wrong(watch, panel, since))
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
    ]


async def _wrong(watch: Watch, panel: Panel, since: float) -> Sequence[str]:
    found = [(legend, query, await _judged(watch, legend, query, since)) for legend, query in panel.queries.items()]
    return [f"{problem} ({legend}: {query})" for legend, query, problem in found if problem]


async def _judged(watch: Watch, legend: str, query: str, since: float) -> str:
    try:
        return judged(legend, await watch.series(filled(query), since))
    except NoQueryError as error:
        return str(error)


def filled(query: str) -> str:
    """A query without Grafana's variables: of all services."""
    return query.replace(EACH, WINDOW).replace(f"${SERVICE}", "|".join(SERVICES))


def judged(legend: str, found: Sequence[Series]) -> str:
    """What is wrong with an answer; empty if nothing is. A series of no numbers draws no line."""
    drawn = [series for series in found if any(map(math.isfinite, series.points))]
    if not drawn:
        return "no figures"
    missing = {label for label in LABEL.findall(legend) if not any(label in series.labels for series in drawn)}
    return f"no label {', '.join(sorted(missing))}" if missing else ""
