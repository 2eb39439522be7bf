"""Where spans go, by OpenTelemetry's own variables."""

import json
import os
from collections.abc import Callable

import pytest
from opentelemetry import trace
from outboxed import _exporting
from outboxed._exporting import exported_spans
from outboxed.errors import ConfigurationError

from ..only_installed import Done, Programs

Run = Callable[..., Done]
TO_CONSOLE = """
from opentelemetry import trace
from outboxed._exporting import exported_spans
from outboxed.telemetry import continued_trace
with exported_spans("outboxed"):
    with continued_trace("x", None):
        pass
"""
TO_TWO = """
from opentelemetry.sdk.trace.export import SpanExporter
from outboxed import _exporting
from outboxed._exporting import exported_spans
from outboxed.telemetry import continued_trace

class Told(SpanExporter):
    def __init__(self, name):
        self.name = name
    def load(self):
        return lambda: self
    def export(self, spans):
        for span in spans:
            print(f"{self.name}: {span.name}")
    def shutdown(self): ...

_exporting.entry_points = lambda group, name: [Told(name)]
with exported_spans("bank"), continued_trace("x", None):
    pass
"""
EXPORTED = """
from opentelemetry import trace
from outboxed._exporting import exported_spans
with exported_spans("bank"):
    print(type(trace.get_tracer_provider()).__name__)
"""
OFF = """
from outboxed._exporting import exported_spans
from outboxed.telemetry import continued_trace, current_traceparent
with exported_spans("bank"), continued_trace("x", None):
    print(current_traceparent()[:3], "opentelemetry.sdk" in sys.modules)
"""
ASKED = """
import os
os.environ["OTEL_TRACES_EXPORTER"] = "otlp"
from outboxed._exporting import exported_spans
try:
    with exported_spans("bank"):
        pass
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(programs: Programs) -> Run:
    """In a process of its own: a provider can be set only once."""
    return lambda code, **variables: programs.run(code, {**os.environ, **variables})


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_TRACES_EXPORTER": " "},
    ],
)
def test_without_an_exporter_there_is_no_provider(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with exported_spans("bank"):
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_off_is_without_the_sdk(programs: Programs) -> None:
    done = programs.run_with(frozenset({"telemetry"}), OFF)

    assert (done.stdout.split(), done.stderr) == (["00-", "False"], "")


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("", "OTEL_TRACES_EXPORTER: its exporter can't be imported, google is missing"),
        ("sys.modules['opentelemetry.sdk'] = None", "OTEL_TRACES_EXPORTER needs opentelemetry, which isn't installed"),
    ],
)
def test_an_exporter_without_its_extra_says_what_to_install(programs: Programs, without: str, told: str) -> None:
    done = programs.run_with(frozenset({"service"}), f"{without}\n{ASKED}")

    assert done.stderr == ""
    assert done.stdout == f'ConfigurationError: {told}: pip install "outboxed[otlp]"\n'


def test_the_variables_say_what_the_service_is_called(run: Run) -> None:
    done = run(TO_CONSOLE, OTEL_TRACES_EXPORTER="console")
    named = run(
        TO_CONSOLE,
        OTEL_TRACES_EXPORTER="console",
        OTEL_SERVICE_NAME="shop",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test,service.version=7",
    )

    ours = json.loads(done.stdout)["resource"]["attributes"]
    theirs = json.loads(named.stdout)["resource"]["attributes"]
    assert (ours["service.name"], ours["service.version"]) == ("outboxed", "0.1.0")
    assert (theirs["service.name"], theirs["service.version"]) == ("shop", "7")
    assert theirs["deployment.environment.name"] == "test"


def test_a_provider_of_the_processs_own_stays(run: Run) -> None:
    code = f"""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
