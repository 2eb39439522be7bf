"""A customer, who knows the shop by its API and by the mails that come: the same for every test of the whole shop."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count

import httpx
from backing_services.waiting import eventually

PASSWORD = "correct horse"
Subjects = Callable[[str], Awaitable[Sequence[str]]]
_numbers = count(1)


@dataclass(frozen=True)
class Customer:
    """Somebody with an account, logged in; patient for ``within`` seconds. ``subjects(email)`` reads the mailbox."""

    email: str
    http: httpx.AsyncClient
    headers: dict[str, str]
    subjects: Subjects
    within: float = 15

    @classmethod
    async def registered(cls, http: httpx.AsyncClient, subjects: Subjects, *, within: float = 15) -> "Customer":
        """A new one; ``http`` knows the base URL of orders' API."""
        email = f"customer{next(_numbers)}@example.com"
        user = {"email": email, "name": "Ada", "password": PASSWORD}
        (await http.post("/users", json=user)).raise_for_status()
        token = (await http.post("/tokens", data={"username": email, "password": PASSWORD})).raise_for_status().json()
        return cls(email, http, {"Authorization": f"Bearer {token['access_token']}"}, subjects, within)

    async def orders(self, payment_method: str, *, at: httpx.AsyncClient | None = None) -> str:
        """Place an order, ``at`` another address of the same API if one is given, and return its id."""
        body = {"items": [{"sku": "ABC", "quantity": 4}], "payment_method": payment_method}
        headers = {**self.headers, "Idempotency-Key": f"key-{next(_numbers)}"}
        response = await (at or self.http).post("/orders", json=body, headers=headers)
        assert response.status_code == 201, response.text
        order_id: str = response.json()["id"]
        return order_id

    async def cancels(self, order_id: str) -> None:
        assert (await self.http.post(f"/orders/{order_id}/cancel", headers=self.headers)).status_code == 200

    async def sees(self, order_id: str, *statuses: str) -> None:
        """Wait until the order's history reads so."""

        async def history() -> None:
            answer = await self.http.get(f"/orders/{order_id}", headers=self.headers)
            assert answer.status_code == 200, answer.text
            assert [change["status"] for change in answer.json()["history"]] == list(statuses)

        await eventually(history, within=self.within)

    async def has_mails(self, *expected: str) -> None:
        """Wait until the mailbox holds exactly these; events of two topics have no order, so neither have these."""

        async def mails() -> None:
            assert sorted(await self.subjects(self.email)) == sorted(expected)

        await eventually(mails, within=self.within)
