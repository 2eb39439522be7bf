"""The gate: which changes of a published event break its consumers, and which don't."""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from asyncapi_gate import UnreadableDocumentError, breaking_changes
from asyncapi_gate.reading import Document
from asyncapi_gate.validation import tolerant, violations
from hypothesis import given, settings
from hypothesis import strategies as st
from outboxed.messages import Amount, ConsumedEvent, EventData, Timestamp, document
from pydantic import Field, WithJsonSchema, create_model

from ..parcel import Content, Parcel, warehouse


class Item(EventData):
    quantity: int


class ItemInPieces(EventData):
    quantity: str


class ItemOfAColour(EventData):
    quantity: int
    colour: str


class Described(EventData):
    description: str  # a field, though JSON schema has a keyword of this name


class DescribedByNumber(EventData):
    description: int


class Nothing(EventData):
    pass


class Crate(EventData):
    weight: int
    inside: list["Crate"]


class Box(EventData):
    """A crate, in other words."""

    weight: int
    inside: list["Box"]


class HeavyCrate(EventData):
    weight: float
    inside: list["HeavyCrate"]


@cache
def _without_a_schema() -> Content:
    return warehouse()


def of_payload(schema: Any) -> Content:
    document = _without_a_schema()
    return {**document, "components": {**document["components"], "schemas": {"ParcelShipped": schema}}}


def findings(before: Content, after: Content) -> list[tuple[str, str]]:
    return [(change.field, change.what) for change in breaking_changes(before, after)]


def changed(content: Content, change: Callable[[Content], object]) -> Content:
    later = deepcopy(content)
    change(later)
    return later


def message(content: Content) -> Content:
    found: Content = content["components"]["messages"]["parcel.shipped.v1"]
    return found


Open = WithJsonSchema({"type": "string", "x-extensible-enum": ["bike"]})
OpenWithMore = WithJsonSchema({"type": "string", "x-extensible-enum": ["bike", "van"]})
AtLeastOne = Annotated[list[int], Field(min_length=1)]


# --- one field ---


@pytest.mark.parametrize(
    ("before", "after", "where", "what"),
    [
        (int, str, "it", "integer became string"),
        (int, float, "it", "integer became number"),
        (int, list[int], "it", "integer became array"),
        (int, Any, "it", "integer became anything"),
        (int, int | None, "it", "may be null now"),
        (int, int | str, "it", "may be string now"),
        (int | None, str | None, "it", "integer became string"),
        (int | bool, int | str, "it", "may be string now"),
        (int | UUID, int | Timestamp, "it", "format uuid became date-time"),
        (None, int | None, "it", "may be integer now"),
        (Literal["bike"], Literal["van"], "it", '"bike" became "van"'),
        (Literal["bike", "van"], Literal["bike", "van", "ship"], "it", 'may be "ship" now'),
        (Literal["bike"], Literal["bike", "van"], "it", 'may be "van" now'),
        (Literal["bike", "van"], str, "it", 'may be any string now, was "bike" or "van"'),
        (Literal["bike"], Annotated[str, Open], "it", 'may be any string now, was "bike"'),
        (UUID, str, "it", "format uuid became none"),
        (Timestamp, UUID, "it", "format date-time became uuid"),
        (Amount, str, "it", r"pattern ^-?\d+\.\d{2}$ became none"),
        (Annotated[str, Field(max_length=5)], Annotated[str, Field(max_length=6)], "it", "maxLength 5 became 6"),
        (Annotated[int, Field(ge=1)], Annotated[int, Field(ge=0)], "it", "minimum 1 became 0"),
        (Annotated[int, Field(lt=9)], int, "it", "exclusiveMaximum 9 became none"),
        (Annotated[int, Field(multiple_of=5)], Annotated[int, Field(multiple_of=2)], "it", "multipleOf 5 became 2"),
        (AtLeastOne, list[int], "it", "minItems 1 became none"),
        (list[int], list[str], "it[]", "integer became string"),
        (list[int], list[Any], "it[]", "integer became anything"),
        (tuple[int], tuple[str], "it[0]", "integer became string"),
        (dict[str, int], dict[str, str], "it.*", "integer became string"),
        (dict[str, int], dict[str, Any], "it.*", "integer became anything"),
        (Item, ItemInPieces, "it.quantity", "integer became string"),
        (list[Item], list[ItemInPieces], "it[].quantity", "integer became string"),
        (dict[str, Item], dict[str, ItemInPieces], "it.*.quantity", "integer became string"),
        (Item | None, ItemInPieces | None, "it.quantity", "integer became string"),
        (dict[str, int], ItemInPieces, "it.quantity", "integer became string"),
        (Item, Nothing, "it.quantity", "was removed"),
        (ItemOfAColour, Item, "it.colour", "was removed"),
    ],
)  # fmt: skip
def test_a_field_that_may_be_more_than_before_breaks_its_consumers(
    before: Any, after: Any, where: str, what: str
) -> None:
    assert findings(warehouse(it=before), warehouse(it=after)) == [(where, what)]


