"""The dashboards: the files are what the description makes, and ask for what the processes expose."""

import json
import re
from collections.abc import Mapping

import pytest
from shop_harness.services import SERVICES

from tools.alarms.faults import FAULTS
from tools.alarms.watching import Series
from tools.dashboards.__main__ import SHOWN
from tools.dashboards.asking import Asked, filled, judged
from tools.dashboards.description import DASHBOARDS, Dashboard, Panel
from tools.dashboards.files import FOLDER, texts

from ..defaults import built

PROMETHEUS_OWN = {"up", "ALERTS"}
NO_METRIC = re.compile(r'\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without) \([^)]*\)|"[^"]*"')
NAME = re.compile(r"(?<![\w.$])[A-Za-z_]\w*(?!\w|\s*\()")
KEPT = re.compile(r"\bby \(([^)]*)\)")
KEYWORDS = {"or", "and", "unless"}
TITLES = [dashboard.title for dashboard in DASHBOARDS]
PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
IDS = [f"{dashboard.uid}-{panel.title}" for dashboard, panel in PANELS]


async def series_of_all_processes() -> set[str]:
    """The names of all series that any process may expose."""
    names = set[str]()
    for name in SERVICES:
        service = built(name)
        for metric in service.metrics.registry.collect():
            names |= {f"{metric.name}{suffix}" for suffix in SUFFIXES.get(metric.type, ("",))}
        await service.close()
    return names


@pytest.fixture(scope="module")
async def exposed() -> set[str]:
    return await series_of_all_processes()


SUFFIXES: Mapping[str, tuple[str, ...]] = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def metrics_in(query: str) -> set[str]:
    return set(NAME.findall(NO_METRIC.sub(" ", query))) - KEYWORDS


def test_the_files_are_what_the_description_makes() -> None:
    assert {file.name: file.read_text() for file in FOLDER.iterdir()} == texts(), "make dashboards"


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=IDS)
def test_a_panel_asks_for_what_a_process_exposes(dashboard: Dashboard, panel: Panel, exposed: set[str]) -> None:
    named = {name for query in panel.queries.values() for name in metrics_in(query)}

    assert named
    assert named - exposed - PROMETHEUS_OWN == set(), dashboard.title


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=IDS)
def test_every_query_of_a_dashboard_by_service_is_about_the_service_that_is_chosen(
    dashboard: Dashboard, panel: Panel
) -> None:
    for query in panel.queries.values():
        assert query.count('{job=~"$service"') == (len(metrics_in(query)) if dashboard.by_service else 0)


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=IDS)
def test_what_is_drawn_in_seconds_is_counted_in_seconds(dashboard: Dashboard, panel: Panel) -> None:
    named = {name for query in panel.queries.values() for name in metrics_in(query)}

    others = {name for name in named if not name.endswith(("_seconds", "_seconds_bucket"))}
    assert panel.unit != "s" or others == set(), dashboard.title


QUANTILE = re.compile(r"histogram_quantile\(([\d.]+),")


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=IDS)
def test_a_quantile_is_the_one_that_its_line_or_its_panel_names(dashboard: Dashboard, panel: Panel) -> None:
    of_a_hundred = {"99 %"} if "one of a hundred" in panel.says.lower() else set()
    for legend, query in panel.queries.items():
        named = set(re.findall(r"\d+ %", legend)) or of_a_hundred
        assert {f"{100 * float(each):g} %" for each in QUANTILE.findall(query)} == named, dashboard.title


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=TITLES)
def test_no_two_panels_of_a_dashboard_have_one_title_or_one_id(dashboard: Dashboard) -> None:
    titles = [panel.title for panel in dashboard.panels]
    ids = [panel["id"] for panel in json.loads(texts()[f"{dashboard.uid}.json"])["panels"]]

    assert (len(set(titles)), len(set(ids))) == (len(titles), len(titles) + len(dashboard.rows))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=TITLES)
def test_grafana_gets_every_query_of_every_panel(dashboard: Dashboard) -> None:
    panels = json.loads(texts()[f"{dashboard.uid}.json"])["panels"]

    asked = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert asked == [query for panel in dashboard.panels for query in panel.queries.values()]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=TITLES)
def test_grafana_asks_for_exemplars_where_a_panel_shows_a_histogram(dashboard: Dashboard) -> None:
    targets = [
        target
        for panel in json.loads(texts()[f"{dashboard.uid}.json"])["panels"]
        for target in panel.get("targets", [])
    ]

    asked = {target["expr"] for target in targets if target["exemplar"]}
    assert asked
    assert asked == {
        target["expr"] for target in targets if "_bucket{" in target["expr"] and "histogram_" in target["expr"]
    }


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=TITLES)
def test_a_figure_is_asked_for_now_alone_and_a_line_for_each_of_its_points(dashboard: Dashboard) -> None:
    panels = [panel for panel in json.loads(texts()[f"{dashboard.uid}.json"])["panels"] if panel["type"] != "row"]

    asked = [{(target["instant"], target["range"]) for target in panel["targets"]} for panel in panels]
    assert asked == [{(panel.kind == "figure", panel.kind != "figure")} for panel in dashboard.panels]


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=IDS)
def test_each_label_that_a_query_keeps_names_its_lines(dashboard: Dashboard, panel: Panel) -> None:
    """Else two lines have one name: of two services, say, where all are chosen."""
    for legend, query in panel.queries.items():
        kept = {label for by in KEPT.findall(query) for label in by.split(", ")} - {"le"}
        assert {label for label in kept if f"{{{{{label}}}}}" not in legend} == set(), dashboard.title


def test_what_goes_wrong_for_the_panels_are_faults_that_there_are() -> None:
    assert set(SHOWN) <= {fault.name for fault in FAULTS}


# --- what counts as empty ---

NAN = float("nan")
JUDGED: Mapping[str, tuple[str, list[Series], str]] = {
    "a figure": ("{{job}}", [Series({"job": "orders"}, [NAN, 0.0])], ""),
    "nothing": ("all", [], "no figures"),
    "no number": ("all", [Series({}, [NAN, NAN])], "no figures"),
    "without what its line is named by": ("{{jub}}", [Series({"job": "orders"}, [1.0])], "no label jub"),
    "of two series one with the label": (
        "{{job}}",
        [Series({}, [1.0]), Series({"job": "orders"}, [1.0])],
        "",
    ),
}


@pytest.mark.parametrize(("legend", "found", "wrong"), JUDGED.values(), ids=list(JUDGED))
def test_an_answer_is_empty_without_a_number_or_without_a_label(legend: str, found: list[Series], wrong: str) -> None:
    assert judged(legend, found) == wrong


def test_an_empty_panel_is_named_with_its_dashboard_and_its_query() -> None:
    asked = Asked("The shop", Panel("Orders", "", {"all": "orders{}"}), ["no figures (all: orders{})"])

    assert str(asked) == "The shop, Orders: no figures (all: orders{})"


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=IDS)
def test_no_word_of_grafanas_is_left_in_a_query_that_is_asked(dashboard: Dashboard, panel: Panel) -> None:
    assert [query for query in map(filled, panel.queries.values()) if "$" in query] == [], dashboard.title
