"""What `docker compose config` can't see: that the files stay alike, pinned, on loopback, and usable side by side."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from backing_services.kafka.apache import VERSION as KAFKA_VERSION
from mail_catcher.settings import Settings as MailboxSettings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from outboxed.healthcheck import TIMEOUT_SECONDS
from outboxed.tasks._worker import MAX_GRACE
from outboxed.telemetry import exemplar
from shop_harness.services import ALL, SERVICES

from tools.pythons.interpreters import SUPPORTED

from ..defaults import is_default, settings_of

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ON_LOOPBACK = re.compile(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+")


@pytest.mark.parametrize("service", SERVICES[1:])
def test_the_services_dockerfiles_differ_in_name_port_and_description_only(service: str) -> None:
    expected = generic_dockerfile("services/orders").replace("orders", service).replace("ORDERS", service.upper())

    assert generic_dockerfile(f"services/{service}") == expected


def test_the_consoles_dockerfile_is_a_services_but_for_its_folder_its_command_and_the_pacts() -> None:
    expected = generic_dockerfile("services/orders").replace('"orders"]', '"shop_console", "run"]')
    expected = re.sub(r"# The services' Dockerfiles [^\n]*\n", "", expected)
    expected = expected.replace("services/orders", "console").replace("orders", "console").replace("ORDERS", "CONSOLE")

    dockerfile = generic_dockerfile("console").replace(" CONSOLE_CONTRACTS=/app/contracts/pacts", "")
    pacts = re.compile(r"^(COPY|RUN|#) [^\n]*(contracts|checked out)[^\n]*\n", re.MULTILINE)
    assert pacts.sub("", dockerfile) == expected


def generic_dockerfile(folder: str) -> str:
    text = (ROOT / folder / "Dockerfile").read_text()
    text = re.sub(r"\b80\d\d\b", "PORT", text)
    return re.sub(r"(image\.description)=.*", r"\1", text)


def test_the_images_are_built_with_one_python_and_one_uv() -> None:
    others = [ROOT / "sandbox/Dockerfile", ROOT / "console/Dockerfile"]
    dockerfiles = [*others, *(ROOT / "services" / service / "Dockerfile" for service in SERVICES)]
    pins = {
        tuple(re.findall(r"^ARG PYTHON_IMAGE=(\S+:\S+)|\buv==(\S+)", file.read_text(), re.MULTILINE))
        for file in dockerfiles
    }

    assert len(pins) == 1
    assert len(next(iter(pins))) == 2


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_every_image_can_be_changed_by_a_variable_and_has_a_tag(service: str) -> None:
    image = COMPOSE["services"][service]["image"]

    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z/-]+:[\w.-]+\}", image)
    assert ":latest" not in image


def test_the_containers_are_those_that_the_tests_take_for_themselves() -> None:
    assert COMPOSE["services"]["kafka"]["image"] == f"${{KAFKA_IMAGE:-apache/kafka:{KAFKA_VERSION}}}"
    assert COMPOSE["services"]["postgres"]["image"] == "${POSTGRES_IMAGE:-postgres:18}"


def test_every_port_is_on_loopback_and_can_be_changed() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert len(published) == 12 + len(SERVICES)
    assert [port for port in published if not ON_LOOPBACK.fullmatch(str(port))] == []


def test_several_can_run_side_by_side() -> None:
    parts = [*COMPOSE["services"].values(), *filter(None, COMPOSE["volumes"].values())]

    assert not {"container_name", "name", "network_mode", "external"} & {key for part in parts for key in part}


ONE_SHOTS = [name for name, service in COMPOSE["services"].items() if service.get("healthcheck") == {"disable": True}]
OURS = [*SERVICES, "payment-gateway", "console"]
NOBODY_CAN_ASK = {"otel-collector"}
"""Its image has one program, which can't ask whether it's ready; nobody waits for it."""
SERVERS = [name for name in COMPOSE["services"] if name not in {*ONE_SHOTS, *SERVICES, *NOBODY_CAN_ASK}]
WATCHING = [name for name, each in COMPOSE["services"].items() if each.get("profiles") == ["observability"]]
MIGRATIONS = [f"{service}-migrate" for service in SERVICES]
DATA = {
    "kafka": "kafka:/var/lib/kafka/data",
    "postgres": "postgres:/var/lib/postgresql",
    "pact-broker-postgres": "pact-broker:/var/lib/postgresql",
    "payment-gateway": "payment-gateway:/var/lib/payment-gateway",
    "prometheus": "prometheus:/prometheus",
}
"""What must outlive a container, and where its image keeps it."""
GIVEN_BACK = {
    "kafka-topics": {
        "read_only": "Kafka's scripts make a folder for their logs",
        "user": "0:0",
        "cap_add": ["DAC_READ_SEARCH"],
    },
    "postgres-databases": {"user": "0:0", "cap_add": ["DAC_READ_SEARCH"]},
}
"""What some containers have that the others lack, as docker-compose.yml says why."""


@pytest.mark.parametrize("name", [*OURS, *ONE_SHOTS])
def test_a_container_of_ours_can_do_no_more_than_its_program(name: str) -> None:
    service, more = COMPOSE["services"][name], GIVEN_BACK.get(name, {})

    assert service["read_only"] is ("read_only" not in more), f"{name} may write to its own image"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add") == more.get("cap_add")
    assert service.get("user") == more.get("user")
    assert not {"privileged", "pid", "ipc", "devices", "cgroup_parent"} & service.keys()


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if not name.startswith("pact-broker")])
def test_every_container_has_a_limit_of_memory(name: str) -> None:
    assert re.fullmatch(r"\d+[mg]", COMPOSE["services"][name]["mem_limit"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_memory_that_its_tests_hold_it_to(name: str) -> None:
    assert COMPOSE["services"][name]["mem_limit"] == "256m"


@pytest.mark.parametrize("name", OURS)
def test_a_service_that_ends_by_itself_comes_back(name: str) -> None:
    assert COMPOSE["services"][name]["restart"] == "on-failure"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_end_its_last_call(name: str) -> None:
    seconds = int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s"))

    assert seconds >= MAX_GRACE + 2, "docker kills it while a call runs, whose outcome nobody knows then"


@pytest.mark.parametrize("name", [*OURS, *MIGRATIONS, "orders-products", "orders-operator"])
def test_an_image_that_is_built_here_is_never_pulled(name: str) -> None:
    assert COMPOSE["services"][name]["pull_policy"] == "never"


@pytest.mark.parametrize("name", [*SERVICES, *SERVERS])
def test_whoever_waits_for_a_container_can_see_that_it_is_ready(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_up_waits_until_a_service_is_ready(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"][-1].endswith("/health/ready")


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_who_needs_another_container_waits_until_that_is_done_or_ready(name: str) -> None:
    for needed, how in COMPOSE["services"][name].get("depends_on", {}).items():
        done = "service_completed_successfully" if needed in ONE_SHOTS else "service_healthy"
        assert how == {"condition": done}, f"{name} needs {needed}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_after_its_migration_and_its_topics(name: str) -> None:
    assert {f"{name}-migrate", "kafka-topics"} <= COMPOSE["services"][name]["depends_on"].keys()
    assert "postgres-databases" in COMPOSE["services"][f"{name}-migrate"]["depends_on"]


def test_a_script_starts_after_its_server() -> None:
    assert COMPOSE["services"]["kafka-topics"]["depends_on"].keys() == {"kafka"}
    assert COMPOSE["services"]["postgres-databases"]["depends_on"].keys() == {"postgres"}


@pytest.mark.parametrize("name", DATA)
def test_data_outlives_its_container(name: str) -> None:
    volume = DATA[name]

    assert COMPOSE["services"][name]["volumes"][0] == volume
    assert volume.partition(":")[0] in COMPOSE["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_database_and_a_role_of_its_own(name: str) -> None:
    environment, upper = COMPOSE["services"][name]["environment"], name.upper()

    assert environment[f"{upper}_DATABASE_URL"] == f"postgresql+asyncpg://{name}@postgres:5432/{name}"
    assert environment[f"{upper}_DATABASE_PASSWORD"] == f"${{{upper}_DATABASE_PASSWORD:-{name}}}"
    assert [variable for variable in environment if not variable.startswith((f"{upper}_", "OTEL_"))] == []
    assert {value for variable, value in environment.items() if variable.startswith("OTEL_")} == {None}
    assert COMPOSE["services"][f"{name}-migrate"]["environment"] == environment


VARIABLE = re.compile(r"\$\{(\w+):-(.*)\}")
ENVIRONMENTS = {name: service.get("environment", {}) for name, service in COMPOSE["services"].items()}
TRACES = {
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
}
"""The main ones of docs/reference/traces.md."""


@pytest.mark.parametrize("name", SERVICES)
def test_a_setting_that_can_be_changed_from_here_has_the_services_own_default(name: str) -> None:
    shared = {f"{name.upper()}_LOG_LEVEL", f"{name.upper()}_DATABASE_PASSWORD"}
    for variable, value in ENVIRONMENTS[name].items():
        if variable in shared or not (given := VARIABLE.fullmatch(str(value))):
            continue
        assert given[1] == variable, "a person looks for it under its own name"
        assert is_default(name, variable, given[2]), f"{variable}: docker-compose.yml and the class differ"


@pytest.mark.parametrize("name", [*SERVICES, "console"])
def test_the_level_of_all_logs_is_changed_by_one_variable(name: str) -> None:
    assert ENVIRONMENTS[name][f"{name.upper()}_LOG_LEVEL"] == "${LOG_LEVEL:-INFO}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_figure_is_no_fixed_one(name: str) -> None:
    fixed = [variable for variable, value in ENVIRONMENTS[name].items() if re.fullmatch(r"[\d.]+", str(value))]

    assert fixed == [], "it is read from here, and nobody can set it"


@pytest.mark.parametrize("name", SERVICES)
def test_the_variables_of_traces_are_passed_on_to_a_service(name: str) -> None:
    assert TRACES - ENVIRONMENTS[name].keys() == set(), f"docker-compose.yml: pass them on to {name}"


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_password_can_be_changed_and_no_server_does_without(name: str) -> None:
    environment = ENVIRONMENTS[name]
    secrets = [variable for variable in environment if re.search("PASSWORD|TOKEN|SECRET", variable)]

    assert [one for one in secrets if environment[one] is not None and not VARIABLE.fullmatch(environment[one])] == []
    assert "trust" not in environment.values()
    assert "PASSWORD" in " ".join(environment) or "postgres:" not in COMPOSE["services"][name]["image"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_keeps_its_data_in_volumes_and_only_reads_files_of_this_folder(name: str) -> None:
    for volume in COMPOSE["services"][name].get("volumes", []):
        source, _, rest = volume.partition(":")
        assert source in COMPOSE["volumes"] or (source.startswith("./deploy/") and rest.endswith(":ro")), volume


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_a_server_with_data_may_end_what_it_writes(name: str) -> None:
    assert int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s")) >= 30


@pytest.mark.parametrize("name", [name for name in SERVERS if "postgres" in name])
def test_a_database_is_ready_when_it_listens_to_the_network(name: str) -> None:
    check = COMPOSE["services"][name]["healthcheck"]["test"]

    assert check[check.index("--host") + 1] == "127.0.0.1", "by its socket it answers while it makes its databases"


def test_the_console_asks_every_service() -> None:
    asked = json.loads(COMPOSE["services"]["console"]["environment"]["CONSOLE_SERVICES"])

    assert asked == {name: f"http://{name}:{service.port}" for name, service in ALL.items()}


def test_the_console_takes_the_brokers_login_and_an_address_of_its_own_and_its_image_has_the_pacts() -> None:
    environment = COMPOSE["services"]["console"]["environment"]
    dockerfile = (ROOT / "console/Dockerfile").read_text()

    login = {f"PACT_BROKER_{name}": None for name in ("TOKEN", "USERNAME", "PASSWORD")}
    # 127.0.0.1 of the person's own variable is the container itself
    address = {"PACT_BROKER_BASE_URL": "${CONSOLE_PACT_BROKER_BASE_URL:-}"}
    assert {name: environment[name] for name in environment if name.startswith("PACT_")} == login | address
    assert "COPY contracts/pacts contracts/pacts" in dockerfile
    assert "CONSOLE_CONTRACTS=/app/contracts/pacts" in dockerfile


COMMANDS = {
    **{f"{name}-migrate": ["python", "-m", name, "migrate"] for name in SERVICES},
    "orders-products": ["python", "-m", "orders", "seed-products"],
    "orders-operator": [
        *["python", "-m", "orders", "create-operator", "--email", "operator@shop.example"],
        "--unless-there",  # the next `up` runs it again
    ],
    "kafka-topics": ["bash", "/create-topics.sh"],
}
"""What runs once at each `up`, and so may find its work done."""


@pytest.mark.parametrize("name", [*OURS, *ONE_SHOTS])
def test_a_container_of_ours_runs_what_its_image_or_its_name_says(name: str) -> None:
    """An image's own program runs all roles: with one of them alone nothing would be sent, read or charged."""
    assert COMPOSE["services"][name].get("command") == COMMANDS.get(name)
    assert "entrypoint" not in COMPOSE["services"][name] or name == "postgres-databases"


