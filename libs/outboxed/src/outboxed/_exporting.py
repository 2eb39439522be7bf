"""Where spans go, by the variables that OpenTelemetry has for it and by no setting of ours.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any
from urllib.parse import urlsplit

from outboxed._extras import extra
from outboxed.errors import ConfigurationError

LAST_SPANS_SECONDS = 1.0
"""So long the end of a process waits for its last spans to be taken."""
EXPORTER, SAMPLER, RATIO = "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FILES = ("_CERTIFICATE", "_CLIENT_KEY", "_CLIENT_CERTIFICATE")
HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_HEADER = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+[ \t]*=[ \t]*[ !#-+\--:<-\[\]-~]*")
"""OpenTelemetry's exporters take this; a value may have spaces."""
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
BY_PROTOCOL = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
BATCHING = tuple(
    f"OTEL_BSP_{part}" for part in ("SCHEDULE_DELAY", "EXPORT_TIMEOUT", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")
)
_NUMBER = re.compile(r"-?[0-9]{1,18}")
OF_A_RATIO = ("traceidratio", "parentbased_traceidratio")
SAMPLERS = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *OF_A_RATIO)


@contextmanager
def exported_spans(service: str) -> Iterator[None]:
    """Send spans in the block to where the `OTEL_*` variables say; without them nothing is made, and nothing recorded.

    A provider that the process has already set stays. Raises ConfigurationError, which names the variable.
    """
    names = [] if _is_disabled() else _exporters()
    provider = _provider(service, names) if names else None
    if provider is None:
        yield
        return
    try:
        yield
    finally:
        # a collector that doesn't answer must not keep the process
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(LAST_SPANS_SECONDS)


def _is_disabled() -> bool:
    return _value("OTEL_SDK_DISABLED").lower() == "true"


def _exporters() -> list[str]:
    """The exporters' names; an endpoint alone asks for OTLP, which is OpenTelemetry's default."""
    given = _value(EXPORTER) or ("otlp" if any(map(_value, ENDPOINTS)) else "none")
    names = [name.strip() for name in given.split(",")]
    if "none" in names and len(names) > 1:
        raise ConfigurationError(f"{EXPORTER}: `none` stands alone")
    return [] if names == ["none"] else names


def _provider(service: str, names: list[str]) -> Any:
    """None where the process has one."""
    _check_endpoints()
    _check_files()
    _check_headers()
    _check_batching()
    _check_sampler()
    try:
        with extra("otlp", of=EXPORTER):
            from opentelemetry import trace  # noqa: PLC0415 - where nothing is exported, nothing is loaded
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(str(error)) from None
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    own = {"service.name": service, **_version(service)}
    given = OTELResourceDetector().detect().attributes
    resource = Resource.create({name: value for name, value in own.items() if name not in given})
    try:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    except ValueError as error:  # of OTEL_*_LIMIT: it names the variable
        raise ConfigurationError(str(error)) from None
    for name in names:
        made = _exporter(name)
        try:
            provider.add_span_processor(BatchSpanProcessor(made))
        except ValueError:
            raise ConfigurationError("OTEL_BSP_*: each must be above 0, and a batch no larger than the queue") from None
    trace.set_tracer_provider(provider)
    return provider


def _version(service: str) -> dict[str, str]:
    """That of the distribution of the service's name, if there is one."""
    try:
        return {"service.version": version(service)}
    except PackageNotFoundError:
        return {}


def _exporter(name: str) -> Any:
    """What a distribution offers under this name: also one of the user's own."""
    offered = _protocol() if name == "otlp" else name
    found = entry_points(group="opentelemetry_traces_exporter", name=offered)
    if not found:
        raise ConfigurationError(f"{EXPORTER}: no exporter of that name is installed{_install(offered)}")
    try:
        return next(iter(found)).load()()
    except ImportError as error:
        missing = (error.name or "something").partition(".")[0]
        text = f"{EXPORTER}: its exporter can't be imported, {missing} is missing{_install(offered)}"
        raise ConfigurationError(text) from None
    except Exception as error:
        told = f"{type(error).__name__}; see the variables OTEL_EXPORTER_OTLP_*"
        raise ConfigurationError(f"{EXPORTER}: its exporter can't be made: {told}") from error


def _protocol() -> str:
    variable = next((name for name in PROTOCOLS if _value(name)), PROTOCOLS[-1])
    protocol = _value(variable) or "http/protobuf"
    if protocol not in BY_PROTOCOL:
        raise ConfigurationError(f"{variable}: must be one of {', '.join(BY_PROTOCOL)}")
    return BY_PROTOCOL[protocol]


def _install(offered: str) -> str:
    needed = {
        "otlp_proto_http": '"outboxed[otlp]"',
        "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    }.get(offered)
    return f": pip install {needed}" if needed else ""


def _check_endpoints() -> None:
    for variable in ENDPOINTS:
        if endpoint := _value(variable):
            try:
                parts = urlsplit(endpoint)
                is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
            except ValueError:
                is_one = False
            if not is_one:
                raise ConfigurationError(f"{variable}: must be a URL such as http://collector:4318")


def _check_files() -> None:
    for variable in (f"OTEL_EXPORTER_OTLP{signal}{file}" for signal in ("_TRACES", "") for file in FILES):
        if (path := _value(variable)) and not os.access(path, os.R_OK):
            raise ConfigurationError(f"{variable}: can't read the file")


def _check_headers() -> None:
    """The exporter would log what it can't read, and it may be a token."""
    for variable in HEADERS:
        if not all(_HEADER.fullmatch(pair.strip()) for pair in _value(variable).split(",") if pair.strip()):
            raise ConfigurationError(f"{variable}: must be name=value pairs in URL encoding, with commas between")


def _check_batching() -> None:
    for variable in BATCHING:
        if (number := _value(variable)) and not _NUMBER.fullmatch(number):
            raise ConfigurationError(f"{variable}: must be a whole number")


def _check_sampler() -> None:
    """The SDK itself takes a default for what it can't read: 100 % where somebody wanted 1 %. It reads spaces, too."""
    sampler = os.environ.get(SAMPLER, "").lower()
    if sampler and sampler not in SAMPLERS:
        raise ConfigurationError(f"{SAMPLER}: must be one of {', '.join(SAMPLERS)}")
    if sampler not in OF_A_RATIO:
        return
    try:
        is_ratio = 0 <= float(_value(RATIO)) <= 1
    except ValueError:
        is_ratio = False
    if not is_ratio:
        raise ConfigurationError(f"{RATIO}: must be a share from 0 to 1, such as 0.1, for {SAMPLER}={sampler}")


def _value(variable: str) -> str:
    return os.environ.get(variable, "").strip()