def test_a_field_named_like_a_keyword_is_no_word_for_people() -> None:
    def unlike(model: type[EventData]) -> Content:
        return of_payload({"not": model.model_json_schema()})

    [(where, what)] = findings(unlike(Described), unlike(DescribedByNumber))

    assert (where, what.split()[0]) == ("", "not")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (float, int),
        (int | None, int),
        (int | str, int),
        (int | str | None, str | None),
        (Any, int),
        (Any, int | None),
        (str, Literal["bike"]),
        (str, UUID),
        (str, Amount),
        (Literal["bike", "van"], Literal["van"]),
        (Annotated[str, Open], Annotated[str, OpenWithMore]),
        (Annotated[str, Open], Literal["ship"]),
        (Annotated[int, Field(ge=1)], Annotated[int, Field(ge=2)]),
        (Annotated[int, Field(le=9)], Annotated[int, Field(le=8)]),
        (list[int], AtLeastOne),
        (list[Any], list[int]),
        (dict[str, float], dict[str, int]),
        (Item, ItemOfAColour),
        (list[Item], list[ItemOfAColour]),
        (Crate, Box),
        (tuple[Crate, int], tuple[Box, int]),
        (int, Annotated[int, Field(description="how many", title="Number", deprecated=True, examples=[1])]),
        (Item, Annotated[Item, Field(deprecated=True)]),
        (Amount, Annotated[Decimal, WithJsonSchema({"type": ["string"], "pattern": r"^-?\d+\.\d{2}$"})]),
    ],
)
def test_a_field_that_may_be_no_more_than_before_breaks_nobody(before: Any, after: Any) -> None:
    assert findings(warehouse(it=before), warehouse(it=after)) == []


INTEGER: Content = {"type": "integer"}
NUMBER: Content = {"type": "number"}
STRING: Content = {"type": "string"}
NULLABLE: Content = {"type": ["string", "null"]}
INTEGERS: Content = {"type": "array", "items": INTEGER}
AT_LEAST_FIVE: Content = {"minimum": 5, "anyOf": [INTEGER, {"type": "null"}]}
KINDS: list[Content] = [
    {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]} for kind in ("cat", "dog", "bird")
]


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ({"required": ["a"]}, {}, "may be absent now"),
        ({"type": "object", "required": ["a"]}, {"type": "object"}, "may be absent now"),
        (INTEGERS, {**INTEGERS, "prefixItems": [STRING]}, "integer became string"),
        ({"type": "array", "contains": INTEGER}, {"type": "array", "contains": INTEGER, "minContains": 0}, "contains"),
        ({"additionalProperties": INTEGER}, {"additionalProperties": INTEGER, "patternProperties": {"^x": STRING}},
         "integer became string"),
        ({"patternProperties": {"^x": INTEGER}}, {"properties": {"x": STRING}}, "integer became string"),
        ({"patternProperties": {"^x": INTEGER}}, {"properties": {"x_of_more": STRING}}, "integer became string"),
        ({"patternProperties": {"x": INTEGER}}, {"properties": {"a_x_b": STRING}}, "integer became string"),
        ({"oneOf": [INTEGER, NUMBER]}, {"anyOf": [INTEGER, NUMBER]}, "may fit several of the alternatives now"),
        ({**NULLABLE, "enum": ["a"]}, {**NULLABLE, "enum": ["a", None]}, "may be null now"),
        (AT_LEAST_FIVE, {"minimum": 5, "anyOf": [INTEGER, STRING]}, "may be string now"),
        ({"minimum": 5, "anyOf": [{**INTEGER, "minimum": 0}, STRING]}, {"anyOf": [{**INTEGER, "minimum": 0}, STRING]},
         "minimum 5 became 0"),
        ({"allOf": [INTEGER, {"minimum": 0}]}, {"allOf": [INTEGER]}, "minimum 0 became none"),
        ({"allOf": [{"type": "object", "unevaluatedProperties": INTEGER}, {}]},
         {"allOf": [{"type": "object", "unevaluatedProperties": INTEGER, "properties": {"a": STRING}}, {}]},
         "integer became string"),
        ({"properties": {"a": INTEGER}, "dependentRequired": {"a": ["b"]}}, {"properties": {"a": INTEGER}},
         "dependentRequired"),
        ({"dependentRequired": {"title": ["b"]}}, {"dependentRequired": {"description": ["b"]}}, "dependentRequired"),
        ({"const": {"title": 1}}, {"const": {"title": 2}}, "became"),
    ],
)  # fmt: skip
def test_no_word_of_a_schema_is_overlooked(before: Content, after: Content, what: str) -> None:
    assert what in " ".join(found for _, found in findings(of_payload(before), of_payload(after)))


