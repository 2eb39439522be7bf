"""Contracts run on the same in-process service as the unit tests."""

from ..unit.conftest import consume, database

__all__ = ["consume", "database"]
