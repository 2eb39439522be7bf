"""Contracts run on the same in-process service as the unit tests."""

from ..unit.conftest import database, subscriber

__all__ = ["database", "subscriber"]