AGAIN = {"$ref": "#/components/schemas/ParcelShipped"}


@pytest.mark.parametrize(
    "words",
    [{"contains": AGAIN}, {"if": {}, "then": AGAIN}, {"dependentSchemas": {"a": AGAIN}}, {"propertyNames": AGAIN}],
    ids="-".join,
)
def test_a_schema_that_holds_itself_by_any_word_is_compared_to_its_end(words: Content) -> None:
    def holding_itself(most: int) -> Content:
        return of_payload({"maxLength": most, **words})

    assert ("", "maxLength 1 became 2") in findings(holding_itself(1), holding_itself(2))
    assert findings(holding_itself(2), holding_itself(1)) == []


def test_a_pattern_that_nobody_can_read_is_an_error() -> None:
    before = of_payload({"properties": {"a": {}}, "patternProperties": {"^(": INTEGER}})

    with pytest.raises(UnreadableDocumentError, match="can't be read"):
        breaking_changes(before, of_payload({"properties": {"a": INTEGER}}))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({**INTEGER, "exclusiveMinimum": 0}, {**INTEGER, "minimum": 1}),
        ({**NUMBER, "maximum": 9}, {**NUMBER, "exclusiveMaximum": 9}),
        ({**INTEGER, "multipleOf": 2}, {**INTEGER, "multipleOf": 4}),
        ({**STRING, "minLength": 0}, STRING),
        ({"type": "array", "uniqueItems": False}, {"type": "array"}),
        ({**STRING, "pattern": "^[A-Z]+$"}, {"enum": ["EUR", "USD"]}),
        ({"anyOf": [{"const": "a"}, {"type": "null"}]}, {**NULLABLE, "enum": ["a", None]}),
        ({"const": 1}, {"const": 1.0}),
        ({**INTEGER, "minimum": 0, "maximum": 9}, {"allOf": [{**INTEGER, "minimum": 1}, {"maximum": 9}]}),
        ({"anyOf": [{**INTEGER, "minimum": 5}, {"type": "null"}]}, AT_LEAST_FIVE),
        ({"minLength": 1}, {**STRING, "minLength": 1}),
        ({"minLength": 1}, INTEGER),
        ({"not": STRING}, INTEGER),
        ({"anyOf": KINDS}, {"oneOf": KINDS}),
        ({"oneOf": KINDS}, {"oneOf": KINDS[:2]}),
        ({"type": "object", "properties": {"a": INTEGER}}, {"type": "object", "additionalProperties": False}),
        ({"type": "object", "maxProperties": 1},
         {"type": "object", "properties": {"a": {}}, "additionalProperties": False}),
        (INTEGERS, {"type": "array", "prefixItems": [INTEGER], "items": False}),
        ({"type": "array", "contains": INTEGER}, {**INTEGERS, "minItems": 1}),
        ({"propertyNames": {"maxLength": 4}}, {"propertyNames": {"maxLength": 3}}),
        ({"properties": {"a": {}}, "dependentRequired": {"a": ["b"]}}, {"required": ["b"]}),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"required": ["b"]}),
        ({"additionalProperties": NUMBER}, {"unevaluatedProperties": INTEGER}),
    ],
)  # fmt: skip
def test_what_is_said_in_other_words_breaks_nobody(before: Content, after: Content) -> None:
    assert findings(of_payload(before), of_payload(after)) == []


def test_a_field_that_is_removed_breaks_its_consumers_and_one_that_is_added_does_not() -> None:
    assert findings(warehouse(it=int, that=str), warehouse(it=int)) == [("that", "was removed")]
    assert findings(warehouse(it=int), warehouse(it=int, that=str)) == []


def test_a_field_that_is_deprecated_may_not_be_removed_either() -> None:
    before = warehouse(it=Annotated[int, Field(deprecated=True)])

    assert findings(before, warehouse()) == [("it", "was removed")]


