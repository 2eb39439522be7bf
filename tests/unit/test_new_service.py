"""`make new-service`: what it makes passes the linter whatever the names are, and what it can't make is one line."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from outboxed.settings import ServiceSettings
from shop_harness.services import ROOT, SERVICES

from tools.new_service import rendering, static
from tools.new_service.__main__ import asked
from tools.new_service.names import WrongArgumentError
from tools.new_service.shape import Shape, plural

LONG = "x" * 11 + "_" + "y" * 12
# names that no real service is likely to take: these tests run beside whatever services there are
SHAPES: Mapping[str, tuple[str, str, str]] = {
    "reads and publishes": ("trial", "order.confirmed", "trialed.dispatched"),
    "two producers, several events": ("trial-two", "payment.*,order.placed.v1", "trialed.part_wrapped,trialed.sent"),
    "only reads": ("trial_three", "order.confirmed,order.cancelled", ""),
    "only publishes": ("trial_four", "", "trialed.changed"),
    "the words of the template": ("trial_five", "order.placed", "task.requested,event.refused,class.done"),
    "one verb twice": ("trial_six", "order.placed", "trialed.sent,tried.sent"),
    "a layer's name": ("storage", "order.placed", "room.given"),
    "a verb that is the end of another's name": ("trial_seven", "", "a.sent,b.sent,c.a_sent"),
    "the longest names": (LONG, "order.placed,payment.refunded", f"{LONG}.{LONG},{LONG}.{LONG[::-1]}"),
    "the longest names alone": (LONG, "", f"{LONG}.{LONG}"),
}


@cache
def made(shape: str) -> Mapping[str, str]:
    return rendering.rendered(asked(*SHAPES[shape]))


def test_what_is_made_passes_the_linter(tmp_path: Path) -> None:
    files = {f"{shape}/{name}": text for shape in SHAPES for name, text in made(shape).items()}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for shape in SHAPES:
        shutil.copy(ROOT / "pyproject.toml", tmp_path / shape)

    rendering.tidy(tmp_path, files)

    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise"]
    linted = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)  # noqa: S603
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("shape", SHAPES)
def test_no_word_of_the_template_is_left(shape: str) -> None:
    files = made(shape)

    assert {name: text for name, text in files.items() if "{{" in text.replace("${{", "") or "{%" in text} == {}
    assert [name for name in files if "NAME" in name] == []


def test_a_page_that_is_made_tells_the_defaults_that_every_service_has() -> None:
    numbers = {
        name: field.default for name, field in ServiceSettings.model_fields.items() if type(field.default) is int
    }
    page = made("reads and publishes")["services/trial/README.md"]

    assert "kafka_fetch_max_wait_ms" in numbers
    for name, default in numbers.items():
        assert f"| `TRIAL_{name.upper()}` | `{default}` |" in page


@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES)
def test_what_is_put_into_the_static_files_is_taken_out_without_a_trace(given: tuple[str, str, str]) -> None:
    shape = asked(*given)
    wiring = static.Wiring(shape.name, shape.port, {shape.topic: 12} if shape.events else {}, SERVICES)

    for entry in static.entries():
        before = (ROOT / entry.file).read_text()
        put = entry.put(before, wiring)
        assert put != before, f"{entry.file} says nothing of {shape.name}"
        assert entry.put(put, wiring) == put
        assert entry.take(put, wiring) == before


@pytest.mark.parametrize("shape", SHAPES)
def test_no_file_that_is_there_is_written_over(shape: str) -> None:
    assert [name for name in made(shape) if (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("", "order.placed", ""), "NAME is needed: make new-service NAME=shipping READS=... PUBLISHES=..."),
        (("trial", "", ""), "READS or PUBLISHES is needed"),
        (("Trial", "order.placed", ""), "NAME=Trial: a name has small letters"),
        (("2fast", "order.placed", ""), "NAME=2fast: a name has small letters"),
        (("a b", "order.placed", ""), "NAME=a b: a name has small letters"),
        (("../orders", "order.placed", ""), "NAME=../orders: a name has small letters"),
        (("x" * 25, "order.placed", ""), "has at most 24 characters"),
        (("class", "order.placed", ""), "NAME=class: is a word of Python"),
        (("match", "order.placed", ""), "NAME=match: is a word of Python"),
        (("json", "order.placed", ""), "NAME=json: is a module of Python's standard library"),
        (("payments", "order.placed", ""), "NAME=payments: there is a service payments already"),
        (("httpx", "order.placed", ""), "NAME=httpx: something here is called httpx already"),
        (("outboxed", "order.placed", ""), "NAME=outboxed: something here is called outboxed already"),
        (("kafka", "order.placed", ""), "NAME=kafka: something here is called kafka already"),
        (("gateway", "order.placed", ""), "NAME=gateway: something here is called gateway already"),
        (("prometheus", "order.placed", ""), "NAME=prometheus: something here is called prometheus already"),
        (("pact-broker", "order.placed", ""), "NAME=pact-broker: something here is called pact_broker already"),
        (("ci", "order.placed", ""), "NAME=ci: something here is called ci already"),
        (("release", "order.placed", ""), "NAME=release: something here is called release already"),
        (("on", "order.placed", ""), "NAME=on: is no text in YAML"),
        (("template1", "order.placed", ""), "NAME=template1: something here is called template1 already"),
        (
            ("trial", "order.exploded", ""),
            "READS=order.exploded: nobody publishes it; there are ",
        ),
        (("trial", "order.placed.v7", ""), "READS=order.placed.v7: nobody publishes it"),
        (("trial", "refund.*", ""), "READS=refund.*: nobody publishes it"),
        (("trial", "order placed", ""), "READS=order placed: an event is called like order.confirmed"),
        (("trial", "order.placed,order.placed.v1", ""), "names an event twice"),
        (("trial", "order.placed,order.placed", ""), "READS: names order.placed twice"),
        (("trial", "", "order.placed"), "PUBLISHES=order.placed: orders publishes it already"),
        (("trial", "", "order.placed.v2"), "PUBLISHES=order.placed: orders publishes it already"),
        (("trial", "", "dispatched"), "PUBLISHES=dispatched: an event is called like shipment.dispatched"),
        (("trial", "", "Trialed.Dispatched"), "PUBLISHES=Trialed.Dispatched: an event is called like"),
        (("trial", "", "b.sent,b.status"), "PUBLISHES=b.status: status says nothing that happened to a b"),
        (("trial", "", "b.event"), "PUBLISHES=b.event: event says nothing that happened to a b"),
        (("trial", "", "a.b_c,a_b.c"), "PUBLISHES=a_b.c: a.b_c has the same class ABC"),
        (("trial", "", "a.b,a.b.v2"), "PUBLISHES=a.b,a.b.v2: names an event twice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_made_is_one_line(given: tuple[str, str, str], told: str) -> None:
    with pytest.raises(WrongArgumentError) as refused:
        asked(*given)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("module", "variables", "told"),
    [
        ("tools.new_service", {"NAME": "json"}, "new-service: NAME=json: is a module of Python's standard library\n"),
        ("tools.remove_service", {}, "remove-service: NAME is needed: make remove-service NAME=shipping\n"),
        (
            "tools.remove_service",
            {"NAME": "orders"},
            "remove-service: NAME=orders: the demo and the journeys are about orders, payments, notifications\n",
        ),
    ],
)
def test_the_command_says_it_on_stderr_and_exits_with_2(module: str, variables: dict[str, str], told: str) -> None:
    command = [sys.executable, "-m", module]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env={"PATH": "", **variables}, check=False, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


def shape(name: str, reads: str, publishes: str) -> Shape:
    return asked(name, reads, publishes)


def test_what_is_read_has_the_fields_that_others_rely_on_with_the_values_that_can_be_asked_for() -> None:
    [read] = shape("trial", "order.placed", "").reads

    assert set(read.event.example) == {"order_id", "total", "payment_method", "pay_before"}
    assert read.event.example["total"] == {"amount": "95.00", "currency": "EUR"}
    assert read.event.another["total"] == {"amount": "1062.50", "currency": "EUR"}
    assert read.event.state == "an order is placed"


def test_a_view_has_a_type_for_each_form() -> None:
    classes = shape("trial", "order.placed", "").views.classes

    assert "order_id: UUID" in classes
    assert "pay_before: ConsumedTimestamp" in classes
    assert "amount: ConsumedAmount" in classes


@pytest.mark.parametrize(
    ("given", "noun"),
    [
        (("trial", "", "trialed.dispatched"), "trialed"),
        (("trial_three", "order.placed", ""), "trial_three_entry"),
        (("trial_five", "", "task.done"), "task_entry"),
        (("trial_five", "", "class.done"), "class_entry"),
        (("trial_five", "", "list.done"), "list_entry"),
        (("trial_five", "", "detail.done"), "detail_entry"),
        (("trial_five", "", "a.done"), "a_entry"),
        (("trial_five", "", "mapping.done"), "mapping_entry"),
        (("trial_five", "", "status_change.done"), "status_change_entry"),
        (("trial_five", "", "exception.done"), "exception_entry"),
    ],
)
def test_what_a_service_keeps_is_called_after_its_first_event_unless_the_word_is_taken(
    given: tuple[str, str, str], noun: str
) -> None:
    assert shape(*given).noun == noun


@pytest.mark.parametrize(
    ("noun", "several"), [("trialed", "trialeds"), ("entry", "entries"), ("box", "boxes"), ("day", "days")]
)
def test_several_are_called_so(noun: str, several: str) -> None:
    assert plural(noun) == several


@pytest.mark.parametrize(
    ("publishes", "statuses"),
    [
        ("", ["REQUESTED", "DONE", "REFUSED"]),
        ("a.sent,a.arrived", ["REQUESTED", "SENT", "ARRIVED", "REFUSED"]),
        ("a.requested,a.refused", ["BEGUN", "REQUESTED", "REFUSED", "GIVEN_UP"]),
        ("a.sent,b.sent", ["REQUESTED", "A_SENT", "B_SENT", "REFUSED"]),
        ("a.sent,b.sent,c.a_sent", ["REQUESTED", "A_SENT", "B_SENT", "C_A_SENT", "REFUSED"]),
    ],
)
def test_each_event_is_a_status_and_no_two_have_one_name(publishes: str, statuses: list[str]) -> None:
    assert shape("trial", "order.placed", publishes).statuses == statuses
