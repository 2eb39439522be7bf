"""Whoever a new service asks until it has a partner of its own: does each job once, and faults on demand."""

from partner.api import Jobs, create_app

__all__ = ["Jobs", "create_app"]
