"""Contracts run on the same in-process service as the unit tests."""

from ..unit.conftest import consume, customer, database

__all__ = ["consume", "customer", "database"]
