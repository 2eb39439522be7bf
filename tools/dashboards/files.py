"""deploy/observability/dashboards: what Grafana loads, written from the description, never by hand."""

import json
import warnings
from collections.abc import Mapping
from itertools import count

from shop_harness.services import ROOT

from tools.dashboards.description import DASHBOARDS, SERVICE, Dashboard, Panel

with warnings.catch_warnings():
    # of Grafana's two forms of a dashboard we write the one that every Grafana reads
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
    from grafana_foundation_sdk.builders.dashboard import Dashboard as GrafanaDashboard
    from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable, Row
    from grafana_foundation_sdk.builders.prometheus import Dataquery
    from grafana_foundation_sdk.builders.stat import Panel as Stat
    from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.common import (
        DataSourceRef,
        LegendDisplayMode,
        LegendPlacement,
        SortOrder,
        TooltipDisplayMode,
    )
    from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

FOLDER = ROOT / "deploy" / "observability" / "dashboards"
WIDTH, HEIGHT = 8, 8
"""Three panels beside each other: Grafana has 24 columns."""
TAG = "shop"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whichever Prometheus the reader of a dashboard chooses; there is mostly one."""
LEGEND = VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
TOOLTIP = VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)


def texts() -> Mapping[str, str]:
    """All files, by their names."""
    return {f"{each.uid}.json": text_of(each) for each in DASHBOARDS}


def write() -> None:
    """Write the files, and take away those of dashboards that there were."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = texts()
    for file in FOLDER.glob("*.json"):
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)


def text_of(dashboard: Dashboard) -> str:
    """A dashboard as Grafana reads it."""
    return json.dumps(_built(dashboard).build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _built(dashboard: Dashboard) -> GrafanaDashboard:
    built = (
        GrafanaDashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.says)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    if dashboard.by_service:
        built.with_variable(_service_variable())
    ids = count(1)
    for heading, panels in dashboard.rows.items():
        built.with_row(Row(heading).id(next(ids)))
        for panel in panels:
            built.with_panel(_panel(panel).id(next(ids)))
    return built


def _service_variable() -> QueryVariable:
    return (
        QueryVariable(SERVICE)
        .label("Service")
        .datasource(SOURCE)
        .query("label_values(database_up, job)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def asks_a_histogram(query: str) -> bool:
    """Whether Grafana draws a point for each exemplar, which leads to a trace."""
    return query.startswith("histogram_quantile(")


def _panel(panel: Panel) -> Timeseries | Stat:
    built = Stat() if panel.kind == "figure" else Timeseries().min(0).legend(LEGEND).tooltip(TOOLTIP)
    built.title(panel.title).description(panel.says).unit(panel.unit).datasource(SOURCE)
    built.span(WIDTH).height(HEIGHT)
    for letter, (legend, query) in zip("ABCDEF", panel.queries.items(), strict=False):
        asked = Dataquery().ref_id(letter).datasource(SOURCE).expr(query).legend_format(legend)
        asked.exemplar(asks_a_histogram(query))
        built.with_target(asked.instant() if panel.kind == "figure" else asked.range())
    return built
