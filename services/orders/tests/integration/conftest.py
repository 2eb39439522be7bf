import pytest
from orders.domain import User
from orders.storage import SqlOrdersUnitOfWork
from outboxed.storage import SqlTransactions

from ..factories import ProductFactory, UserFactory


@pytest.fixture
async def customer(transactions: SqlTransactions[SqlOrdersUnitOfWork]) -> User:
    """Of a shop that sells one thing."""
    user = UserFactory.create()
    async with transactions() as uow:
        await uow.users.register(user)
        await uow.products.put([ProductFactory.create(sku="ABC")])
    return user
