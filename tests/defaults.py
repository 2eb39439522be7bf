"""Each service as it is with the settings that nobody set; nothing connects before a role runs."""

from importlib import import_module
from typing import Any

import pytest
from outboxed.process import Service
from outboxed.settings import ServiceSettings


def settings_of(service: str) -> type[ServiceSettings]:
    """The class of its settings."""
    found: type[ServiceSettings] = import_module(f"{service}.settings").Settings
    return found


def fields_of(service: str) -> dict[str, str]:
    """Its settings' names by the variables that they are read from."""
    settings = settings_of(service)
    return {settings.variable(field): field for field in settings.model_fields}


def is_default(service: str, variable: str, text: str) -> bool:
    """Whether a variable with this text is read as what nobody sets."""
    field = fields_of(service)[variable]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, text)
        return bool(getattr(settings_of(service)(), field) == settings_of(service).model_fields[field].default)


def built(service: str) -> Service[Any]:
    """Whoever builds it closes it."""
    made: Service[Any] = import_module(f"{service}.app").build(settings_of(service)())
    return made
