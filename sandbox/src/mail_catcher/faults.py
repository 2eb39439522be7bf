"""Faults on demand: what goes wrong with the next mails that match."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Stage = Literal["recipient", "data"]

_STAGES: dict[str, Stage] = {"status": "recipient", "hang": "data", "drop_after_data": "data"}


class Fault(BaseModel):
    """Applies to the next `times` mails, all of them or those to one recipient."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipient: str | None = None
    action: Literal["status", "hang", "drop_after_data"]
    status: Literal[451, 550] | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    times: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.action == "status" and self.status is None:
            raise ValueError("action status needs a status, 451 or 550")
        return self


class Faults:
    def __init__(self) -> None:
        self._pending: list[tuple[Fault, int]] = []

    def replace(self, faults: list[Fault]) -> None:
        self._pending = [(fault, fault.times) for fault in faults]

    def take(self, stage: Stage, recipients: list[str]) -> Fault | None:
        """Use up one time of the first fault of this stage that matches one of the recipients."""
        present = {recipient.lower() for recipient in recipients}
        for position, (fault, times) in enumerate(self._pending):
            anyone = fault.recipient is None
            if _STAGES[fault.action] == stage and (anyone or (fault.recipient or "").lower() in present):
                self._pending[position : position + 1] = [(fault, times - 1)] if times > 1 else []
                return fault
        return None
