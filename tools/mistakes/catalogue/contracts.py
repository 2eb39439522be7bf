"""Mistakes in what services send each other, each with the edits of the tests that its author would make, too."""

from tools.mistakes.mistake import NOTIFICATIONS, ORDERS, OUTBOXED, PAYMENTS, SANDBOX, Mistake, swap
from tools.scratch import Edit

ORDERS_EVENTS = "services/orders/src/orders/events.py"
PAYMENTS_EVENTS = "services/payments/src/payments/events.py"
OUTBOXED_SOURCES = "libs/outboxed/src/outboxed"

MISTAKES = (
    Mistake(
        "a field of a published event is renamed",
        "Its readers take every event for poison.",
        ORDERS,
        (Edit(ORDERS_EVENTS, r"\bpay_before(: Timestamp|=order)", r"payment_deadline\1"),),
        gate="contract provider",
    ),
    Mistake(
        "a field that no consumer is known to use is removed",
        "A reader whom nobody knows, or an older one, ends.",
        ORDERS,
        (
            Edit(ORDERS_EVENTS, r"    placed_at: Timestamp\n", ""),
            Edit(ORDERS_EVENTS, r" +placed_at=order\.placed_at,\n", ""),
        ),
        gate="AsyncAPI gate",
    ),
    Mistake(
        "an enum member that is still in use is dropped",
        "Cancelled orders can't be published, and stay as they are.",
        ORDERS,
        (Edit(ORDERS_EVENTS, r'"payment_deadline", "customer"\]', '"customer"]'),),
        gate="unit",
    ),
    Mistake(
        "an enum member is added, which readers who list them don't know",
        "Readers that list the members dead-letter such an event.",
        ORDERS,
        (Edit(ORDERS_EVENTS, r'"payment_deadline", "customer"\]', '"payment_deadline", "customer", "fraud"]'),),
        gate="AsyncAPI gate",
    ),
    Mistake(
        "a field may be null from now on",
        "A reader that needs it dead-letters such an event.",
        ORDERS,
        (Edit(ORDERS_EVENTS, r"    email: str\n", "    email: str | None\n"),),
        gate="AsyncAPI gate",
    ),
    Mistake(
        "money is sent as a number of cents",
        "A customer is charged a hundred times as much.",
        ORDERS,
        (
            Edit(ORDERS_EVENTS, r"amount: Amount", "amount: int"),
            Edit(ORDERS_EVENTS, r"amount=Decimal\(order\.price\.total\)", "amount=int(order.price.total * 100)"),
            Edit(ORDERS_EVENTS, r"from decimal import Decimal\n", ""),
        ),
        gate="unit",
    ),
    Mistake(
        "a time is sent as local time",
        "A deadline is off by hours.",
        ORDERS,
        (
            Edit(ORDERS_EVENTS, r"    pay_before: Timestamp", "    pay_before: str"),
            Edit(
                ORDERS_EVENTS,
                r"pay_before=order\.pay_before",
                "pay_before=order.pay_before.astimezone().replace(tzinfo=None).isoformat()",
            ),
        ),
        gate="contract provider",
    ),
    Mistake(
        "events get another key, so that those of one order lose their order",
        "A refund may be read before its payment.",
        PAYMENTS,
        (Edit(PAYMENTS_EVENTS, r'key_field="order_id"', 'key_field="payment_id"'),),
        gate="unit",
    ),
    Mistake(
        "an event moves to another topic",
        "Nobody reads it there.",
        PAYMENTS,
        (Edit(PAYMENTS_EVENTS, r'topic="payments"', 'topic="payment-events"'),),
        gate="contract provider",
    ),
    Mistake(
        "a second version is sent instead of the first, not beside it",
        "Readers of the first version hear nothing any more.",
        PAYMENTS,
        (Edit("services/payments/**/*.py", r"payment\.refunded\.v1", "payment.refunded.v2"),),
        gate="contract provider",
    ),
    Mistake(
        "a header is forgotten",
        "Every record is poison.",
        OUTBOXED,
        (Edit(f"{OUTBOXED_SOURCES}/messages/_envelope.py", r' +"ce_id": event_id or new_event_id\(\),\n', ""),),
        gate="unit",
    ),
    Mistake(
        "an event is published before the commit",
        "Other services hear of what never happened.",
        OUTBOXED,
        (
            Edit(
                f"{OUTBOXED_SOURCES}/storage/_unit_of_work.py",
                r"( +)await write\(self\.connection, list\(self\._writes\(\)\), last=last\)\n",
                r"\1await write(self.connection, list(self._writes()), last=last)\n"
                r"\1async with self.connection.engine.begin() as early:\n"
                r"\1    await early.execute(insertion_into(tables.outbox), rows_of(self.events.appended))\n",
            ),
        ),
        gate="parity",
    ),
    Mistake(
        "a consumer needs a field that nobody sends",
        "Every event is a dead letter.",
        NOTIFICATIONS,
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
            swap(
                "services/notifications/tests/unit/test_handlers.py",
                "PaymentRefunded(order_id=told.id)",
                'PaymentRefunded(order_id=told.id, reason="customer")',
            ),
            Edit(
                "services/notifications/tests/factories.py",
                r"(def payment_refunded.*?data = \{)",
                r'\1"reason": "customer", ',
            ),
        ),
        gate="contract provider",
    ),
    Mistake(
        "a consumer expects an event that it forgot to route",
        "The event is ignored without a word.",
        NOTIFICATIONS,
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
        gate="contract consumer",
    ),
    Mistake(
        "a consumer refuses fields that it doesn't know",
        "A producer can't add a field any more.",
        OUTBOXED,
        (Edit(f"{OUTBOXED_SOURCES}/messages/_events.py", r'extra="ignore"', 'extra="forbid"'),),
        gate="unit",
    ),
    Mistake(
        "an event is no longer routed to its use case",
        "Cancelled orders keep the customer's money.",
        PAYMENTS,
        (
            Edit("services/payments/src/payments/consumers.py", r" +Route\(OrderCancelled.*?\n", ""),
            Edit("services/payments/src/payments/consumers.py", r"import OrderCancelled, ", "import "),
        ),
        gate="unit",
    ),
    Mistake(
        "a copy of an event is handled again",
        "A customer is charged or told twice.",
        OUTBOXED,
        (
            Edit(
                f"{OUTBOXED_SOURCES}/consuming/_batch.py",
                r"(await self\._dispatch\(received, uow\)\) for received in) unhandled",
                r"\1 events",
            ),
        ),
        gate="unit",
    ),
    Mistake(
        "an await is forgotten",
        "An event counts as handled and changes nothing.",
        OUTBOXED,
        (Edit(f"{OUTBOXED_SOURCES}/consuming/_batch.py", r"await (self\.routes\[attributes\.type\]\.handle)", r"\1"),),
    ),
    Mistake(
        "an outbox row is deleted before Kafka has acknowledged its event",
        "An event is lost where Kafka refuses it.",
        OUTBOXED,
        (
            Edit(
                f"{OUTBOXED_SOURCES}/relay/_producer.py",
                r"if future\.done\(\):\n( +)(del [^\n]+\n)( +yield batch, )_answered\(future, span\)",
                r"if future.done() or future.cancel():\n\1\2\3(future.cancelled() or future.exception()) and None",
            ),
        ),
        gate="integration",
    ),
    Mistake(
        "a request to the payment gateway has its amount as a number",
        "The gateway rounds it as it likes.",
        PAYMENTS,
        (Edit("services/payments/src/payments/gateway.py", r'f"\{charge\.amount:\.2f\}"', "float(charge.amount)"),),
        gate="unit",
    ),
    Mistake(
        "a field of the payment gateway's answer is renamed",
        "Refunds are taken for failures.",
        SANDBOX,
        (Edit("sandbox/src/payment_gateway/answers.py", r'"refunded_charge": charge\.id', '"charge": charge.id'),),
        gate="unit",
    ),
    Mistake(
        "a column is added without its migration",
        "Every statement fails after the deployment.",
        NOTIFICATIONS,
        (
            Edit(
                "services/notifications/src/notifications/storage.py",
                r'(    sa\.Column\("version", sa\.Integer, nullable=False\),\n)',
                r'\1    sa.Column("note", sa.Text),\n',
            ),
        ),
        gate="parity",
    ),
)
