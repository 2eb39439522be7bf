"""The AsyncAPI document: a channel a topic, a message an event."""

from typing import Any

import pytest
from chassis.asyncapi import document

from ..sample import AccountCredited, MoneyMoved


@pytest.fixture(scope="module")
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
    assert {"ce_id", "ce_type", "ce_sequence"} <= set(message["headers"]["required"])
    assert message["bindings"]["kafka"]["key"]["description"] == "equals account_id"


def test_money_is_a_string_and_unknown_fields_are_open_to_consumers_only(asyncapi: dict[str, Any]) -> None:
    sent = asyncapi["components"]["schemas"]["AccountCredited"]
    received = asyncapi["components"]["schemas"]["MoneyMoved"]

    assert sent["properties"]["amount"]["type"] == received["properties"]["amount"]["type"] == "string"
    assert sent["additionalProperties"] is False
    assert "additionalProperties" not in received


def test_every_reference_leads_somewhere(asyncapi: dict[str, Any]) -> None:
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
