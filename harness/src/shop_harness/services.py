"""The services, as data: everybody else who runs or reads the whole shop takes them from here."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module

SERVICES = ("orders", "payments", "notifications")
TOPICS: Mapping[str, int] = {"orders": 4, "payments": 4}
"""With their partitions."""
LISTENERS: Mapping[str, tuple[str, int]] = {
    "orders": ("ORDERS_HTTP_PORT", 8000),
    "payments": ("PAYMENTS_HTTP_PORT", 8001),
    "notifications": ("NOTIFICATIONS_HTTP_PORT", 8002),
    "gateway": ("GATEWAY_PORT", 8090),
    "mail_catcher": ("MAILBOX_HTTP_PORT", 8025),
    "smtp": ("MAILBOX_SMTP_PORT", 1025),
}
"""What listens: the variable that sets its port, and its usual port."""


@cache
def readers() -> Mapping[str, Mapping[str, str]]:
    """What each consumer group reads: topics by event type."""
    routes = {service: import_module(f"{service}.consumers").ROUTES for service in SERVICES}
    return {group: {route.model.type: route.model.topic for route in own} for group, own in routes.items()}


def topics_of(group: str) -> Mapping[str, int]:
    """The topics that a group reads, with their partitions."""
    return {topic: TOPICS[topic] for topic in sorted(set(readers()[group].values()))}
