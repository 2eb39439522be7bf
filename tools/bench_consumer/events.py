"""The events that are consumed: each makes one row of notifications, and no task."""

from datetime import UTC, datetime
from decimal import Decimal
from secrets import token_hex
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from outboxed.messages import OutgoingRecord, encode
from payments.events import MoneyData, PaymentRefunded

TOPIC = PaymentRefunded.topic


async def send(bootstrap_servers: str, events: int) -> None:
    """Put so many into the topic, as payments publishes them."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=5) as producer:
        for _ in range(events):
            record = _refund().producer_record()
            await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))
        await producer.flush()


def _refund() -> OutgoingRecord:
    now = datetime.now(UTC)
    amount = MoneyData(amount=Decimal("50.00"), currency="EUR")
    event = PaymentRefunded(payment_id=uuid4(), order_id=uuid4(), amount=amount, refunded_at=now)
    return encode(event, source="/payments", sequence=3, time=now, traceparent=f"00-{token_hex(16)}-{token_hex(8)}-00")
