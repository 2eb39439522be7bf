"""An event, and the document of the service that publishes it."""

from types import NoneType
from typing import Any
from uuid import UUID

from outboxed.messages import Event, document
from pydantic import create_model

Content = dict[str, Any]


class Parcel(Event, type="parcel.shipped.v1", topic="parcels", key_field="parcel_id"):
    parcel_id: UUID


def as_fields(annotations: dict[str, Any]) -> dict[str, Any]:
    """As pydantic 2.10 takes them, too: a type with a default, or without one."""
    return {
        name: each if isinstance(each, tuple) else (NoneType if each is None else each, ...)
        for name, each in annotations.items()
    }


def warehouse(*, version: str = "1", **fields: Any) -> Content:
    """The document of a service that publishes a parcel with these fields, by name; a value is an annotation."""
    event = create_model("ParcelShipped", __base__=Parcel, **as_fields(fields))
    return document(title="warehouse", version=version, published=[event], consumed=[])
