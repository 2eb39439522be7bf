"""Provider states: the event that each leads to, and the use cases that publish it."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError, validate_call

from pact_faststream.values.sent import new_parameters

Produce = Callable[..., Awaitable[object]]
"""Runs a use case; called with the provider state's parameters by name."""

Variant = Produce | Mapping[str, Any]
"""A use case, or parameters for `asked`."""


class ParameterError(ValueError):
    """A provider state can't be asked for what a consumer asks for; the message says why."""


@dataclass(frozen=True)
class ProviderState:
    """A provider state: the event that it leads to, and every way in which the service can publish that event.

    `event` is a CloudEvent's class, whose `type` is the header `ce_type`; or any pydantic model: then the one record is
    meant that it reads, of those that a use case sends; or `bytes`, for a use case that sends one record.

    A verification sees only the messages of the variants. A null, another member of an enum or a second item is checked
    only if a variant's message has it. `variants` has a use case by name, or parameters for `asked`: then these very
    values have to be in the message, wherever a consumer asks for that field.

    `asked` makes the event from the values that a consumer asks for. Its parameters are named as the event's fields,
    and have defaults, because a consumer asks only for the fields that it reads; pydantic reads them by their
    annotations. It raises ValueError for a value that the service can't publish.
    """

    event: type[Any]
    variants: Mapping[str, Variant]
    asked: Produce | None = None

    def __post_init__(self) -> None:
        if not self.variants:
            raise ValueError(f"a provider state of {name_of(self.event)} needs at least one variant")
        if self.asked is None and any(isinstance(variant, Mapping) for variant in self.variants.values()):
            raise ValueError(
                f"a variant of {name_of(self.event)} has parameters, but `asked`, which takes them, is missing"
            )

    async def produce(self, variant: Variant, parameters: Mapping[str, Any]) -> object:
        """Run a variant, or `asked` where there are parameters for it. Raises ParameterError."""
        if self.asked is not None and (parameters or isinstance(variant, Mapping)):
            return await self.ask(parameters or new_parameters(variant if isinstance(variant, Mapping) else {}))
        if isinstance(variant, Mapping):
            raise TypeError("a variant with parameters needs `asked`")
        try:
            inspect.signature(variant).bind(**parameters)
        except TypeError as error:
            raise ParameterError(
                f"this provider can't be asked for {', '.join(parameters)} yet: give the ProviderState of "
                f"{name_of(self.event)} a use case `asked` ({error})"
            ) from None
        return await variant(**parameters)

    async def ask(self, parameters: Mapping[str, Any]) -> object:
        """Run `asked` with parameters in JSON. Raises ParameterError."""
        if self.asked is None:
            raise TypeError(f"the provider state of {name_of(self.event)} has no `asked`")
        try:
            return await validate_call(self.asked)(**parameters)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise ParameterError(f"{name_of(self.event)} can't be asked for this: {problems} ({error.title})") from None


def name_of(event: type[Any]) -> str:
    """A CloudEvent's type, or the class's name."""
    named = getattr(event, "type", None)
    return named if isinstance(named, str) else event.__name__


async def produce_all(states: Iterable[ProviderState]) -> None:
    """Run every variant of each provider state, so that the outbox has all that is published."""
    for state in states:
        for variant in state.variants.values():
            await state.produce(variant, {})
