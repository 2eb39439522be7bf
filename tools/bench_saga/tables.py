"""What payments and notifications of the other builds keep. An order may have several rows, where it comes twice."""

from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class PaymentsBase(DeclarativeBase):
    pass


class Payment(PaymentsBase):
    __tablename__ = "payments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal]
    status: Mapped[str] = mapped_column(default="REQUESTED")
    charge_id: Mapped[str | None]


class NotificationsBase(DeclarativeBase):
    pass


class Notification(NotificationsBase):
    __tablename__ = "notifications"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(index=True)
    kind: Mapped[str]
    status: Mapped[str] = mapped_column(default="PENDING")
