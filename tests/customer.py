"""A customer, who knows the shop by its API and by the mails that come: the same for every test of the whole shop."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count

import httpx
from backing_services.waiting import eventually
from shop_harness.customers import OrdersApi, order_of

Subjects = Callable[[str], Awaitable[Sequence[str]]]
_numbers = count(1)


@dataclass(frozen=True)
class Customer:
    """Somebody with an account, logged in; patient for `within` seconds. `subjects(email)` says what came."""

    email: str
    http: httpx.AsyncClient
    headers: dict[str, str]
    subjects: Subjects
    within: float = 30

    @classmethod
    async def registered(cls, http: httpx.AsyncClient, subjects: Subjects, *, within: float = 30) -> "Customer":
        """A new one; `http` knows the base URL of orders' API."""
        email = f"customer{next(_numbers)}@example.com"
        api = OrdersApi(http)
        (await api.register(email)).raise_for_status()
        return cls(email, http, await api.log_in(email), subjects, within)

    @property
    def api(self) -> OrdersApi:
        return OrdersApi(self.http)

    async def orders(self, payment_method: str, *, at: httpx.AsyncClient | None = None) -> str:
        """Place an order, `at` another address of the same API if one is given, and return its id."""
        api, key = OrdersApi(at or self.http), f"key-{next(_numbers)}"
        response = await api.place(order_of(payment_method), key=key, headers=self.headers)
        assert response.status_code == 201, response.text
        order_id: str = response.json()["id"]
        return order_id

    async def cancels(self, order_id: str) -> None:
        assert (await self.api.cancel(order_id, headers=self.headers)).status_code == 200

    async def sees(self, order_id: str, *statuses: str) -> None:
        """Wait until the order's history reads so."""

        async def history() -> None:
            answer = await self.api.read(order_id, headers=self.headers)
            assert answer.status_code == 200, answer.text
            assert [change["status"] for change in answer.json()["history"]] == list(statuses)

        await eventually(history, within=self.within)

    async def has_mails(self, *expected: str) -> None:
        """Wait until exactly these have come; events of two topics have no order, so neither have these."""

        async def mails() -> None:
            assert sorted(await self.subjects(self.email)) == sorted(expected)

        await eventually(mails, within=self.within)
