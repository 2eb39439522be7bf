"""Django's tests on a real PostgreSQL."""

import pytest
from django.db import connection
from shop.models import Order


@pytest.mark.django_db
@pytest.mark.parametrize("total", [3, 4])
def test_an_order_is_stored_and_is_the_only_one(total: int) -> None:
    Order.objects.create(total=total)

    assert [order.total for order in Order.objects.all()] == [total]


@pytest.mark.django_db(transaction=True)
def test_it_is_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("select version()")
        assert cursor.fetchone()[0].startswith("PostgreSQL")
