"""The alarms: one description, the file made of it, a page for each, and a fault that makes each ring."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from shop_harness.services import ROOT, SERVICES

from tools.alarms.description import ALARMS, FEW, Alarm, Scale, rules
from tools.alarms.faults import FAULTS
from tools.alarms.files import FILE, RUNBOOKS, text_of
from tools.alarms.programs import ProgramMissingError, program
from tools.alarms.trial import OWN_SECONDS, Trial, limit_of
from tools.alarms.watching import Ringing

from ..defaults import built
from .test_dashboards import PROMETHEUS_OWN, metrics_in, series_of_all_processes

NAMES = [alarm.name for alarm in ALARMS]
SHARE = re.compile(r" / |histogram_quantile")
HEADINGS = ["What it means", "See it", "What to do"]


def test_the_file_of_rules_is_what_the_description_says() -> None:
    assert FILE.read_text() == text_of(Scale()), "python -m tools.alarms --write-rules"


def test_each_alarm_has_a_page_and_each_page_an_alarm() -> None:
    assert {page.name for page in RUNBOOKS.glob("*.md")} == {alarm.page for alarm in ALARMS}


@pytest.mark.parametrize("alarm", ALARMS, ids=NAMES)
def test_a_page_says_what_it_means_how_to_see_it_and_what_to_do(alarm: Alarm) -> None:
    text = (RUNBOOKS / alarm.page).read_text()

    assert text.startswith(f"# {alarm.name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("alarm", ALARMS, ids=NAMES)
def test_a_page_is_found_from_the_alarm_and_on_the_site(alarm: Alarm) -> None:
    [rule] = [each for each in rules(Scale())["groups"][0]["rules"] if each["alert"] == alarm.name]

    assert (ROOT / rule["annotations"]["runbook_url"]).is_file()
    assert f"- docs/runbooks/{alarm.page}" in (ROOT / "docs/site/mkdocs.yml").read_text()


@pytest.mark.parametrize("alarm", ALARMS, ids=NAMES)
def test_the_page_of_all_alarms_says_who_is_woken_and_how_soon(alarm: Alarm) -> None:
    """Whoever makes a ticket of a page changes what a person has been promised: in two places."""
    times = f"{alarm.within // 60} min | {alarm.lasts} s"
    row = f"| [{alarm.name}](../runbooks/{alarm.page}) | {alarm.severity} | {times} |\n"

    assert row in (ROOT / "docs/reference/alarms.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_each_alarm_is_made_to_ring_by_a_fault_and_by_promtools_tests(name: str) -> None:
    assert any(name in {each.alarm for each in fault.rings} for fault in FAULTS)
    assert f'alertname="{name}"' in (ROOT / "deploy/observability/alerts_test.yml").read_text()


def test_every_fault_names_alarms_that_there_are() -> None:
    named = {each.alarm for fault in FAULTS for each in fault.rings} | {name for fault in FAULTS for name in fault.may}

    assert named <= set(NAMES)


@pytest.mark.parametrize("alarm", ALARMS, ids=NAMES)
def test_an_alarm_cannot_promise_to_ring_before_its_rule_has_held(alarm: Alarm) -> None:
    assert alarm.within >= alarm.lasts + 60


@pytest.mark.parametrize("alarm", [alarm for alarm in ALARMS if SHARE.search(alarm.rule)], ids=lambda alarm: alarm.name)
def test_a_share_rings_only_with_some_cases_behind_it(alarm: Alarm) -> None:
    for rule in filter(None, (alarm.rule, alarm.or_in_hours)):
        assert f" >= {FEW}" in rule


# --- what the processes say ---


@pytest.fixture(scope="module")
async def exposed() -> set[str]:
    return await series_of_all_processes()


def rule_of(alarm: Alarm) -> str:
    return Scale().rule(alarm)


@pytest.mark.parametrize("alarm", ALARMS, ids=NAMES)
def test_an_alarm_listens_to_what_a_process_exposes(alarm: Alarm, exposed: set[str]) -> None:
    named = metrics_in(rule_of(alarm))

    assert named
    assert named - exposed - PROMETHEUS_OWN == set()


def test_the_page_of_metrics_has_those_that_a_process_exposes_and_no_others(exposed: set[str]) -> None:
    page = (ROOT / "docs/reference/health-and-metrics.md").read_text()
    cells = [cell for cell in re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE) if "/" not in cell]
    told = {name.partition("{")[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)}

    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed if not name.startswith("process_")}
    assert {name for name in told if not name.startswith("process_")} == ours


def values_of(label: str) -> set[str]:
    """What rules compare a label with: each value, or each pattern's own words."""
    matcher = re.compile(rf'\b{label}(=~|!=|=)"([^"]*)"')
    return {found[2] for alarm in ALARMS for found in matcher.finditer(rule_of(alarm))}