def test_what_an_environment_has_is_there_before_it_is_needed() -> None:
    for name in ("orders-products", "orders-operator"):
        assert "orders-migrate" in COMPOSE["services"][name]["depends_on"]


KAFKA = ENVIRONMENTS["kafka"]
LISTENERS = dict(listener.split("://:") for listener in KAFKA["KAFKA_LISTENERS"].split(","))
SILENT = {"postgres": ["5432"], "pact-broker-postgres": ["5432"], "kafka": [LISTENERS["INTERNAL"]]}
"""What containers listen to that others are to use, and this machine isn't: Kafka sends its own clients elsewhere."""
EXPOSED_BY_SANDBOX = re.findall(r"^EXPOSE (.*)$", (ROOT / "sandbox/Dockerfile").read_text(), re.MULTILINE)[0].split()


def listening(*, to_http: bool) -> Iterator[tuple[str, str]]:
    """Where a container can reach another one: by the ports that are published, which are those that it listens to."""
    for name, service in COMPOSE["services"].items():
        if name in SILENT and not to_http:
            yield from ((name, port) for port in SILENT[name])
        elif name not in SILENT and "ports" in service:
            ports = [port for port in service["ports"] if ("SMTP_PORT" in port) is not to_http]
            yield from ((name, port.rpartition(":")[2]) for port in ports)
        elif to_http and "SANDBOX_IMAGE" in service["image"]:
            yield from ((name, port) for port in EXPOSED_BY_SANDBOX)


