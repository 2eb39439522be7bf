"""What must hold of the shop: after every step, and once everything has come to rest; each broken rule in words."""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from notifications.domain import Kind, Status
from orders.domain import OrderStatus
from payments.domain import PaymentStatus
from payments.handlers import REFUND

from .simulation import Shop


def broken_always(shop: Shop) -> Iterator[str]:
    """What may never be, not even in between."""
    for order_id in shop.orders:
        name = shop.name(order_id)
        for rule in (*_broken_about_money(shop, order_id), *_broken_about_mails(shop, order_id)):
            yield f"{rule} ({name})"
    for service, database in shop.databases.items():
        for letter in database.state.dead_letters.values():
            yield f"no event is refused, but {service} refused one: {letter.reason}"
    for task, reason in shop.databases["notifications"].state.buried_tasks:
        if (UUID(task.payload["order_id"]), Kind(task.payload["kind"])) not in shop.refused:
            yield f"no e-mail is given up that could be sent: {task.key}, {reason}"


def broken_at_the_end(shop: Shop) -> Iterator[str]:
    """What must be when nothing moves any more."""
    for order_id in shop.orders:
        for rule in (*_broken_about_the_end(shop, order_id), *_broken_about_expected_mails(shop, order_id)):
            yield f"{rule} ({shop.name(order_id)})"
    for service, database in shop.databases.items():
        for task in database.state.tasks.values():
            yield f"every task ends, but {task.new.kind} of {service} does not: {task.last_error}"


def _broken_about_money(shop: Shop, order_id: UUID) -> Iterator[str]:
    order, payment = shop.order(order_id), shop.payment(order_id)
    if len(shop.gateway.charges_of(order_id)) > 1:
        yield "an order is charged at most once"
    captured = payment is not None and any(change.status is PaymentStatus.CAPTURED for change in payment.history)
    if _was_confirmed(shop, order_id) and not (captured and shop.gateway.charges_of(order_id)):
        yield "no order is confirmed without a capture"
    is_owed = order.status is OrderStatus.CANCELLED and shop.gateway.kept_of(order_id)
    is_underway = shop.on_the_way("payments", "order.cancelled.v1", order_id)
    if is_owed and not (is_underway or shop.has_task("payments", REFUND, str(order_id))):
        yield "no order is charged and cancelled without a refund that is done or under way"


def _broken_about_mails(shop: Shop, order_id: UUID) -> Iterator[str]:
    payment = shop.payment(order_id)
    true = {
        Kind.CONFIRMATION: _was_confirmed(shop, order_id),
        Kind.CANCELLATION: shop.order(order_id).status is OrderStatus.CANCELLED,
        Kind.REFUND: payment is not None and payment.status is PaymentStatus.REFUNDED,
    }
    mails = [mail for mail in shop.mailer.delivered if mail.order_id == order_id]
    for kind, copies in Counter(mail.kind for mail in mails).items():
        if not true[kind]:
            yield f"no {kind} e-mail says what is not true"
        if copies > 1 + shop.cuts[order_id, kind]:
            yield f"a second copy of the {kind} e-mail comes only after a cut"
        if len({mail.message_id for mail in mails if mail.kind is kind}) > 1:
            yield f"every copy of the {kind} e-mail has the same Message-ID"


def _broken_about_the_end(shop: Shop, order_id: UUID) -> Iterator[str]:
    status, payment = shop.order(order_id).status, shop.payment(order_id)
    kept = len(shop.gateway.kept_of(order_id))
    if status is OrderStatus.PENDING:
        yield "every order ends"
    if status is OrderStatus.CONFIRMED and kept != 1:
        yield f"a confirmed order keeps exactly one charge, not {kept}"
    if status is OrderStatus.CANCELLED and kept:
        yield "a cancelled order keeps no charge"
    is_paid = payment is not None and payment.status is PaymentStatus.CAPTURED
    if is_paid != bool(kept):
        yield "payments and the gateway agree on what is paid"


def _broken_about_expected_mails(shop: Shop, order_id: UUID) -> Iterator[str]:
    told, payment = shop.notifications(order_id), shop.payment(order_id)
    heard = shop.heard("notifications", order_id)
    expected = {
        Kind.CONFIRMATION: _comes_before("order.confirmed.v1", "order.cancelled.v1", heard),
        Kind.CANCELLATION: shop.order(order_id).status is OrderStatus.CANCELLED,
        Kind.REFUND: payment is not None and payment.status is PaymentStatus.REFUNDED,
    }
    sent = {mail.kind for mail in shop.mailer.delivered if mail.order_id == order_id}
    for kind, is_due in expected.items():
        notification = told.get(kind) if told else None
        if (notification is not None) != is_due:
            yield f"the customer is told of exactly what happened, but not so by the {kind} e-mail"
        elif notification is not None and notification.status is Status.FAILED:
            if (order_id, kind) not in shop.refused:
                yield f"the {kind} e-mail fails only where the mail server refuses it for good"
        elif is_due != (kind in sent) or (notification is not None and notification.status is not Status.SENT):
            yield f"the {kind} e-mail is sent, and known to be, if and only if it is due"


def _was_confirmed(shop: Shop, order_id: UUID) -> bool:
    return any(change.status is OrderStatus.CONFIRMED for change in shop.order(order_id).history)


def _comes_before(type_: str, other: str, heard: list[str]) -> bool:
    """Whether the first was heard, and before the other: a cancelled order is no longer confirmed."""
    return type_ in heard and (other not in heard or heard.index(type_) < heard.index(other))
