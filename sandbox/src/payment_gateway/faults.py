"""Faults on demand: what goes wrong with the next calls that match."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Called = Literal["charge", "refund", "list"]


class Fault(BaseModel):
    """Applies to the next `times` calls of an operation, all of them or those of one payment method or reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: Called
    payment_method: str | None = None
    reference: str | None = None
    action: Literal["status", "delay", "timeout_after", "garbage", "ignore_key"]
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    times: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _can_ever_apply(self) -> Self:
        if self.action == "status" and self.status is None:
            raise ValueError("action status needs a status")
        if self.action == "delay" and self.seconds is None:
            raise ValueError("action delay needs seconds")
        if self.action == "ignore_key" and self.operation != "charge":
            raise ValueError("action ignore_key is for charges")
        if self.operation == "list" and self.payment_method is not None:
            raise ValueError("a list of charges has no payment method")
        return self


@dataclass(frozen=True, slots=True)
class Call:
    """What a fault can be aimed at. A refund's reference and payment method are those of its key's first charge."""

    operation: Called
    reference: str | None = None
    payment_method: str | None = None


class Faults:
    def __init__(self) -> None:
        self._pending: list[tuple[Fault, int]] = []

    def replace(self, faults: list[Fault]) -> None:
        self._pending = [(fault, fault.times) for fault in faults]

    def take(self, call: Call) -> Fault | None:
        """Use up one time of the first fault that matches; a call meets one fault at most."""
        for position, (fault, times) in enumerate(self._pending):
            if _matches(fault, call):
                self._pending[position : position + 1] = [(fault, times - 1)] if times > 1 else []
                return fault
        return None


def _matches(fault: Fault, call: Call) -> bool:
    return (
        fault.operation == call.operation
        and fault.reference in (None, call.reference)
        and fault.payment_method in (None, call.payment_method)
    )
