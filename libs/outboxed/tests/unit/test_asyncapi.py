"""The AsyncAPI document: a channel a topic, a message an event."""

from typing import Annotated, Any
from uuid import UUID

import pytest
from outboxed.messages import ConsumedEvent, Event, EventData, document
from outboxed.messages._asyncapi import KEY_FIELD
from pydantic import ConfigDict, Field, create_model

from ..sample import AccountCredited, MoneyMoved


@pytest.fixture(scope="session")
def asyncapi() -> dict[str, Any]:
    return document(title="bank", version="1.2", published=[AccountCredited], consumed=[MoneyMoved])


def test_a_document_names_its_service_and_version(asyncapi: dict[str, Any]) -> None:
    assert (asyncapi["asyncapi"], asyncapi["info"]) == ("3.1.0", {"title": "bank", "version": "1.2"})


def test_a_topic_is_a_channel_and_a_direction_an_operation(asyncapi: dict[str, Any]) -> None:
    assert {name: channel["address"] for name, channel in asyncapi["channels"].items()} == {
        "accounts": "accounts",
        "moves": "moves",
    }
    assert {name: operation["action"] for name, operation in asyncapi["operations"].items()} == {
        "send_accounts": "send",
        "receive_moves": "receive",
    }


def test_a_message_has_its_type_its_key_and_its_required_headers(asyncapi: dict[str, Any]) -> None:
    message = asyncapi["components"]["messages"]["account.credited.v1"]

    assert message["headers"]["properties"]["ce_type"]["const"] == "account.credited.v1"
    assert {"ce_id", "ce_type", "ce_sequence", "content-type"} <= set(message["headers"]["required"])
    assert message["bindings"]["kafka"]["key"]["description"] == "equals account_id"
    assert message["bindings"]["kafka"]["key"][KEY_FIELD] == "account_id"


def test_money_is_a_string_and_unknown_fields_are_open_to_consumers_only(asyncapi: dict[str, Any]) -> None:
    sent = asyncapi["components"]["schemas"]["AccountCredited"]
    received = asyncapi["components"]["schemas"]["MoneyMoved"]

    assert sent["properties"]["amount"]["type"] == received["properties"]["amount"]["type"] == "string"
    assert sent["additionalProperties"] is False
    assert "additionalProperties" not in received


def test_a_field_with_a_default_is_sent_in_any_case_and_so_required_of_who_publishes_it(
    asyncapi: dict[str, Any],
) -> None:
    assert set(asyncapi["components"]["schemas"]["AccountCredited"]["required"]) == {
        "account_id",
        "amount",
        "owner",
        "at",
    }


class Owner(EventData):
    name: str


class AccountClosed(Event, type="account.closed.v1", topic="accounts", key_field="account_id"):
    model_config = ConfigDict(json_schema_extra={"deprecated": True})

    account_id: UUID
    owner: Annotated[Owner, Field(deprecated="use the account")]


def test_what_is_deprecated_says_so() -> None:
    closed = document(title="bank", version="1", published=[AccountClosed], consumed=[])["components"]["schemas"]

    assert closed["AccountClosed"]["deprecated"] is True
    assert "deprecated" not in closed["AccountClosed"]["properties"]["account_id"]
    assert closed["AccountClosed"]["properties"]["owner"] == {
        "allOf": [{"$ref": "#/components/schemas/Owner"}],
        "deprecated": True,
    }


def test_an_event_that_a_service_publishes_and_consumes_is_documented_as_it_is_published() -> None:
    class Credited(ConsumedEvent, type="account.credited.v1", topic="accounts", key_field="account_id"):
        account_id: UUID

    both = document(title="bank", version="1", published=[AccountCredited], consumed=[Credited])

    assert [operation["action"] for operation in both["operations"].values()] == ["send", "receive"]
    [message] = both["components"]["messages"].values()
    assert message["payload"] == {"$ref": "#/components/schemas/AccountCredited"}


def test_models_of_one_name_stay_apart() -> None:
    namesake = create_model("MoneyMoved", __base__=AccountCredited)

    both = document(title="bank", version="1", published=[namesake], consumed=[MoneyMoved])

    _check_references(both)
    payloads = [message["payload"]["$ref"] for message in both["components"]["messages"].values()]
    assert len(set(payloads)) == 2


def test_every_reference_leads_somewhere(asyncapi: dict[str, Any]) -> None:
    _check_references(asyncapi)


def _check_references(asyncapi: dict[str, Any]) -> None:
    for reference in _references(asyncapi):
        place: Any = asyncapi
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []
