"""What the composition reports of the consumer."""

from orders.app import build
from orders.settings import Settings
from prometheus_client import generate_latest


def test_for_how_long_the_consumer_has_only_failed_is_a_metric(settings: Settings) -> None:
    service = build(settings)
    service.consumer.progress.failing_since = 0.0

    told = dict(line.rsplit(" ", 1) for line in generate_latest(service.metrics.registry).decode().splitlines())

    assert float(told["consumer_failing_seconds"]) > 0


def test_whether_the_consumer_has_halted_is_a_metric(settings: Settings) -> None:
    service = build(settings)
    before = service.metrics.registry.get_sample_value("consumer_halted")
    service.consumer.progress.halted = "20 of 20 events were refused"

    after = service.metrics.registry.get_sample_value("consumer_halted")

    assert (before, after) == (0, 1)
