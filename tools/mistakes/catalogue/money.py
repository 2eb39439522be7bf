"""Mistakes in what is charged, until when, and what goes back."""

from tools.mistakes.mistake import ORDERS, PAYMENTS, Mistake, swap
from tools.scratch import Edit

PRICING = "services/orders/src/orders/pricing.py"
ORDERS_SOURCES = "services/orders/src/orders"
PAYMENTS_SOURCES = "services/payments/src/payments"
HANDLERS = f"{PAYMENTS_SOURCES}/handlers.py"

MISTAKES = (
    Mistake(
        "a discount begins above its amount, not at it",
        "Whoever orders for exactly 100 pays too much.",
        ORDERS,
        (swap(PRICING, "if subtotal >= rule.min_amount", "if subtotal > rule.min_amount"),),
    ),
    Mistake(
        "half a cent is always rounded up",
        "The sums differ from what accounts computes.",
        ORDERS,
        (swap(PRICING, "ROUND_HALF_EVEN", "ROUND_HALF_UP"),),
    ),
    Mistake(
        "a member's points may pass a hundred per cent",
        "An order costs less than nothing.",
        ORDERS,
        (
            swap(
                PRICING,
                "return min(FULL, percentage + MEMBER_POINTS if is_member else percentage)",
                "return percentage + MEMBER_POINTS if is_member else percentage",
            ),
        ),
    ),
    Mistake(
        "discount rules count in the order in which they were written",
        "A new rule at the end of the list changes every price.",
        ORDERS,
        (swap(PRICING, "sorted(discount_rules, key=lambda rule: rule.min_amount)", "list(discount_rules)"),),
    ),
    Mistake(
        "amounts are computed with the digits that Decimal has by default",
        "The cents of a very large order are wrong.",
        ORDERS,
        (swap(PRICING, "prec=max(28, subtotal.adjusted() + 28)", "prec=28"),),
    ),
    Mistake(
        "a subtotal counts each product once",
        "Whoever orders ten pays for one.",
        ORDERS,
        (swap(f"{ORDERS_SOURCES}/domain.py", "item.unit_price * item.quantity", "item.unit_price"),),
    ),
    Mistake(
        "an amount of three decimals is taken",
        "Nobody can charge it.",
        ORDERS,
        (swap(PRICING, "exponent < -DECIMALS", "exponent < -DECIMALS - 1"),),
    ),
    Mistake(
        "money is kept as a float",
        "Cents get lost in sums.",
        ORDERS,
        (swap(f"{ORDERS_SOURCES}/storage.py", "_MONEY = sa.Numeric(20, 2)", "_MONEY = sa.Float()"),),
    ),
    Mistake(
        "a payment that comes too late confirms a cancelled order",
        "Goods leave for an order whose money goes back.",
        ORDERS,
        (
            swap(
                f"{ORDERS_SOURCES}/domain.py",
                "OrderInput.PAYMENT_CAPTURED: None,  # too late",
                "OrderInput.PAYMENT_CAPTURED: Change(OrderStatus.CONFIRMED),  # too late",
            ),
        ),
    ),
    Mistake(
        "a deadline cancels an order that is paid",
        "A customer who paid gets nothing.",
        ORDERS,
        (
            Edit(
                f"{ORDERS_SOURCES}/domain.py",
                r"(OrderStatus\.CONFIRMED: \{.*?OrderInput\.DEADLINE_PASSED: )None",
                r"\1Change(OrderStatus.CANCELLED, CancellationReason.PAYMENT_DEADLINE)",
            ),
        ),
    ),
    Mistake(
        "a charge is made after its deadline",
        "A customer pays for an order that is cancelled.",
        PAYMENTS,
        (
            swap(
                f"{PAYMENTS_SOURCES}/domain.py",
                "return awaits_charge and self.charge is not None and now < self.charge.pay_before",
                "return awaits_charge and self.charge is not None",
            ),
        ),
    ),
    Mistake(
        "a charge is still made at the very deadline",
        "orders cancels it in the same moment.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/domain.py", "now < self.charge.pay_before", "now <= self.charge.pay_before"),),
    ),
    Mistake(
        "a payment that was voided is charged",
        "A cancelled order costs money.",
        PAYMENTS,
        (
            swap(
                f"{PAYMENTS_SOURCES}/domain.py",
                "return awaits_charge and self.charge is not None and now",
                "return self.charge is not None and now",
            ),
        ),
    ),
    Mistake(
        "a second attempt doesn't look for the first one's charge",
        "A gateway that forgets keys charges twice.",
        PAYMENTS,
        (swap(HANDLERS, "if attempts > 1 and", "if attempts > 2 and"),),
    ),
    Mistake(
        "an earlier charge counts though it failed",
        "An order is confirmed without money.",
        PAYMENTS,
        (swap(HANDLERS, "(charge.id for charge in charges if charge.succeeded)", "(charge.id for charge in charges)"),),
    ),
    Mistake(
        "earlier charges are looked for under the payment's id",
        "None is ever found.",
        PAYMENTS,
        (
            swap(
                HANDLERS,
                "charges = await gateway.charges(reference=payment.order_id)",
                "charges = await gateway.charges(reference=payment.id)",
            ),
        ),
    ),
    Mistake(
        "a refund names the order, not the charge's key",
        "The gateway knows no such charge, and the money stays.",
        PAYMENTS,
        (swap(HANDLERS, "refund(idempotency_key=str(payment.id))", "refund(idempotency_key=str(payment.order_id))"),),
    ),
    Mistake(
        "a refund is asked for whatever the status",
        "A charge under way is given back at once.",
        PAYMENTS,
        (swap(HANDLERS, "if payment is None or not payment.may_owe_money:", "if payment is None:"),),
    ),
    Mistake(
        "a refund without money is recorded as one",
        "A customer is told of money that never comes.",
        PAYMENTS,
        (
            swap(
                HANDLERS,
                "if payment is None or charge_id is None:\n        return\n    _save(payment, payment.refund(charge_id",
                "if payment is None:\n        return\n    _save(payment, payment.refund(charge_id or ''",
            ),
        ),
    ),
    Mistake(
        "a key that was refunded is tried for ever",
        "The task never ends, and the alarm rings.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/gateway.py", ', 409: "key_refunded"}', "}"),),
    ),
    Mistake(
        "a login that the gateway refuses is the card's fault",
        "Every order is declined while our key is wrong.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/gateway.py", '{402: "card_declined"', '{401: "x", 403: "x", 402: "card_declined"'),),
    ),
    Mistake(
        "an amount is sent with as many decimals as it happens to have",
        "The gateway refuses 10.0.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/gateway.py", 'f"{charge.amount:.2f}"', "str(charge.amount)"),),
    ),
    Mistake(
        "a call may last as long as each of its steps",
        "An answer that trickles holds a task for ever.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/gateway.py", "asyncio.timeout(self._timeout)", "asyncio.timeout(None)"),),
    ),
    Mistake(
        "Retry-After is not looked at",
        "A gateway that is overloaded gets more calls.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/gateway.py", "retry_after=_retry_after(response)", "retry_after=None"),),
    ),
    Mistake(
        "reconcile returns a captured payment's own charge",
        "The shop gives its income away.",
        PAYMENTS,
        (
            Edit(
                f"{PAYMENTS_SOURCES}/reconciliation.py",
                r"return self\.payment\.status is not PaymentStatus\.CAPTURED or [^\n]+",
                "return True",
            ),
        ),
    ),
    Mistake(
        "reconcile ends after the first page",
        "The hundred-and-first customer's money is never found.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/reconciliation.py", "if len(page) < PAGE:", "if len(page) <= PAGE:"),),
    ),
    Mistake(
        "reconcile reads the same page again",
        "It never ends.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/storage.py", "payments.c.id > after", "payments.c.id >= after"),),
    ),
    Mistake(
        "reconcile takes a charge under way for money that nobody wants",
        "An order is charged and given back.",
        PAYMENTS,
        (
            swap(
                f"{PAYMENTS_SOURCES}/reconciliation.py",
                "return charge.idempotency_key == str(payment.id)",
                "return False",
            ),
        ),
    ),
    Mistake(
        "a confirmation has the time of the order's placing",
        "Accounts books the sale on the wrong day.",
        ORDERS,
        (swap(f"{ORDERS_SOURCES}/events.py", "confirmed_at=order.history[-1].at", "confirmed_at=order.placed_at"),),
    ),
    Mistake(
        "a refund has the time at which the payment was requested",
        "Accounts books it on the wrong day.",
        PAYMENTS,
        (
            swap(
                f"{PAYMENTS_SOURCES}/events.py",
                "refunded_at=payment.history[-1].at",
                "refunded_at=payment.history[0].at",
            ),
        ),
    ),
    Mistake(
        "reconcile asks about a whole page of payments at once",
        "The gateway refuses us, and the charges of customers with us.",
        PAYMENTS,
        (
            swap(
                f"{PAYMENTS_SOURCES}/reconciliation.py",
                "        async with limit:\n            charges = await",
                "        if limit:\n            charges = await",
            ),
        ),
    ),
    Mistake(
        "a refund is given up after ten errors",
        "A customer's money stays away until a person finds the dead letter.",
        PAYMENTS,
        (
            Edit(
                f"{PAYMENTS_SOURCES}/tasks.py",
                r'(_record_refund, refund,[^\n]*log_as="order_id")\)',
                r"\1, gives_up=lambda _, attempts: attempts >= 10)",
            ),
        ),
    ),
    Mistake(
        "the gateway's client follows where it is sent",
        "A charge becomes a look at a page, or a stranger reads it.",
        PAYMENTS,
        (
            Edit(
                "services/payments/src/payments/gateway.py",
                "trust_env=False\n",
                "trust_env=False, follow_redirects=True\n",
            ),
        ),
    ),
    Mistake(
        "an order is read in the shop's own currency, whatever it was placed in",
        "The customer of the second country is shown another amount.",
        ORDERS,
        (swap("services/orders/src/orders/storage.py", '        currency=row["currency"],\n    )', "    )"),),
    ),
    Mistake(
        "the events of an order have the shop's own currency",
        "The customer of the second country is charged another amount.",
        ORDERS,
        (swap("services/orders/src/orders/events.py", "currency=order.currency)", 'currency="EUR")'),),
    ),
    Mistake(
        "the catalogue shows all prices in one currency",
        "What is shown isn't what is charged.",
        ORDERS,
        (swap("services/orders/src/orders/schemas.py", "currency=product.currency)", 'currency="EUR")'),),
    ),
    Mistake(
        "a payment is kept in the shop's own currency",
        "The customer of the second country is charged another amount.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/storage.py",
                '"currency": charge.currency if charge else None',
                '"currency": "EUR" if charge else None',
            ),
        ),
    ),
    Mistake(
        "an operator sees each payment in the shop's own currency",
        "Support tells a customer another amount than was charged.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/schemas.py",
                "currency=payment.charge.currency if payment.charge else None",
                'currency="EUR" if payment.charge else None',
            ),
        ),
    ),
    Mistake(
        "the events of a payment have the shop's own currency",
        "The books have another amount than the gateway.",
        PAYMENTS,
        (swap("services/payments/src/payments/events.py", "currency=payment.charge.currency", 'currency="EUR"'),),
    ),
    Mistake(
        "reconcile believes a payment that says its money went back",
        "A charge that the gateway has kept is found by nobody.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/reconciliation.py",
                "return payment.status is PaymentStatus.CAPTURED and charge.id",
                "return payment.status in {PaymentStatus.CAPTURED, PaymentStatus.REFUNDED} and charge.id",
            ),
        ),
    ),
    Mistake(
        "a reconciliation holds the whole table of payments",
        "In a shop of some years it takes all memory, and is killed each night.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/reconciliation.py", "PAGE = 100\n", "PAGE = 100_000\n"),),
    ),
    Mistake(
        "a reconciliation asks the gateway sixty questions at once",
        "The gateway refuses us for too many calls, and customers' charges with them.",
        PAYMENTS,
        (swap(f"{PAYMENTS_SOURCES}/reconciliation.py", "CONCURRENCY = 8", "CONCURRENCY = 64"),),
    ),
    Mistake(
        "the payments of several tasks are taken as the database gives them",
        "A customer is charged what another one owes.",
        PAYMENTS,
        (
            swap(
                f"{PAYMENTS_SOURCES}/tasks.py",
                "return [payments.get(payment_id) for payment_id in ids]",
                "return list(payments.values())",
            ),
        ),
    ),
    Mistake(
        "pages of payments have no order",
        "`reconcile` leaves payments out, and a second charge is never found.",
        PAYMENTS,
        (
            swap(
                f"{PAYMENTS_SOURCES}/storage.py",
                "self.select(*conditions, order_by=[payments.c.id], limit=limit)",
                "self.select(*conditions, limit=limit)",
            ),
        ),
    ),
)
