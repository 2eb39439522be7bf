"""What every service has of settings: each is followed to its end. The services run the same suite on their own."""

from collections.abc import Mapping
from typing import Any, ClassVar

from outboxed.consuming import Route
from outboxed.process import Service
from outboxed.testing.suites.settings_work import End, SettingsWorkSuite

from ..composed import Settings, composed
from ..sample import MoneyMoved, credit


def reader(settings: Settings) -> Service[Any]:
    return composed(settings, routes=[Route(MoneyMoved, credit)])


class TestEverySetting(SettingsWorkSuite):
    settings = Settings
    build = staticmethod(reader)
    ends: ClassVar[Mapping[str, End]] = {}
