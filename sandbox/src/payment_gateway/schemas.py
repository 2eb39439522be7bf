"""What callers send."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from payment_gateway.faults import Fault

Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class ChargeRequest(BaseModel):
    amount: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})\.[0-9]{2}$")]
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")]
    payment_method: Name
    reference: Name

    @field_validator("amount")
    @classmethod
    def _is_positive(cls, amount: str) -> str:
        if amount == "0.00":
            raise ValueError("must be greater than zero")
        return amount


class RefundRequest(BaseModel):
    idempotency_key: Name


class FaultList(BaseModel):
    faults: list[Fault]
