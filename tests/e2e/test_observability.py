"""Prometheus and the alertmanager of the profile `observability`: they see every service, and have our alarms."""

from collections.abc import Mapping
from typing import Any

import pytest
from backing_services.waiting import eventually
from shop_harness.services import SERVICES

from tools.alarms.description import ALARMS

from .containers import ComposedShop

SCRAPED_WITHIN = 30.0  # seconds: it asks every five


@pytest.fixture
async def watched(shop: ComposedShop) -> ComposedShop:
    # without Grafana, Jaeger and the collector, which have no stand-ins
    await shop.run("--profile", "observability", "up", "--wait", "--detach", "prometheus", "alertmanager")
    return shop


async def asked(shop: ComposedShop, path: str) -> Mapping[str, Any]:
    answer = await shop.http.get(f"{shop.urls['prometheus']}/api/v1/{path}")
    data: Mapping[str, Any] = answer.raise_for_status().json()["data"]
    return data


async def test_prometheus_sees_every_service_judges_by_our_rules_and_reaches_the_alertmanager(
    watched: ComposedShop,
) -> None:
    async def sees_all() -> bool:
        targets = (await asked(watched, "targets"))["activeTargets"]
        return {each["labels"]["job"] for each in targets if each["health"] == "up"} == set(SERVICES)

    async def reaches_the_alertmanager() -> bool:
        return len((await asked(watched, "alertmanagers"))["activeAlertmanagers"]) == 1

    await eventually(sees_all, within=SCRAPED_WITHIN, every=0.2)
    await eventually(reaches_the_alertmanager, within=SCRAPED_WITHIN, every=0.2)

    groups = (await asked(watched, "rules"))["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"]] == [alarm.name for alarm in ALARMS]
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []


async def test_a_container_that_is_gone_stays_a_target_that_is_down(watched: ComposedShop) -> None:
    """One that left the list of targets would set off no alarm."""

    async def down() -> bool:
        found = (await asked(watched, "query?query=up{job='notifications'}"))["result"]
        return [each["value"][1] for each in found] == ["0"]

    await watched.crash("notifications")
    try:
        await eventually(down, within=SCRAPED_WITHIN, every=0.2)
    finally:
        await watched.are_back("notifications")
