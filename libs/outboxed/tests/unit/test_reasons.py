"""What logs and dead letters say of an error: where and what, never a customer's value."""

from pathlib import Path
from typing import Any

import pytest
from outboxed.messages import raised_at, reason_of, summary
from pydantic import BaseModel, RootModel, ValidationError

from ..sample import UnspeakableError


class Line(BaseModel):
    quantity: int


class Order(BaseModel):
    lines: list[Line]


class Quantity(RootModel[int]):
    pass


def refused(model: type[BaseModel], data: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return caught.value


def test_one_problem_is_told_with_its_place_and_without_its_value() -> None:
    error = refused(Order, {"lines": [{"quantity": "4111 1111"}]})

    place = "lines.0.quantity: Input should be a valid integer, unable to parse string as an integer"
    assert summary(error) == place
    assert reason_of(error) == f"ValidationError: {place}"


def test_further_problems_are_counted() -> None:
    error = refused(Order, {"lines": [{"quantity": "x"}, {}, {}]})

    assert summary(error).endswith("unable to parse string as an integer (and 2 more)")


def test_a_value_that_is_wrong_as_a_whole_has_no_place() -> None:
    assert summary(refused(Quantity, None)) == "the value: Input should be a valid integer"


def test_any_other_error_is_told_by_its_type_and_message() -> None:
    assert reason_of(KeyError("sku")) == "KeyError: 'sku'"


def test_an_error_whose_text_fails_is_told_nevertheless() -> None:
    assert reason_of(UnspeakableError()) == "UnspeakableError: its text can't be read: AttributeError"


def test_an_error_that_was_raised_is_told_with_the_innermost_file_and_line() -> None:
    def innermost() -> None:
        raise KeyError("sku")

    def between() -> None:
        innermost()

    with pytest.raises(KeyError) as caught:
        between()

    line = innermost.__code__.co_firstlineno + 1
    assert raised_at(caught.value) == f" ({Path(__file__).name}:{line})"


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert raised_at(KeyError("sku")) == ""