def test_a_default_breaks_nobody_since_the_field_is_sent_in_any_case() -> None:
    assert findings(warehouse(it=int), warehouse(it=(int, 3))) == []


def test_a_field_that_may_be_absent_breaks_its_consumers() -> None:
    before = warehouse(it=int)
    after = changed(before, lambda content: content["components"]["schemas"]["ParcelShipped"]["required"].remove("it"))

    assert findings(before, after) == [("it", "may be absent now")]
    assert findings(after, before) == []


def test_a_model_that_holds_itself_is_compared_to_its_end() -> None:
    assert findings(warehouse(it=Crate), warehouse(it=HeavyCrate)) == [
        ("it.weight", "integer became number"),
        ("it.inside[].weight", "integer became number"),
    ]


# --- the event ---


def test_another_topic_or_key_breaks_its_consumers() -> None:
    before = warehouse(it=int)
    elsewhere = changed(before, lambda content: content["channels"]["parcels"].update(address="shipments"))
    by_another_key = changed(
        before, lambda content: message(content)["bindings"]["kafka"]["key"].update({"x-key-field": "it"})
    )

    assert findings(before, elsewhere) == [("", "topic parcels became shipments")]
    assert findings(before, by_another_key) == [("", "key parcel_id became it")]


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (lambda headers: headers["properties"].pop("ce_id"), "header ce_id", "was removed"),
        (lambda headers: headers["required"].remove("ce_id"), "header ce_id", "may be absent now"),
        (
            lambda headers: headers["properties"]["ce_specversion"].update(const="2.0"),
            "header ce_specversion",
            '"1.0" became "2.0"',
        ),
    ],
)
def test_a_header_that_consumers_count_on_is_as_good_as_a_field(
    change: Callable[[Content], object], where: str, what: str
) -> None:
    before = warehouse()

    assert findings(before, changed(before, lambda content: change(message(content)["headers"]))) == [(where, what)]


def test_a_header_that_may_be_absent_may_go_but_not_change() -> None:
    before = warehouse()
    gone = changed(before, lambda content: message(content)["headers"]["properties"].pop("traceparent"))
    other = changed(
        before, lambda content: message(content)["headers"]["properties"]["traceparent"].update(type="null")
    )

    assert findings(before, gone) == []
    assert findings(before, other) == [("header traceparent", "may be null now")]


def test_an_event_is_published_until_it_was_deprecated() -> None:
    nothing = document(title="warehouse", version="1", published=[], consumed=[])
    deprecated = of_payload({"deprecated": True})

    assert findings(warehouse(), nothing) == [("", "is no longer published")]
    assert findings(deprecated, nothing) == []


def test_what_a_service_consumes_is_its_own_affair() -> None:
    class Seen(ConsumedEvent, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
        parcel_id: UUID

    def consuming(*events: type[ConsumedEvent]) -> Content:
        return document(title="reception", version="1", published=[], consumed=events)

    assert findings(consuming(Seen), consuming()) == []


# --- what it says ---


def test_a_change_names_event_field_and_what_to_do_instead() -> None:
    [change] = breaking_changes(warehouse(items=list[Item]), warehouse(items=list[ItemInPieces]))

    assert str(change) == (
        "parcel.shipped.v1: items[].quantity: integer became string. "
        "Publish parcel.shipped.v2 beside it (docs/evolving-events.md)"
    )


def test_a_change_of_the_event_itself_has_no_field() -> None:
    [change] = breaking_changes(warehouse(), document(title="warehouse", version="1", published=[], consumed=[]))

    assert str(change) == (
        "parcel.shipped.v1: is no longer published. "
        "Mark it as deprecated first, and retire it when no pact names it (docs/evolving-events.md)"
    )


@pytest.mark.parametrize(
    ("published", "instead"),
    [
        (["parcel.shipped"], "Publish parcel.shipped.v2 beside it"),
        (["parcel.shipped.v9"], "Publish parcel.shipped.v10 beside it"),
        (["parcel.shipped.v1", "parcel.shipped.v2"], "Publish parcel.shipped.v3 beside it"),
    ],
)
def test_the_next_version_is_one_that_nobody_publishes_yet(published: list[str], instead: str) -> None:
    def parcels(annotation: Any) -> Content:
        events = [
            create_model(f"Parcel{number}", __base__=Parcel, it=(annotation if number == 0 else int, ...))
            for number in range(len(published))
        ]
        for event, name in zip(events, published, strict=True):
            event.type = name
        return document(title="warehouse", version="1", published=events, consumed=[])

    [change] = breaking_changes(parcels(int), parcels(str))

    assert change.instead == instead


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content["components"]["schemas"].clear(),
        lambda content: message(content)["bindings"].clear(),
        lambda content: message(content).update(payload={"$ref": "elsewhere.json#/Parcel"}),
        lambda content: content["components"]["schemas"].update(
            ParcelShipped={"$ref": message(content)["payload"]["$ref"]}
        ),
    ],
    ids=["no schema", "no key", "another file", "a circle"],
)
def test_a_document_that_nobody_can_read_is_an_error(damage: Callable[[Content], object]) -> None:
    with pytest.raises(UnreadableDocumentError):
        breaking_changes(changed(warehouse(), damage), warehouse())