mine = TracerProvider(shutdown_on_exit=False)
trace.set_tracer_provider(mine)
{TO_CONSOLE}
assert trace.get_tracer_provider() is mine
"""
    done = run(code, OTEL_TRACES_EXPORTER="console")

    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_share_of_nothing_is_nothing(run: Run) -> None:
    done = run(
        TO_CONSOLE,
        OTEL_TRACES_EXPORTER="console",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0",
    )

    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER: no exporter of that name is installed"),
        ({"OTEL_TRACES_EXPORTER": "otlp,none"}, "OTEL_TRACES_EXPORTER: `none` stands alone"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_TRACES_EXPORTER: no exporter of that name is installed: pip install opentelemetry-exporter-otlp",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "smoke"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: must be one of http/protobuf, grpc",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL such as http://collector:4318",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:port"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: must be a URL such as http://collector:4318",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "sometimes"},
            "OTEL_TRACES_SAMPLER: must be one of always_on, always_off, parentbased_always_on",
        ),
        *(
            (
                {
                    "OTEL_TRACES_EXPORTER": "otlp",
                    "OTEL_TRACES_SAMPLER": "traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG": share,
                },
                "OTEL_TRACES_SAMPLER_ARG: must be a share from 0 to 1, such as 0.1, for OTEL_TRACES_SAMPLER=",
            )
            for share in ("", "10%", "1.5", "-1", "nan")
        ),
        (
            {
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_TRACES_SAMPLER": "traceidratio ",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
            },
            "OTEL_TRACES_SAMPLER: must be one of always_on, always_off, parentbased_always_on",
        ),
        *(
            (
                {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": headers},
                "OTEL_EXPORTER_OTLP_HEADERS: must be name=value pairs in URL encoding, with commas between",
            )
            for headers in ("Bearer secret", "a=b,secret", "authorization=secret;more", "=secret", "my header=secret")
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere.pem"},
            "OTEL_EXPORTER_OTLP_CERTIFICATE: can't read the file",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "0"},
            "OTEL_BSP_*: each must be above 0, and a batch no larger than the queue",
        ),
        *(
            (
                {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": number},
                "OTEL_BSP_SCHEDULE_DELAY: must be a whole number",
            )
            for number in ("5s", "0.5")
        ),
        (
            {"OTEL_TRACES_EXPORTER": "console", "OTEL_SPAN_LINK_COUNT_LIMIT": "many"},
            "OTEL_SPAN_LINK_COUNT_LIMIT must be a non-negative integer",
        ),
    ],
)
def test_what_can_not_be_used_is_one_line_that_names_the_variable(
    variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as raised, exported_spans("bank"):
        pass

    assert str(raised.value).startswith(told)
    assert "secret" not in str(raised.value)
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@pytest.mark.parametrize("headers", ["authorization=Bearer%20x", "api-key=a b==, tenant = shop", "a=1,"])
def test_headers_that_the_exporter_reads_are_taken(run: Run, headers: str) -> None:
    done = run(
        EXPORTED, OTEL_TRACES_EXPORTER="otlp", OTEL_TRACES_SAMPLER="always_off", OTEL_EXPORTER_OTLP_HEADERS=headers
    )

    assert (done.stdout, done.stderr) == ("TracerProvider\n", "")


def test_each_of_several_exporters_gets_the_spans(run: Run) -> None:
    """As while a team changes its collector."""
    done = run(TO_TWO, OTEL_TRACES_EXPORTER="first, second")

    assert (sorted(done.stdout.splitlines()), done.stderr) == (["first: x", "second: x"], "")


def test_an_exporter_of_the_users_own_is_found_and_one_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no such place")

    class Found:
        def load(self) -> object:
            return broken

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "ours")
    installed = {("opentelemetry_traces_exporter", "ours"): [Found()]}
    monkeypatch.setattr(_exporting, "entry_points", lambda group, name: installed[group, name])

    told = "OTEL_TRACES_EXPORTER: its exporter can't be made: RuntimeError"
    with pytest.raises(ConfigurationError, match=told), exported_spans("bank"):
        pass
