"""The use cases, one function each: a command or an event, a unit of work, ports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from outboxed.ports import NewTask, UnitOfWorkFactory

from orders.consumed_events import PaymentCaptured, PaymentDeclined
from orders.domain import (
    Customer,
    Order,
    OrderItem,
    OrderNotFoundError,
    Product,
    UnknownSkuError,
    User,
    UserNotFoundError,
    UserRole,
    subtotal_of,
)
from orders.events import event_of
from orders.ports import PasswordHasher, UnitOfWork
from orders.pricing import PricingService

PAYMENT_DEADLINE = "payment_deadline"


@dataclass(frozen=True)
class PlaceOrder:
    """`quantities` by sku."""

    user_id: UUID
    quantities: Mapping[str, int]
    payment_method: str


@dataclass(frozen=True)
class OrderPolicy:
    """The rules that the business may change."""

    pricing: PricingService
    payment_deadline: timedelta


@dataclass(frozen=True)
class RegisterUser:
    email: str
    name: str
    password_hash: str = field(repr=False)
    role: UserRole = UserRole.CUSTOMER


async def place_order(
    command: PlaceOrder, uow: UnitOfWork, policy: OrderPolicy, *, new_id: Callable[[], UUID] = uuid4
) -> Order:
    """Price the order and ask for its payment. Raises UnknownSkuError, UserNotFoundError."""
    user = await uow.users.find(command.user_id)
    if user is None:
        raise UserNotFoundError(str(command.user_id))
    items = _items(command.quantities, await uow.products.find(command.quantities))
    order = Order.place(
        order_id=new_id(),
        customer=Customer(user.id, user.email, user.name),
        items=items,
        price=policy.pricing.calculate_total(subtotal_of(items), user.is_member),
        payment_method=command.payment_method,
        at=uow.now,
        payment_deadline=policy.payment_deadline,
    )
    uow.orders.add(order)
    uow.events.append(event_of(order), sequence=order.version)
    uow.tasks.schedule(NewTask(PAYMENT_DEADLINE, str(order.id), delay=policy.payment_deadline))
    return order


async def confirm_order(event: PaymentCaptured, uow: UnitOfWork) -> None:
    """The payment was captured."""
    order = await uow.orders.get(event.order_id)
    if order is not None:
        _save(order, order.confirm(uow.now), uow)


async def decline_order(event: PaymentDeclined, uow: UnitOfWork) -> None:
    """The payment was declined."""
    order = await uow.orders.get(event.order_id)
    if order is not None:
        _save(order, order.decline(uow.now), uow)


async def expire_order(order_id: UUID, uow: UnitOfWork) -> None:
    """The payment deadline has passed."""
    order = await uow.orders.get(order_id)
    if order is not None:
        _save(order, order.expire(uow.now), uow)


async def cancel_order(order_id: UUID, uow: UnitOfWork, *, user_id: UUID | None) -> Order:
    """Cancel for the customer `user_id`, or for an operator (None). Raises OrderNotFoundError."""
    order = await uow.orders.get(order_id)
    if order is None or user_id not in {None, order.customer.id}:
        raise OrderNotFoundError(str(order_id))
    return _save(order, order.cancel(uow.now), uow)


async def register_user(command: RegisterUser, uow: UnitOfWork) -> User:
    """Raises EmailTakenError."""
    user = User(
        id=uuid4(),
        email=command.email,
        name=command.name,
        password_hash=command.password_hash,
        created_at=uow.now,
        role=command.role,
    )
    await uow.users.register(user)
    return user


async def set_membership(user_id: UUID, uow: UnitOfWork, *, is_member: bool) -> User:
    """Raises UserNotFoundError."""
    user = await uow.users.get(user_id)
    if user is None:
        raise UserNotFoundError(str(user_id))
    changed = user.with_membership(is_member=is_member)
    if changed is not user:
        uow.users.save(changed)
    return changed


async def authenticate(
    email: str, password: str, unit_of_work: UnitOfWorkFactory[UnitOfWork], passwords: PasswordHasher
) -> User | None:
    """The user whose password this is. An unknown address takes as long as a wrong password."""
    async with unit_of_work(reading=True) as uow:
        user = await uow.users.find_by_email(email)
    if user is None:
        await passwords.hash(password)
        return None
    correct = await passwords.verify(user.password_hash, password)
    return user if correct and user.is_active else None


def _items(quantities: Mapping[str, int], products: Mapping[str, Product]) -> Sequence[OrderItem]:
    unknown = [sku for sku in quantities if sku not in products]
    if unknown:
        raise UnknownSkuError(unknown)
    return [OrderItem(sku, quantity, products[sku].unit_price) for sku, quantity in quantities.items()]


def _save(before: Order, order: Order, uow: UnitOfWork) -> Order:
    if order is before:
        return order
    uow.orders.save(order)
    uow.events.append(event_of(order), sequence=order.version)
    return order
