"""What watches the shop: Prometheus, its alertmanager, Grafana, Jaeger and the collector, as their files say."""

import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from outboxed.telemetry import exemplar
from shop_harness.services import ALL

from tools.scratch import ROOT

from ..compose import CONTAINERS, WATCHING

OBSERVABILITY = ROOT / "deploy/observability"


def observing(file: str) -> Any:
    return yaml.safe_load((OBSERVABILITY / file).read_text())


def mounted(name: str) -> dict[str, str]:
    """Which files of this folder a container has, by where it finds them."""
    volumes = [volume.split(":") for volume in CONTAINERS[name].get("volumes", ())]
    return {target: source for source, target, *_ in volumes if source.startswith("./")}


WITH_A_FILE = [name for name in WATCHING if (OBSERVABILITY / f"{name}.yml").is_file()]


@pytest.mark.parametrize("name", WITH_A_FILE)
def test_a_server_reads_the_file_that_is_made_for_it(name: str) -> None:
    """Its image has one of its own, with which it starts and does something else."""
    [named] = re.findall(r"--config(?:\.file)?=(\S+)", " ".join(CONTAINERS[name]["command"]))

    assert mounted(name).get(named) == f"./deploy/observability/{name}.yml"


@pytest.mark.parametrize("file", sorted((OBSERVABILITY / "grafana").iterdir()), ids=attrgetter("name"))
def test_each_file_for_grafana_is_where_grafana_looks_for_its_kind(file: Path) -> None:
    """It passes over what is anywhere else, and starts without it."""
    where = {source: target for target, source in mounted("grafana").items()}

    target = Path(where[f"./deploy/observability/grafana/{file.name}"])
    assert (str(target.parent), target.suffix) == (f"/etc/grafana/provisioning/{file.stem}", ".yml")


def test_prometheus_asks_every_service_by_the_name_that_dashboards_and_alarms_know() -> None:
    asked = {
        each["job_name"]: [target for static in each["static_configs"] for target in static["targets"]]
        for each in observing("prometheus.yml")["scrape_configs"]
    }

    assert asked == {name: [f"{name}:{service.port}"] for name, service in ALL.items()}
    settings = {key for each in observing("prometheus.yml")["scrape_configs"] for key in each}
    assert settings == {"job_name", "static_configs"}, "by default it asks for /metrics, as all services have it"


def test_prometheus_judges_by_our_rules_and_tells_the_alertmanager() -> None:
    settings = observing("prometheus.yml")
    [told] = settings["alerting"]["alertmanagers"]
    volumes = CONTAINERS["prometheus"]["volumes"]

    assert "./deploy/observability/alerts.yml:/etc/prometheus/alerts.yml:ro" in volumes
    assert settings["rule_files"] == ["alerts.yml"]
    assert told == {"static_configs": [{"targets": ["alertmanager:9093"]}]}


def test_every_address_that_grafana_and_the_collector_have_is_a_container_of_theirs() -> None:
    urls = [each["url"] for each in observing("grafana/datasources.yml")["datasources"]]
    exporters = [each["endpoint"] for each in observing("otel-collector.yml")["exporters"].values()]

    hosts = {re.sub(r"^http://", "", address).partition(":")[0] for address in [*urls, *exporters]}
    assert hosts <= set(WATCHING)


def test_a_point_of_a_histogram_leads_to_its_trace() -> None:
    sources = observing("grafana/datasources.yml")["datasources"]
    [led] = [each["jsonData"]["exemplarTraceIdDestinations"] for each in sources if each["type"] == "prometheus"]
    provider = TracerProvider(shutdown_on_exit=False)

    with trace.use_span(provider.get_tracer("a").start_span("a")):
        labels = exemplar() or {}
    assert [each["name"] for each in led if each["name"] in labels] == ["trace_id"]
    assert {each["datasourceUid"] for each in led} == {each["uid"] for each in sources if each["type"] == "jaeger"}


