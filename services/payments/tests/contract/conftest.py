"""Contracts run on the same in-process service as the unit tests."""

from ..unit.conftest import database

__all__ = ["database"]
