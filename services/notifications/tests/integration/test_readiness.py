"""What a built service says of itself while Kafka doesn't answer."""

import httpx
import pytest
from backing_services.postgres import DatabaseIsolation
from notifications.app import build
from notifications.settings import Settings


async def test_a_service_that_kafka_does_not_answer_is_live_says_so_and_is_not_ready(
    isolation: DatabaseIsolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.web._health.KAFKA_SECONDS", 0)
    service = build(Settings(environment="test", database_url=isolation.url))
    transport = httpx.ASGITransport(service.create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        before = await http.get("/health/ready")
        service.kafka_contact.failed("consumer")
        paths = ("/health/ready", "/health/live", "/metrics")
        ready, live, metrics = [await http.get(path) for path in paths]
    await service.close()

    assert (before.status_code, ready.status_code, live.status_code) == (200, 503, 200)
    assert ready.json()["reason"] == "Kafka has not answered for 0 s"
    assert "\nkafka_lost_seconds 0.0\n" not in metrics.text
