"""What `pact_faststream._compat` uses of FastStream; the verifier: ../integration."""

from importlib import import_module
from typing import Any

import pytest
from faststream.kafka import KafkaBroker, TestKafkaBroker
from pact_faststream._compat.aiokafka import written_and_read
from pact_faststream.records import WireRecord, consumer_record

from libs.backing_services.tests.canary import canary

FASTSTREAM = "pact_faststream/_compat/faststream.py"
AIOKAFKA = "pact_faststream/_compat/aiokafka.py"


@canary("faststream", breaks="no message pact can be checked", mend=FASTSTREAM)
@pytest.mark.parametrize("batch", [False, True])
async def test_faststream_handles_a_raw_record(batch: bool) -> None:
    handled: list[object] = []

    async def handle(value: Any) -> None:
        handled.append(value)

    broker = KafkaBroker()
    subscriber: Any = broker.subscriber("parcels", batch=batch)
    subscriber(handle)
    record = consumer_record(WireRecord("parcels", 0, 0, None, b"7", ()))

    async with TestKafkaBroker(broker):
        await subscriber.process_message((record,) if batch else record)

    assert handled == [[7] if batch else 7]
    assert list(subscriber.topic_names_for_subscribe) == ["parcels"]


@canary("faststream", breaks="no message pact can be checked", mend=FASTSTREAM)
def test_faststream_has_a_class_of_subscribers_of_batches() -> None:
    batches = import_module("faststream.kafka.subscriber.usecase").BatchSubscriber
    one, batch = (KafkaBroker().subscriber("parcels", batch=batch) for batch in (False, True))

    assert isinstance(batch, batches)
    assert not isinstance(one, batches)


@canary("aiokafka", breaks="no provider of messages can be verified", mend=AIOKAFKA)
def test_aiokafka_writes_a_record_and_reads_it() -> None:
    headers = [("twice", b"1"), ("twice", b"2")]

    assert written_and_read(b"key", None, headers) == (b"key", None, tuple(headers))


@canary("aiokafka", breaks="a header that no producer takes is verified", mend=AIOKAFKA)
def test_aiokafka_refuses_a_header_that_is_not_in_bytes() -> None:
    with pytest.raises(TypeError):
        written_and_read(None, None, [("ce_id", "1")])  # type: ignore[list-item]