def addresses(variable: str, value: str) -> Iterator[tuple[bool, str]]:
    """Those in a variable's value, each with whether it's asked by HTTP."""
    if "$" in value:
        return  # a person's own
    if variable.endswith("_SERVICES"):
        yield from ((True, url.removeprefix("http://")) for url in json.loads(value).values())
    elif variable.endswith("_URL"):
        scheme, _, rest = value.partition("://")
        yield scheme == "http", rest.rpartition("@")[2].partition("/")[0]
    elif variable.endswith("SERVERS"):
        yield from ((False, address) for address in value.split(","))
    elif variable.endswith("_SMTP_HOST"):
        yield False, f"{value}:{settings_of('notifications').model_fields['smtp_port'].default}"
    elif variable.endswith("HOST"):
        yield False, f"{value}:5432"


ADDRESSES = [
    (name, variable, *address)
    for name, environment in ENVIRONMENTS.items()
    for variable, value in environment.items()
    for address in addresses(variable, value or "")
]


def test_the_addresses_of_other_containers_are_found() -> None:
    found = {variable.partition("_")[2] for _, variable, *_ in ADDRESSES}

    assert {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "GATEWAY_URL", "MAILBOX_URL", "SMTP_HOST", "SERVICES"} <= found


@pytest.mark.parametrize(("name", "variable", "by_http", "address"), ADDRESSES)
def test_an_address_is_that_of_a_container_which_listens_there(
    name: str, variable: str, *, by_http: bool, address: str
) -> None:
    host, _, port = address.partition(":")

    assert (host, port) in set(listening(to_http=by_http)), f"{name} looks for it there by {variable}"


