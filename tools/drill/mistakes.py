"""Mistakes that people make, each as edits of the code, and of the tests that the author would adapt."""

from dataclasses import dataclass

from tools.drill.gates import NOTIFICATIONS, ORDERS, OUTBOXED, PAYMENTS, SANDBOX, Project
from tools.drill.scratch import Edit


@dataclass(frozen=True)
class Mistake:
    """A mistake, the project whose gates it meets, and the one gate that must stop it."""

    title: str
    project: Project
    gate: str
    edits: tuple[Edit, ...]


ORDERS_EVENTS = "services/orders/src/orders/events.py"
PAYMENTS_EVENTS = "services/payments/src/payments/events.py"
OUTBOXED_SOURCES = "libs/outboxed/src/outboxed"

MISTAKES = (
    Mistake(
        "a field of a published event is renamed",
        ORDERS,
        "contract provider",
        (Edit(ORDERS_EVENTS, r"\bpay_before(: Timestamp|=order)", r"payment_deadline\1"),),
    ),
    Mistake(
        "a field that no consumer is known to use is removed",
        ORDERS,
        "AsyncAPI gate",
        (
            Edit(ORDERS_EVENTS, r"    placed_at: Timestamp\n", ""),
            Edit(ORDERS_EVENTS, r" +placed_at=order\.placed_at,\n", ""),
        ),
    ),
    Mistake(
        "an enum member that is still in use is dropped",
        ORDERS,
        "unit",
        (Edit(ORDERS_EVENTS, r'"payment_deadline", "customer"\]', '"customer"]'),),
    ),
    Mistake(
        "an enum member is added, which readers who list them don't know",
        ORDERS,
        "AsyncAPI gate",
        (Edit(ORDERS_EVENTS, r'"payment_deadline", "customer"\]', '"payment_deadline", "customer", "fraud"]'),),
    ),
    Mistake(
        "a field may be null from now on",
        ORDERS,
        "AsyncAPI gate",
        (Edit(ORDERS_EVENTS, r"    email: str\n", "    email: str | None\n"),),
    ),
    Mistake(
        "money is sent as a number of cents",
        ORDERS,
        "unit",
        (
            Edit(ORDERS_EVENTS, r"amount: Amount", "amount: int"),
            Edit(ORDERS_EVENTS, r"amount=Decimal\(order\.price\.total\)", "amount=int(order.price.total * 100)"),
            Edit(ORDERS_EVENTS, r"from decimal import Decimal\n", ""),
        ),
    ),
    Mistake(
        "a time is sent as local time",
        ORDERS,
        "contract provider",
        (
            Edit(ORDERS_EVENTS, r"    pay_before: Timestamp", "    pay_before: str"),
            Edit(
                ORDERS_EVENTS,
                r"pay_before=order\.pay_before",
                "pay_before=order.pay_before.astimezone().replace(tzinfo=None).isoformat()",
            ),
        ),
    ),
    Mistake(
        "events get another key, so that those of one order lose their order",
        PAYMENTS,
        "unit",
        (Edit(PAYMENTS_EVENTS, r'key_field="order_id"', 'key_field="payment_id"'),),
    ),
    Mistake(
        "an event moves to another topic",
        PAYMENTS,
        "contract provider",
        (Edit(PAYMENTS_EVENTS, r'topic="payments"', 'topic="payment-events"'),),
    ),
    Mistake(
        "a second version is sent instead of the first, not beside it",
        PAYMENTS,
        "contract provider",
        (Edit("services/payments/**/*.py", r"payment\.refunded\.v1", "payment.refunded.v2"),),
    ),
    Mistake(
        "a header is forgotten",
        OUTBOXED,
        "unit",
        (Edit(f"{OUTBOXED_SOURCES}/messages/_envelope.py", r' +"ce_id": event_id or str\(uuid4\(\)\),\n', ""),),
    ),
    Mistake(
        "an event is published before the commit",
        OUTBOXED,
        "integration",
        (
            Edit(
                f"{OUTBOXED_SOURCES}/storage/_unit_of_work.py",
                r"( +)for repository in self\.repositories\(\):\n.*?await self\._insert_events\(\)\n",
                r"\1if self.events.appended:\n"
                r"\1    await self._insert_events()\n"
                r"\1for repository in self.repositories():\n"
                r"\1    await repository.flush()\n",
            ),
            Edit(
                f"{OUTBOXED_SOURCES}/storage/_unit_of_work.py",
                r"( +)(await )self\.connection(\.execute\(_INSERT_EVENTS,)",
                r"\1async with self.connection.engine.begin() as early:\n\1    \2early\3",
            ),
        ),
    ),
    Mistake(
        "a consumer needs a field that nobody sends",
        NOTIFICATIONS,
        "contract provider",
        (
            Edit(
                "services/notifications/src/notifications/consumed_events.py",
                r"(class PaymentRefunded.*?    order_id: UUID\n)",
                r"\1    reason: str\n",
            ),
            Edit(
                "services/notifications/tests/contract/expectations.py",
                r"PaymentRefunded\(order_id=(\w+)\)",
                r'PaymentRefunded(order_id=\1, reason="of \1")',
            ),
            Edit(
                "services/notifications/tests/factories.py",
                r"(def payment_refunded.*?data = \{)",
                r'\1"reason": "customer", ',
            ),
        ),
    ),
    Mistake(
        "a consumer expects an event that it forgot to route",
        NOTIFICATIONS,
        "contract consumer",
        (
            Edit(
                "services/notifications/src/notifications/consumed_events.py",
                r"\Z",
                '\n\nclass PaymentDeclined(PaymentRefunded, type="payment.declined.v1"):\n    pass\n',
            ),
            Edit(
                "services/notifications/tests/contract/expectations.py",
                r"( +)(Expectation\(\s+\"a payment was refunded\")",
                r'\1Expectation("a payment was declined", PaymentDeclined(order_id=ORDER_ID), '
                r'given="a payment is declined"),\n\1\2',
            ),
            Edit(
                "services/notifications/tests/contract/expectations.py",
                r"import Customer, OrderCancelled, OrderConfirmed, ",
                "import Customer, OrderCancelled, OrderConfirmed, PaymentDeclined, ",
            ),
        ),
    ),
    Mistake(
        "a consumer refuses fields that it doesn't know",
        OUTBOXED,
        "unit",
        (Edit(f"{OUTBOXED_SOURCES}/messages/_events.py", r'extra="ignore"', 'extra="forbid"'),),
    ),
    Mistake(
        "an event is no longer routed to its use case",
        PAYMENTS,
        "unit",
        (
            Edit("services/payments/src/payments/consumers.py", r" +Route\(OrderCancelled.*?\n", ""),
            Edit("services/payments/src/payments/consumers.py", r"import OrderCancelled, ", "import "),
        ),
    ),
    Mistake(
        "a copy of an event is handled again",
        OUTBOXED,
        "unit",
        (
            Edit(
                f"{OUTBOXED_SOURCES}/consuming/_batch.py",
                r"( +)if received\.attributes\.identity in new:\n +(await self\._dispatch)",
                r"\1\2",
            ),
        ),
    ),
    Mistake(
        "an await is forgotten",
        OUTBOXED,
        "types",
        (Edit(f"{OUTBOXED_SOURCES}/consuming/_batch.py", r"await (self\.routes\[attributes\.type\]\.handle)", r"\1"),),
    ),
    Mistake(
        "an outbox row is deleted before Kafka has acknowledged its event",
        OUTBOXED,
        "integration",
        (
            Edit(
                f"{OUTBOXED_SOURCES}/relay/_producer.py",
                r"if future\.done\(\):\n( +)(del [^\n]+\n)( +yield batch, )future\.exception\(\)",
                r"if future.done() or future.cancel():\n\1\2\3(future.cancelled() or future.exception()) and None",
            ),
        ),
    ),
    Mistake(
        "a request to the payment gateway has its amount as a number",
        PAYMENTS,
        "unit",
        (Edit("services/payments/src/payments/gateway.py", r'f"\{charge\.amount:\.2f\}"', "float(charge.amount)"),),
    ),
    Mistake(
        "a field of the payment gateway's answer is renamed",
        SANDBOX,
        "unit",
        (Edit("sandbox/src/payment_gateway/answers.py", r'"refunded_charge": charge\.id', '"charge": charge.id'),),
    ),
    Mistake(
        "a column is added without its migration",
        NOTIFICATIONS,
        "integration",
        (
            Edit(
                "services/notifications/src/notifications/storage.py",
                r'(    sa\.Column\("version", sa\.Integer, nullable=False\),\n)',
                r'\1    sa.Column("note", sa.Text),\n',
            ),
        ),
    ),
)