# --- the rule behind it ---

SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "", "a", "bb"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)
SIMPLE = st.one_of(
    st.builds(lambda name: {"type": name}, st.sampled_from(["null", "boolean", "integer", "number", "string"])),
    st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value}, SCALARS),
    st.builds(lambda low: {"type": "integer", "minimum": low}, st.integers(-2, 2)),
    st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, st.integers(-2, 2)),
    st.builds(lambda length: {"type": "string", "maxLength": length}, st.integers(0, 2)),
    st.just({}),
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda fields, required, others: {
            "type": "object",
            "properties": fields,
            "required": sorted(required & fields.keys()),
            "additionalProperties": others,
        },
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
        st.sets(st.sampled_from("ab")),
        st.booleans() | inner,
    )


def _of_other_words(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Words that say something beside others, most of them about objects and lists."""
    lists = st.lists(inner, min_size=1, max_size=2)
    names = st.sampled_from([["a"], ["b"], ["a", "b"]])
    by_name = st.fixed_dictionaries({}, optional={"a": inner, "b": inner})
    sizes = st.integers(0, 2)
    words = {
        "oneOf": lists,
        "allOf": lists,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "prefixItems": lists,
        "items": inner | st.booleans(),
        "contains": inner,
        "minContains": sizes,
        "maxContains": sizes,
        "maxItems": sizes,
        "uniqueItems": st.booleans(),
        "patternProperties": st.fixed_dictionaries({}, optional={"^a": inner, "b$": inner}),
        "additionalProperties": inner | st.booleans(),
        "unevaluatedProperties": inner | st.booleans(),
        "properties": by_name,
        "required": names,
        "minProperties": sizes,
        "maxProperties": sizes,
        "propertyNames": st.builds(lambda names: {"enum": names}, names),
        "dependentRequired": st.fixed_dictionaries({"a": names}),
        "dependentSchemas": by_name,
        "multipleOf": st.sampled_from([0.5, 1, 2]),
        "type": st.sampled_from(["object", "array", "integer", ["array", "null"], ["object", "number"]]),
    }
    word = st.one_of(*(st.fixed_dictionaries({name: meant}) for name, meant in words.items()))
    return st.builds(
        lambda *several: {name: meant for each in several for name, meant in each.items()}, word, word, word
    )


SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 2)),
        _objects(inner),
        _of_other_words(inner),
    ),
    max_leaves=4,
)
CHANGED = st.builds(
    lambda before, other, is_edited: (before, {**before, **other} if is_edited else other),
    SCHEMAS,
    SCHEMAS,
    st.booleans(),
)
"""Two schemas, the second of them at times the first with a few words changed."""


@settings(max_examples=200)
@given(CHANGED, VALUES)
def test_what_passes_the_gate_can_be_read_by_whoever_could_read_the_event_before(
    change: tuple[Any, Any], value: Any
) -> None:
    before, after = change
    earlier, later = of_payload(before), of_payload(after)

    if not list(violations(value, after, Document(later))) and not breaking_changes(earlier, later):
        assert not list(violations(value, tolerant(before), Document(earlier)))


@settings(max_examples=50)
@given(SCHEMAS)
def test_an_event_that_stays_as_it_is_breaks_nobody(schema: Any) -> None:
    assert breaking_changes(of_payload(schema), of_payload(deepcopy(schema))) == []


@pytest.mark.parametrize(("name", "written"), [("a/b", "a~1b"), ("a~b", "a~0b"), ("a~1b", "a~01b"), ("a~0b", "a~00b")])
def test_a_reference_leads_to_a_schema_of_whatever_name(name: str, written: str) -> None:
    """Source: RFC 6901, section 4."""
    document = Document({"components": {"schemas": {name: {"type": "string"}}}})

    assert document.resolved({"$ref": f"#/components/schemas/{written}"}) == {"type": "string"}
