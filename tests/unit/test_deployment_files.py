"""What `docker compose config` can't see: that the files stay alike, pinned, on loopback, and usable side by side."""

import json
import re

import pytest
from backing_services.kafka.apache import VERSION as KAFKA_VERSION
from mail_catcher.settings import Settings as MailboxSettings
from outboxed.healthcheck import TIMEOUT_SECONDS
from outboxed.tasks._worker import MAX_GRACE
from shop_harness.services import ALL, SERVICES

from tools.pythons.interpreters import SUPPORTED
from tools.scratch import ROOT

from ..compose import COMPOSE, CONTAINERS, ENVIRONMENTS, ONE_SHOTS, OURS, SERVERS
from ..defaults import is_default

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


@pytest.mark.parametrize("service", CONTAINERS)
def test_every_image_can_be_changed_by_a_variable_and_has_a_tag(service: str) -> None:
    image = CONTAINERS[service]["image"]

    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z/-]+:[\w.-]+\}", image)
    assert ":latest" not in image


def test_the_containers_are_those_that_the_tests_take_for_themselves() -> None:
    assert CONTAINERS["kafka"]["image"] == f"${{KAFKA_IMAGE:-apache/kafka:{KAFKA_VERSION}}}"
    assert CONTAINERS["postgres"]["image"] == "${POSTGRES_IMAGE:-postgres:18}"


def test_every_port_is_on_loopback_and_can_be_changed() -> None:
    published = [port for service in CONTAINERS.values() for port in service.get("ports", [])]

    assert len(published) == 12 + len(SERVICES)
    assert [port for port in published if not ON_LOOPBACK.fullmatch(str(port))] == []


def test_several_can_run_side_by_side() -> None:
    parts = [*CONTAINERS.values(), *filter(None, COMPOSE["volumes"].values())]

    assert not {"container_name", "name", "network_mode", "external"} & {key for part in parts for key in part}


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
    service, more = CONTAINERS[name], GIVEN_BACK.get(name, {})

    assert service["read_only"] is ("read_only" not in more), f"{name} may write to its own image"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add") == more.get("cap_add")
    assert service.get("user") == more.get("user")
    assert not {"privileged", "pid", "ipc", "devices", "cgroup_parent"} & service.keys()