@dataclass(frozen=True)
class Known:
    """Kinds of tasks, types of published events, and routes, of all services."""

    kinds: set[str]
    types: set[str]
    routes: set[str]


@pytest.fixture(scope="module")
async def known() -> Known:
    found = Known(set(), set(), {"other"})
    for name in SERVICES:
        service = built(name)
        found.kinds.update(kind.name for kind in service.worker.kinds)
        found.types.update(event.type for event in service.published)
        found.routes.update(service.create_app().openapi()["paths"])
        await service.close()
    return found


def test_an_alarm_about_a_kind_of_tasks_a_type_of_events_or_a_route_names_one_that_there_is(known: Known) -> None:
    for label, there in (("kind", known.kinds), ("type", known.types), ("route", known.routes)):
        strange = [each for each in values_of(label) if not any(re.fullmatch(each, one) for one in there)]
        assert strange == [], f"an alarm asks for a {label} that no service has; there are {sorted(there)}"


SNAKE = re.compile(r"`([a-z]+(?:_[a-z]+)+)(?:\{[^`]*\})?`")
OF_OTHERS = ("pg_", "kubernetes_")
"""Names of PostgreSQL's and of Prometheus' own."""


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every text in the code that runs: names of log lines, of headers and of errors are among them."""
    files = (
        file for folder in ("libs/outboxed", "services/*", "console") for file in ROOT.glob(f"{folder}/src/**/*.py")
    )
    return {word for file in files for word in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', file.read_text())}


PAGES = [
    *RUNBOOKS.glob("*.md"),
    *(ROOT / "docs/how-to" / name for name in ("find-out-what-is-wrong.md", "watch-it.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_tells_somebody_to_look_for_is_said_by_a_process(
    page: Path, exposed: set[str], words: set[str], known: Known
) -> None:
    named = {name for name in SNAKE.findall(page.read_text()) if not name.startswith(OF_OTHERS)}
    families = {re.sub("_(?:bucket|count|sum)$", "", name) for name in exposed}

    assert named - exposed - families - words - known.kinds == set()


# --- the scale ---

SCALED: Mapping[str, tuple[str, str]] = {
    "x > <120>": ("x > 120", "x > 4"),
    "rate(x[<300s>])": ("rate(x[5m])", "rate(x[10s])"),
    "rate(x[<90s>])": ("rate(x[90s])", "rate(x[3s])"),
    "rate(x[<45s>])": ("rate(x[45s])", "rate(x[1500ms])"),
    'x{le="<le 60>"}': ('x{le="60.0"}', 'x{le="1.0"}'),
}


@pytest.mark.parametrize(("rule", "texts"), SCALED.items(), ids=list(SCALED))
def test_durations_limits_and_buckets_are_scaled_and_nothing_else(rule: str, texts: tuple[str, str]) -> None:
    assert (Scale().promql(rule), Scale(1 / 30).promql(rule)) == texts


def test_a_rule_with_windows_of_hours_stands_in_the_unscaled_rules_alone() -> None:
    alarm = Alarm("A", "rate(x[<300s>])", 60, 120, "page", "", or_in_hours="rate(x[<21600s>])")

    assert (Scale().rule(alarm), Scale(1 / 30).rule(alarm)) == ("(rate(x[5m])) or (rate(x[360m]))", "rate(x[10s])")


# --- a trial ---


def trial(rang: float | None, *others: Ringing) -> Trial:
    return Trial(FAULTS[0], 10.0, rang, 1.0, others=frozenset(others))


def test_a_trial_counts_if_its_alarm_rang_in_time() -> None:
    assert [trial(rang).rang_in_time for rang in (9.9, 10.1, None)] == [True, False, False]


def test_a_verdict_names_what_rang_wrongly() -> None:
    assert trial(3.0, Ringing("ApiSlow", "orders")).verdict == (
        "rang after 3.0 s (at most 10) and ended 1.0 s after it; wrong: ApiSlow of orders"
    )


def test_a_limit_is_that_of_the_slowest_alarm_of_the_fault() -> None:
    within = {alarm.name: alarm.within for alarm in ALARMS}
    [halted] = [fault for fault in FAULTS if "refuses every event" in fault.name]

    assert limit_of(halted, Scale(1 / 30)) == max(within["ConsumerHalted"], within["DeadLetters"]) / 30 + OWN_SECONDS


def test_a_missing_program_is_one_line_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ProgramMissingError, match=r"^no alertmanager here: `apt-get install prometheus-alertmanager`$"):
        program("alertmanager")