@pytest.mark.parametrize("name", [name for name in [*SERVERS, *SERVICES] if "healthcheck" in COMPOSE["services"][name]])
def test_whoever_waits_for_a_container_hears_of_it_within_seconds(name: str) -> None:
    check = COMPOSE["services"][name]["healthcheck"]
    interval, timeout = (int(check[part].removesuffix("s")) for part in ("interval", "timeout"))

    assert interval <= 5
    assert timeout > TIMEOUT_SECONDS, "docker would cut the check off before that says what is wrong"


def test_kafka_tells_its_clients_where_they_can_reach_it() -> None:
    """A client that was let in by one address goes on with the one that it's told."""
    told = dict(each.split("://") for each in KAFKA["KAFKA_ADVERTISED_LISTENERS"].split(","))
    [published] = COMPOSE["services"]["kafka"]["ports"]

    assert told["INTERNAL"] == f"kafka:{LISTENERS['INTERNAL']}"
    assert published == f"{told['EXTERNAL']}:{LISTENERS['EXTERNAL']}"
    assert told.keys() == LISTENERS.keys() - {"CONTROLLER"}


def test_kafka_needs_no_more_brokers_than_there_are() -> None:
    [controller] = KAFKA["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
    copies = {name: KAFKA[name] for name in KAFKA if name.endswith(("REPLICATION_FACTOR", "MIN_ISR"))}
    asked = {name: ENVIRONMENTS["kafka-topics"][name] for name in ("REPLICATION_FACTOR", "MIN_INSYNC_REPLICAS")}

    assert controller == f"{KAFKA['KAFKA_NODE_ID']}@localhost:{LISTENERS['CONTROLLER']}"
    assert {name for name in copies if "OFFSETS" in name or "TRANSACTION" in name}
    assert set((copies | asked).values()) == {"1"}


def test_up_starts_the_shop_and_nothing_that_nobody_asked_for() -> None:
    watching = {"prometheus", "alertmanager", "grafana", "jaeger", "otel-collector"}
    asked_for = {name: service["profiles"] for name, service in COMPOSE["services"].items() if "profiles" in service}

    assert {name for name, profiles in asked_for.items() if profiles == ["observability"]} == watching
    assert {name for name, profiles in asked_for.items() if profiles == ["broker"]} == {
        "pact-broker",
        "pact-broker-postgres",
    }


def test_the_mailbox_keeps_as_many_emails_as_that_of_the_sandbox() -> None:
    kept = MailboxSettings.model_fields["max_messages"].default

    assert ENVIRONMENTS["mailbox"]["MP_MAX_MESSAGES"] == str(kept), "Mailpit's own 500 are gone after a demo"


OBSERVABILITY = ROOT / "deploy/observability"


def observing(file: str) -> Any:
    return yaml.safe_load((OBSERVABILITY / file).read_text())


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
    volumes = COMPOSE["services"]["prometheus"]["volumes"]

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
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in COMPOSE["services"]["orders"]["environment"]


def test_grafana_has_the_folder_of_dashboards_where_it_looks_for_them() -> None:
    [provider] = observing("grafana/dashboards.yml")["providers"]
    grafana = COMPOSE["services"]["grafana"]

    assert f"./deploy/observability/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (OBSERVABILITY / "dashboards" / home.name).is_file()


def test_grafana_lets_strangers_look_and_nobody_else_in() -> None:
    environment = COMPOSE["services"]["grafana"]["environment"]

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
    command = dict(
        option.removeprefix("--").partition("=")[::2] for option in COMPOSE["services"]["prometheus"]["command"]
    )
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


def test_the_alertmanager_keeps_services_apart() -> None:
    settings = observing("alertmanager.yml")

    assert {"alertname", "job"} <= set(settings["route"]["group_by"]), "an alarm would hide that of another service"
    assert settings["route"]["receiver"] in {each["name"] for each in settings["receivers"]}


def test_grafana_fetches_nothing_when_it_starts() -> None:
    environment = COMPOSE["services"]["grafana"]["environment"]
    fetching = (
        "PREINSTALL_AUTO_UPDATE",
        "CHECK_FOR_UPDATES",
        "CHECK_FOR_PLUGIN_UPDATES",
        "REPORTING_ENABLED",
        "FEED_ENABLED",
    )

    assert [environment[name] for name in environment if name.endswith(fetching)] == ["false"] * len(fetching)


def test_jaeger_keeps_as_many_traces_as_the_page_says() -> None:
    [limit] = COMPOSE["services"]["jaeger"]["command"]

    traces = f"{int(limit.rpartition('.max_traces=')[2]):,}"
    assert f"the last {traces} traces" in (ROOT / "docs/how-to/watch-it.md").read_text()


@pytest.mark.parametrize("name", WATCHING)
def test_what_watches_starts_only_where_somebody_asks_for_it_and_can_do_little(name: str) -> None:
    service = COMPOSE["services"][name]

    assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["DAC_OVERRIDE"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [name for name, each in COMPOSE["services"].items() if set(each.get("depends_on", {})) & set(WATCHING)] == [
        "otel-collector"
    ]


def test_kafka_makes_no_topic_by_itself() -> None:
    assert COMPOSE["services"]["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_devcontainer_runs_a_supported_python_and_shows_any_port() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())

    [version] = re.findall(r"/python:(3\.\d+)-\w+$", container["image"])
    assert version in SUPPORTED
    assert container["otherPortsAttributes"]["onAutoForward"] == "silent"  # a list would not know a new service
    assert container["postCreateCommand"] == "make .venv"
    assert not {"privileged", "runArgs", "mounts"} & container.keys()