@pytest.mark.parametrize("name", [name for name in CONTAINERS if not name.startswith("pact-broker")])
def test_every_container_has_a_limit_of_memory(name: str) -> None:
    assert re.fullmatch(r"\d+[mg]", CONTAINERS[name]["mem_limit"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_memory_that_its_tests_hold_it_to(name: str) -> None:
    assert CONTAINERS[name]["mem_limit"] == "256m"


@pytest.mark.parametrize("name", OURS)
def test_a_service_that_ends_by_itself_comes_back(name: str) -> None:
    assert CONTAINERS[name]["restart"] == "on-failure"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_end_its_last_call(name: str) -> None:
    seconds = int(CONTAINERS[name]["stop_grace_period"].removesuffix("s"))

    assert seconds >= MAX_GRACE + 2, "docker kills it while a call runs, whose outcome nobody knows then"


@pytest.mark.parametrize("name", [*OURS, *MIGRATIONS, "orders-products", "orders-operator"])
def test_an_image_that_is_built_here_is_never_pulled(name: str) -> None:
    assert CONTAINERS[name]["pull_policy"] == "never"


@pytest.mark.parametrize("name", [*SERVICES, *SERVERS])
def test_whoever_waits_for_a_container_can_see_that_it_is_ready(name: str) -> None:
    assert CONTAINERS[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_up_waits_until_a_service_is_ready(name: str) -> None:
    assert CONTAINERS[name]["healthcheck"]["test"][-1].endswith("/health/ready")


@pytest.mark.parametrize("name", CONTAINERS)
def test_who_needs_another_container_waits_until_that_is_done_or_ready(name: str) -> None:
    for needed, how in CONTAINERS[name].get("depends_on", {}).items():
        done = "service_completed_successfully" if needed in ONE_SHOTS else "service_healthy"
        assert how == {"condition": done}, f"{name} needs {needed}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_after_its_migration_and_its_topics(name: str) -> None:
    assert {f"{name}-migrate", "kafka-topics"} <= CONTAINERS[name]["depends_on"].keys()
    assert "postgres-databases" in CONTAINERS[f"{name}-migrate"]["depends_on"]


def test_a_script_starts_after_its_server() -> None:
    assert CONTAINERS["kafka-topics"]["depends_on"].keys() == {"kafka"}
    assert CONTAINERS["postgres-databases"]["depends_on"].keys() == {"postgres"}


@pytest.mark.parametrize("name", DATA)
def test_data_outlives_its_container(name: str) -> None:
    volume = DATA[name]

    assert CONTAINERS[name]["volumes"][0] == volume
    assert volume.partition(":")[0] in COMPOSE["volumes"]


def test_a_server_writes_into_its_volume() -> None:
    """Beside it, all is gone with the container."""
    [prometheus] = [each for each in CONTAINERS["prometheus"]["command"] if each.startswith("--storage.tsdb.path=")]
    folders = {"kafka": ENVIRONMENTS["kafka"]["KAFKA_LOG_DIRS"], "prometheus": prometheus.partition("=")[2]}

    assert folders == {name: DATA[name].partition(":")[2] for name in folders}


MEGABYTES = {"m": 1, "g": 1024}


@pytest.mark.parametrize("name", [name for name in CONTAINERS if "KAFKA_HEAP_OPTS" in ENVIRONMENTS[name]])
def test_a_heap_leaves_room_for_all_else_that_java_needs(name: str) -> None:
    [(heap, unit)] = re.findall(r"-Xmx(\d+)([mg])", ENVIRONMENTS[name]["KAFKA_HEAP_OPTS"])
    limit = CONTAINERS[name]["mem_limit"]

    assert int(heap) * MEGABYTES[unit] <= 0.5 * int(limit[:-1]) * MEGABYTES[limit[-1]], "else the kernel kills it"


def test_the_pact_brokers_links_name_the_addresses_under_which_it_is_asked() -> None:
    """Without them it hands out links to whatever Host it was asked by, and credentials follow."""
    [port] = CONTAINERS["pact-broker"]["ports"]
    outside = port.removeprefix("127.0.0.1:").rpartition(":")[0]

    assert ENVIRONMENTS["pact-broker"]["PACT_BROKER_BASE_URL"].split() == [
        f"http://127.0.0.1:{outside}",
        f"http://localhost:{outside}",
        f"http://pact-broker:{ENVIRONMENTS['pact-broker']['PACT_BROKER_PORT']}",
    ]


LOGINS = [
    ("postgres-databases", "PGHOST", {"PGUSER": "POSTGRES_USER", "PGPASSWORD": "POSTGRES_PASSWORD"}),
    (
        "pact-broker",
        "PACT_BROKER_DATABASE_HOST",
        {
            f"PACT_BROKER_DATABASE_{part}": f"POSTGRES_{its}"
            for part, its in (("NAME", "DB"), ("USERNAME", "USER"), ("PASSWORD", "PASSWORD"))
        },
    ),
]
"""Who logs in as the role that PostgreSQL's image makes: by which host, and its variables with those of the image."""


@pytest.mark.parametrize(("name", "host", "login"), LOGINS)
def test_who_logs_in_to_a_new_database_is_whom_that_knows(name: str, host: str, login: dict[str, str]) -> None:
    own = ENVIRONMENTS[name]
    servers = ENVIRONMENTS[own[host]]

    assert {variable: own[variable] for variable in login} == {
        variable: servers[its] for variable, its in login.items()
    }


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_database_and_a_role_of_its_own(name: str) -> None:
    environment, upper = CONTAINERS[name]["environment"], name.upper()

    assert environment[f"{upper}_DATABASE_URL"] == f"postgresql+asyncpg://{name}@postgres:5432/{name}"
    assert environment[f"{upper}_DATABASE_PASSWORD"] == f"${{{upper}_DATABASE_PASSWORD:-{name}}}"
    assert [variable for variable in environment if not variable.startswith((f"{upper}_", "OTEL_"))] == []
    assert {value for variable, value in environment.items() if variable.startswith("OTEL_")} == {None}
    assert CONTAINERS[f"{name}-migrate"]["environment"] == environment


VARIABLE = re.compile(r"\$\{(\w+):-(.*)\}")
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


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_password_can_be_changed_and_no_server_does_without(name: str) -> None:
    environment = ENVIRONMENTS[name]
    secrets = [variable for variable in environment if re.search("PASSWORD|TOKEN|SECRET", variable)]

    assert [one for one in secrets if environment[one] is not None and not VARIABLE.fullmatch(environment[one])] == []
    assert "trust" not in environment.values()
    assert "PASSWORD" in " ".join(environment) or "postgres:" not in CONTAINERS[name]["image"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_keeps_its_data_in_volumes_and_only_reads_files_of_this_folder(name: str) -> None:
    for volume in CONTAINERS[name].get("volumes", []):
        source, _, rest = volume.partition(":")
        assert source in COMPOSE["volumes"] or (source.startswith("./deploy/") and rest.endswith(":ro")), volume


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_a_server_with_data_may_end_what_it_writes(name: str) -> None:
    assert int(CONTAINERS[name]["stop_grace_period"].removesuffix("s")) >= 30


@pytest.mark.parametrize("name", [name for name in SERVERS if "postgres" in name])
def test_a_database_is_ready_when_it_listens_to_the_network(name: str) -> None:
    check = CONTAINERS[name]["healthcheck"]["test"]

    assert check[check.index("--host") + 1] == "127.0.0.1", "by its socket it answers while it makes its databases"


def test_the_console_asks_every_service() -> None:
    asked = json.loads(CONTAINERS["console"]["environment"]["CONSOLE_SERVICES"])

    assert asked == {name: f"http://{name}:{service.port}" for name, service in ALL.items()}


def test_the_console_takes_the_brokers_login_and_an_address_of_its_own_and_its_image_has_the_pacts() -> None:
    environment = CONTAINERS["console"]["environment"]
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
    assert CONTAINERS[name].get("command") == COMMANDS.get(name)
    assert "entrypoint" not in CONTAINERS[name] or name == "postgres-databases"


def test_what_an_environment_has_is_there_before_it_is_needed() -> None:
    for name, needs in (("orders-products", "orders"), ("orders-operator", "console")):
        assert "orders-migrate" in CONTAINERS[name]["depends_on"]
        assert name in CONTAINERS[needs]["depends_on"]


@pytest.mark.parametrize("name", ONE_SHOTS)
def test_up_waits_for_the_end_of_what_runs_once(name: str) -> None:
    """For the end of what nobody waits for it doesn't wait, and takes it for a failure."""
    assert [other for other, each in CONTAINERS.items() if name in each.get("depends_on", {})] != []


def ready_within(name: str) -> int:
    """Seconds until Docker calls a container unhealthy that never answers: its start period, and then all retries."""
    check = CONTAINERS[name]["healthcheck"]
    first, interval = (int(check.get(part, "0s").removesuffix("s")) for part in ("start_period", "interval"))
    return first + interval * int(check["retries"])


ASKED = [name for name in [*SERVERS, *SERVICES] if "healthcheck" in CONTAINERS[name]]


@pytest.mark.parametrize("name", ASKED)
def test_a_container_has_a_minute_to_become_ready(name: str) -> None:
    assert ready_within(name) >= 60, (
        "a slow machine needs a minute, and `up --wait` fails at the first container that is unhealthy"
    )


@pytest.mark.parametrize("name", ASKED)
def test_whoever_waits_for_a_container_hears_of_it_within_seconds(name: str) -> None:
    check = CONTAINERS[name]["healthcheck"]
    interval, timeout = (int(check[part].removesuffix("s")) for part in ("interval", "timeout"))

    assert interval <= 5
    assert timeout > TIMEOUT_SECONDS, "docker would cut the check off before that says what is wrong"


def test_up_starts_the_shop_and_nothing_that_nobody_asked_for() -> None:
    watching = {"prometheus", "alertmanager", "grafana", "jaeger", "otel-collector"}
    asked_for = {name: service["profiles"] for name, service in CONTAINERS.items() if "profiles" in service}

    assert {name for name, profiles in asked_for.items() if profiles == ["observability"]} == watching
    assert {name for name, profiles in asked_for.items() if profiles == ["broker"]} == {
        "pact-broker",
        "pact-broker-postgres",
    }


def test_the_mailbox_keeps_as_many_emails_as_that_of_the_sandbox() -> None:
    kept = MailboxSettings.model_fields["max_messages"].default

    assert ENVIRONMENTS["mailbox"]["MP_MAX_MESSAGES"] == str(kept), "Mailpit's own 500 are gone after a demo"


def test_kafka_makes_no_topic_by_itself() -> None:
    assert CONTAINERS["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_devcontainer_runs_a_supported_python_and_shows_any_port() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())

    [version] = re.findall(r"/python:(3\.\d+)-\w+$", container["image"])
    assert version in SUPPORTED
    assert container["otherPortsAttributes"]["onAutoForward"] == "silent"  # a list would not know a new service
    assert container["postCreateCommand"] == "make .venv"
    assert not {"privileged", "runArgs", "mounts"} & container.keys()
