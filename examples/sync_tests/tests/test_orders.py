"""Each test commits, and none sees the rows of another."""

import pytest
from shop.orders import Order, place
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session


@pytest.mark.parametrize("total", [3, 4])
def test_an_order_is_stored_and_is_the_only_one(engine: Engine, total: int) -> None:
    order_id = place(engine, total)

    with Session(engine) as session:
        assert session.get_one(Order, order_id).total == total
        assert session.scalar(select(func.count()).select_from(Order)) == 1
