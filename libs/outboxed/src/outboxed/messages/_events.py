"""Base models for events: what a service publishes, and its own tolerant view of what others publish."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Self, Unpack

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from outboxed.messages._storable import unstorable


def rfc3339(value: datetime) -> str:
    """An instant in UTC with microseconds and `Z`."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _cents(value: Decimal) -> str:
    return f"{value:.2f}"


Timestamp = Annotated[
    AwareDatetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An instant; on the wire RFC 3339 in UTC with `Z`."""

Amount = Annotated[
    Decimal,
    PlainSerializer(_cents, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+\.\d{2}$"}),
]
"""An amount of money; on the wire a string with two decimals."""


def _written_as(pattern: str) -> BeforeValidator:
    """Accept only JSON strings of this pattern: Decimal and datetime would accept far more.

    JSON numbers lose cents, and a number as a time has no zone. The schema has the same pattern, so a contract that is
    derived from the schema accepts exactly the same strings.
    """
    form = re.compile(pattern)

    def check(value: object) -> object:
        if isinstance(value, Decimal | datetime) or (isinstance(value, str) and form.fullmatch(value)):
            return value
        raise ValueError(f"must be a string like {pattern}")

    return BeforeValidator(check)


AMOUNT = r"^-?[0-9]{1,18}\.[0-9]{2}$"  # always with cents: "1000" could mean ten, in cents
AMOUNT_NOT_NEGATIVE = AMOUNT.replace("-?", "")
RFC3339 = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)

ConsumedAmount = Annotated[Decimal, _written_as(AMOUNT), WithJsonSchema({"type": "string", "pattern": AMOUNT})]
"""An amount of money as a string with two decimals."""

ConsumedPrice = Annotated[
    Decimal, _written_as(AMOUNT_NOT_NEGATIVE), WithJsonSchema({"type": "string", "pattern": AMOUNT_NOT_NEGATIVE})
]
"""An amount of money that can't be negative, as a string with two decimals."""

ConsumedTimestamp = Annotated[
    AwareDatetime,
    _written_as(RFC3339),
    Field(lt=datetime(9999, 1, 1, tzinfo=UTC)),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": RFC3339}),
]
"""An instant as an RFC 3339 string with a zone, before the year 9999, which overflows in databases."""


class _Addressed(BaseModel):
    """Gives an event class its address: `class OrderPlaced(Event, type="order.placed.v1", topic=...)`.

    `type` is the header `ce_type`. `key_field` names the field whose value is the record's key. A subclass
    inherits what it doesn't set.
    """

    type: ClassVar[str]
    topic: ClassVar[str]
    key_field: ClassVar[str]

    def __init_subclass__(
        cls,
        *,
        type: str = "",  # noqa: A002 - CloudEvents' own word
        topic: str = "",
        key_field: str = "",
        **config: Unpack[ConfigDict],
    ) -> None:
        super().__init_subclass__(**config)
        for name, value in (("type", type), ("topic", topic), ("key_field", key_field)):
            if value:
                setattr(cls, name, value)

    @property
    def key(self) -> str:
        """The record's key: all events of one key stay in order."""
        return str(getattr(self, self.key_field))


class EventData(BaseModel):
    """A part of a published event."""

    # a field with a default is always sent, so the schema requires it and consumers may rely on it
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class Event(EventData, _Addressed):
    """A published event: its fields are the data, its class has the address."""


class ConsumedData(BaseModel):
    """A part of a consumed event: only the fields that this service uses; all others are ignored.

    A value that PostgreSQL can't hold is refused: text with NUL or a lone surrogate, an integer of more than 64 bits, a
    number that isn't finite or has too many digits, an instant before the year 1 or after 9999 in UTC, each also inside
    of free JSON. The schema doesn't say so. Producers that keep their data in a database can't send such a value, and
    would otherwise have to promise for each field that they don't.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="after")
    def _can_be_stored(self) -> Self:
        for name, value in self:
            if problem := unstorable(value):
                field = name if name in type(self).model_fields else "an undeclared field"
                raise PydanticCustomError("unstorable", "{problem}", {"problem": f"{field} {problem}"})
        return self


class ConsumedEvent(ConsumedData, _Addressed):
    """A consumer's own view of an event that another service publishes; its record's key must equal `key`."""
