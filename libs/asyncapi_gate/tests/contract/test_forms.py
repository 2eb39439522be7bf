"""Each reader against each form of an event that it may meet: broken once in each direction, and told by name."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from asyncapi_gate import StaleDocumentError, UnreadableFormError, check_forms
from asyncapi_gate.forms import droppable, kept_forms
from outboxed.messages import ConsumedEvent, Timestamp, document
from pydantic import BaseModel, Field, create_model

from ..parcel import Content, as_fields, warehouse

Carrier = Literal["bike", "van"]
FIRST = "form 1 of 2026-01-01"


class ParcelSeen(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID


def reception(*, service: str = "reception", **fields: Any) -> Content:
    """A service that reads these fields of a parcel."""
    event = create_model("ParcelShipped", __base__=ParcelSeen, **as_fields(fields))
    return document(title=service, version="1", published=[], consumed=[event])


def keep(folder: Path, *documents: Content) -> None:
    """Keep the forms of these documents, written on one day after the other."""
    for day, content in enumerate(documents, start=1):
        before = set(folder.rglob("*.json"))
        check_forms(content, folder, write=True)
        for path in set(folder.rglob("*.json")) - before:
            dated(path, date(2026, 1, day))


def dated(path: Path, day: date) -> None:
    content = json.loads(path.read_text())
    content["info"]["version"] = day.isoformat()
    path.write_text(json.dumps(content))


def problems(folder: Path, content: Content) -> list[str]:
    with pytest.raises(UnreadableFormError) as caught:
        check_forms(content, folder, write=True)
    return str(caught.value).splitlines()


# --- a reader of today, a form of yesterday ---


def test_a_reader_that_needs_a_field_which_kept_records_lack_is_told_which_form_lacks_it(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(), warehouse(carrier=str))

    [line] = problems(tmp_path, reception(carrier=str))

    assert line == (
        f"parcel.shipped.v1: carrier: is missing in {FIRST}, for reception (its new form). "
        "Give the field a default, or wait until that form is dropped (docs/evolving-events.md)"
    )


def test_a_field_that_no_form_has_is_told_too(tmp_path: Path) -> None:
    keep(tmp_path, warehouse())

    assert len(problems(tmp_path, reception(carrier=str))) == 1


def test_a_reader_that_does_without_the_field_reads_every_form(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(), warehouse(carrier=str), reception(carrier=(str, "bike")))


def test_a_form_that_was_dropped_is_in_nobodys_way(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(), warehouse(carrier=str))
    (tmp_path / "forms/warehouse/sent/parcel.shipped.v1/1.json").unlink()

    check_forms(reception(carrier=str), tmp_path, write=True)


@pytest.mark.parametrize(
    ("earlier", "later", "read", "what"),
    [
        (int | None, int, int, "may be null"),
        (float, int, int, "integer is expected, not number"),
        (Literal["bike", "van", "ship"], Carrier, Carrier, 'may be "ship"'),
        (str, UUID, UUID, "format uuid is expected, not none"),
        (str, Timestamp, Timestamp, "format date-time is expected, not none"),
        (
            str,
            Annotated[str, Field(min_length=1)],
            Annotated[str, Field(min_length=1)],
            "minLength 1 is expected, not none",
        ),
        (list[float], list[int], list[int], "integer is expected, not number"),
    ],
)
def test_a_form_that_was_narrowed_since_may_still_be_met(
    tmp_path: Path, earlier: Any, later: Any, read: Any, what: str
) -> None:
    keep(tmp_path, warehouse(it=earlier), warehouse(it=later))

    [line] = problems(tmp_path, reception(it=read))

    assert f"it: {what} in {FIRST}" in line or f"it[]: {what} in {FIRST}" in line


def test_what_no_form_promised_is_left_to_the_pact(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(carrier=str), warehouse(carrier=str, weight=int))

    check_forms(reception(carrier=Annotated[str, Field(pattern="^[a-z]+$")]), tmp_path, write=True)


# --- a form of today, a reader of yesterday ---


def test_a_new_form_that_a_deployed_reader_cannot_read_is_told_with_the_reader(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(carrier=Carrier), reception(carrier=Carrier), reception(carrier=str))

    lines = problems(tmp_path, warehouse(carrier=Literal["bike", "van", "ship"]))

    assert f'may be "ship", for readers of {FIRST}' in lines[0]
    assert 'may be "ship" in its new form, for reception (form 1 of 2026-01-02)' in lines[1]
    assert all("Publish a new version beside it" in line for line in lines)
    assert len(lines) == 2  # the reader's second form reads any text


def test_a_field_that_comes_back_in_another_form_is_seen_though_the_last_form_lacks_it(tmp_path: Path) -> None:
    forms = tmp_path / "forms/warehouse/sent/parcel.shipped.v1"
    keep(tmp_path, warehouse(it=int), warehouse(it=int, weight=int))
    (forms / "2.json").write_text((forms / "1.json").read_text().replace('"it"', '"that"'))

    assert any(
        "it: integer is expected, not string" in line for line in problems(tmp_path, warehouse(it=str, that=int))
    )


# --- what is kept ---


def test_a_new_form_is_stale_until_it_is_kept_and_keeps_its_date(tmp_path: Path) -> None:
    with pytest.raises(StaleDocumentError, match="warehouse: a new form of parcel"):
        check_forms(warehouse(), tmp_path, write=False)

    keep(tmp_path, warehouse())
    check_forms(warehouse(), tmp_path, write=True)

    [form] = kept_forms(tmp_path)
    assert (form.number, form.since) == (1, date(2026, 1, 1))


def test_each_service_that_reads_an_event_in_one_form_has_that_form_kept(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(), reception(), reception(service="billing"))

    assert [(form.service, form.direction, form.number) for form in kept_forms(tmp_path)] == [
        ("billing", "received", 1),
        ("reception", "received", 1),
        ("warehouse", "sent", 1),
    ]
    for content in (warehouse(), reception(), reception(service="billing")):
        check_forms(content, tmp_path, write=False)


def test_words_for_people_make_no_new_form(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(it=int), warehouse(it=Annotated[int, Field(description="how many")]))

    assert [form.number for form in kept_forms(tmp_path)] == [1]


def test_nothing_is_kept_of_a_form_that_somebody_cannot_read(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(it=int))

    assert problems(tmp_path, warehouse(it=str))
    assert [form.number for form in kept_forms(tmp_path)] == [1]


def test_a_form_can_be_dropped_when_another_one_followed_it_long_ago(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(), warehouse(it=int), reception())
    forms = tmp_path / "forms/warehouse/sent/parcel.shipped.v1"
    today = datetime.now(UTC).date()

    dated(forms / "2.json", today - timedelta(days=14))
    assert droppable(tmp_path, days=14) == []

    dated(forms / "2.json", today - timedelta(days=15))
    assert droppable(tmp_path, days=14) == [forms / "1.json"]


def test_a_new_form_has_a_number_that_no_other_had(tmp_path: Path) -> None:
    forms = tmp_path / "forms/warehouse/sent/parcel.shipped.v1"
    keep(tmp_path, warehouse(), warehouse(a=int), warehouse(a=int, b=int))
    (forms / "1.json").unlink()
    kept = (forms / "3.json").read_text()

    check_forms(warehouse(a=int, b=int, c=int), tmp_path, write=True)

    assert sorted(path.name for path in forms.iterdir()) == ["2.json", "3.json", "4.json"]
    assert (forms / "3.json").read_text() == kept


def test_the_tenth_form_comes_after_the_ninth(tmp_path: Path) -> None:
    fields: dict[str, Any] = {f"field_{number}": int for number in range(10)}
    keep(tmp_path, *(warehouse(**dict(list(fields.items())[:count])) for count in range(11)))

    assert [form.number for form in kept_forms(tmp_path)] == list(range(1, 12))
    numbers = [int(path.stem) for path in droppable(tmp_path, days=14)]
    assert numbers == list(range(1, 11)), "all but the newest"


class Label(BaseModel):
    text: str


class Box(BaseModel):
    labels: list[Label]


def test_a_form_has_all_schemas_that_its_event_is_made_of(tmp_path: Path) -> None:
    keep(tmp_path, warehouse(box=Box))

    [form] = kept_forms(tmp_path)

    assert {"Box", "Label"} <= form.document.content["components"]["schemas"].keys()
    check_forms(warehouse(box=Box), tmp_path, write=False)
