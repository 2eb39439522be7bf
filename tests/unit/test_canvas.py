"""Each service's page says what the service really has: metrics, settings, commands, events, tasks; all in one form."""

import re
from collections.abc import Iterator
from importlib import import_module

import pytest
import typer
from shop_harness.services import ROOT, SERVICES

from ..defaults import built, fields_of, is_default, settings_of

HEADINGS = ["Run and test it alone", "HTTP API", "Events", "Contracts", "Tasks", "Commands", "Settings", "Metrics"]


def section(service: str, heading: str) -> str:
    page = (ROOT / "services" / service / "README.md").read_text()
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def names(pattern: str, text: str) -> set[str]:
    return set(re.findall(pattern, text))


@pytest.mark.parametrize("service", SERVICES)
def test_every_page_has_the_same_form(service: str) -> None:
    page = (ROOT / "services" / service / "README.md").read_text()

    assert page.startswith(f"# {service}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("service", SERVICES)
async def test_the_metrics_are_those_that_the_service_exposes(service: str) -> None:
    running = built(service)
    exposed = {family.name + "_total" * (family.type == "counter") for family in running.metrics.registry.collect()}
    exposed -= {name for name in exposed if name.startswith("process_")}  # every process of any program has these
    await running.close()

    assert names(r"`([a-z_]+)(?:\{[\w,]+\})?`", section(service, "Metrics")) == exposed


@pytest.mark.parametrize("service", SERVICES)
def test_the_settings_are_those_that_the_service_reads(service: str) -> None:
    assert names(rf"`({service.upper()}_[A-Z0-9_]+)`", section(service, "Settings")) == fields_of(service).keys()


def told_defaults(service: str) -> Iterator[tuple[str, str]]:
    """Each variable with what the page says of its default; a line may have two of each."""
    for line in re.findall(rf"^\| *(`{service.upper()}_.*)$", section(service, "Settings"), re.MULTILINE):
        variables, default, *_ = (*(cell.strip() for cell in line.split(" | ")), "")
        of = re.findall(rf"`({service.upper()}_[A-Z0-9_]+)`", variables)
        values = re.findall(r"`([^`]+)`", default) or [default] * len(of)
        assert len(of) == len(values) > 0, f"services/{service}/README.md: a default for each variable of: {line}"
        yield from zip(of, values, strict=True)


@pytest.mark.parametrize("service", SERVICES)
def test_the_defaults_are_those_that_the_page_tells(service: str) -> None:
    """Who sets nothing has them: an address that everybody reaches, or no limit, would be an open door."""
    settings, fields = settings_of(service), fields_of(service)

    for variable, told in told_defaults(service):
        field = fields.pop(variable)
        default = settings.model_fields[field].default
        if told == "development's":
            assert field in settings.development_only, variable
        elif told in {"empty", "the system's"}:
            assert not default, variable
        else:
            assert is_default(service, variable, told), variable
    assert fields == {}, "say what each is if nobody sets it"


@pytest.mark.parametrize("service", SERVICES)
def test_the_commands_are_those_that_the_service_has(service: str) -> None:
    command_line = import_module(f"{service}.__main__").command_line
    commands = set(typer.main.get_group(command_line.typer).commands)

    assert names(rf"`python -m {service} \[?([a-z-]+)", section(service, "Commands")) == commands


@pytest.mark.parametrize("service", SERVICES)
async def test_the_events_and_tasks_are_those_that_the_service_knows(service: str) -> None:
    running = built(service)
    events = {*running.consumer.routes, *(event.type for event in running.published)}
    kinds = {kind.name for kind in running.worker.kinds}
    await running.close()

    page = f"services/{service}/README.md"
    told = names(r"`([a-z0-9_]+\.[a-z0-9_]+\.v\d+)`", section(service, "Events"))
    assert told == events, f"{page}, Events: a line for each of {sorted(events)}"
    told = names(r"(?m)^\| `([a-z_]+)` \|", section(service, "Tasks"))
    assert told == kinds, f"{page}, Tasks: a line for each of {sorted(kinds)}"