def test_the_page_names_where_the_collector_takes_the_services_traces() -> None:
    port = observing("otel-collector.yml")["receivers"]["otlp"]["protocols"]["http"]["endpoint"].partition(":")[2]
    page = (ROOT / "docs/how-to/watch-it.md").read_text()

    assert re.findall("OTEL_EXPORTER_OTLP_ENDPOINT=(.*)", page) == [f"http://otel-collector:{port}"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in CONTAINERS["orders"]["environment"]


def test_grafana_has_the_folder_of_dashboards_where_it_looks_for_them() -> None:
    [provider] = observing("grafana/dashboards.yml")["providers"]
    grafana = CONTAINERS["grafana"]

    assert f"./deploy/observability/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (OBSERVABILITY / "dashboards" / home.name).is_file()


def test_grafana_lets_strangers_look_and_nobody_else_in() -> None:
    environment = CONTAINERS["grafana"]["environment"]

    assert {name for name in environment if name.startswith(("GF_AUTH", "GF_USERS", "GF_SECURITY"))} == {
        "GF_AUTH_ANONYMOUS_ENABLED",  # as a viewer, which is the default
        "GF_SECURITY_ADMIN_PASSWORD",
    }
    assert [each["allowUiUpdates"] for each in observing("grafana/dashboards.yml")["providers"]] == [False]


WINDOW = re.compile(r"\[(\d+)(ms|s|m|h)\]")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    number, unit = re.findall(r"(\d+)([a-z]+)", text)[0]
    return int(number) * SECONDS[unit]


def test_prometheus_keeps_a_months_budget_and_asks_often_enough_for_every_rule() -> None:
    command = dict(option.removeprefix("--").partition("=")[::2] for option in CONTAINERS["prometheus"]["command"])
    asking = observing("prometheus.yml")["global"]
    windows = [seconds("".join(found)) for found in WINDOW.findall((OBSERVABILITY / "alerts.yml").read_text())]

    assert seconds(command["storage.tsdb.retention.time"]) >= 30 * SECONDS["d"]
    assert command["enable-feature"] == "exemplar-storage"
    assert seconds(asking["scrape_interval"]) <= min(windows) / 4, "a rate needs some points in its window"
    assert seconds(asking["evaluation_interval"]) <= 30
    assert [
        each["jsonData"]["timeInterval"]
        for each in observing("grafana/datasources.yml")["datasources"]
        if each["type"] == "prometheus"
    ] == [asking["scrape_interval"]]


def test_the_collector_uses_all_that_it_has_and_refuses_before_it_is_full() -> None:
    settings = observing("otel-collector.yml")
    pipelines = settings["service"]["pipelines"].values()

    for part in ("receivers", "processors", "exporters"):
        assert {name for each in pipelines for name in each[part]} == set(settings[part])
    assert [each["processors"][0] for each in pipelines] == ["memory_limiter"]
    taken = settings["receivers"]["otlp"]["protocols"].values()
    assert [each["endpoint"] for each in taken if each["endpoint"].startswith(("127.", "localhost"))] == []


def test_the_collector_speaks_to_a_container_as_that_listens() -> None:
    """By default it asks for TLS, which nobody in these containers has."""
    exporters = observing("otel-collector.yml")["exporters"]
    by_grpc = {name: exporter for name, exporter in exporters.items() if name.startswith("otlp_grpc")}

    assert by_grpc
    assert {name: (each.get("tls"), each["endpoint"].rpartition(":")[2]) for name, each in by_grpc.items()} == (
        dict.fromkeys(by_grpc, ({"insecure": True}, "4317"))
    )


def test_the_alertmanager_keeps_services_apart() -> None:
    settings = observing("alertmanager.yml")

    assert {"alertname", "job"} <= set(settings["route"]["group_by"]), "an alarm would hide that of another service"
    assert settings["route"]["receiver"] in {each["name"] for each in settings["receivers"]}


def test_the_alertmanager_tells_of_a_new_alarm_within_a_minute_and_of_more_within_five() -> None:
    """Its own defaults are 30 s for a new group, and 5 minutes for what joins it."""
    routes = [observing("alertmanager.yml")["route"]]
    for route in routes:
        routes += route.get("routes", ())

    assert [route for route in routes if seconds(route.get("group_wait", "30s")) > 60] == []
    assert [route for route in routes if seconds(route.get("group_interval", "5m")) > 300] == []


def test_grafana_fetches_nothing_when_it_starts() -> None:
    environment = CONTAINERS["grafana"]["environment"]
    fetching = (
        "PREINSTALL_AUTO_UPDATE",
        "CHECK_FOR_UPDATES",
        "CHECK_FOR_PLUGIN_UPDATES",
        "REPORTING_ENABLED",
        "FEED_ENABLED",
    )

    assert [environment[name] for name in environment if name.endswith(fetching)] == ["false"] * len(fetching)


def test_jaeger_keeps_as_many_traces_as_the_page_says() -> None:
    [limit] = CONTAINERS["jaeger"]["command"]

    traces = f"{int(limit.rpartition('.max_traces=')[2]):,}"
    assert f"the last {traces} traces" in (ROOT / "docs/how-to/watch-it.md").read_text()


@pytest.mark.parametrize("name", WATCHING)
def test_what_watches_starts_only_where_somebody_asks_for_it_and_can_do_little(name: str) -> None:
    service = CONTAINERS[name]

    assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["DAC_OVERRIDE"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [name for name, each in CONTAINERS.items() if set(each.get("depends_on", {})) & set(WATCHING)] == [
        "otel-collector"
    ]
