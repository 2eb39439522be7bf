"""Contracts run on the same in-process service as the unit tests."""

from ..unit.conftest import customer, database

__all__ = ["customer", "database"]
