"""Whoever is asked for facts is waited for as long as for the others, and a refused token is no missing fact."""

import httpx
import pytest
from shop_console.catalogue import Catalogue, Described, View
from shop_console.facts import TIMEOUT_SECONDS, NotLoggedInError, Sources

from ..factories import CATALOGUE, KEY


async def test_no_question_is_waited_for_without_an_end() -> None:
    waits: dict[str, float | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        waits[str(request.url.copy_with(query=None))] = request.extensions["timeout"]["read"]
        mails = {"messages": [{"ID": "m1", "Created": "2026-01-15T12:00:00Z"}]}
        answers = {"search": mails, "messages": mails, "_ledger": {"entries": []}}
        return httpx.Response(200, json=answers.get(request.url.path.rpartition("/")[2], {}))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        sources = Sources(http, "http://gateway", "http://mails")
        await sources.about(KEY, CATALOGUE, [], token="t")
        await sources.mail_page(start=0, most=50)

    assert {"http://mails/api/v1/message/m1", "http://mails/api/v1/messages", "http://gateway/_ledger"} <= waits.keys()
    assert {url: seconds for url, seconds in waits.items() if seconds != TIMEOUT_SECONDS} == {}


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("refusing", [f"/operations/keys/{KEY}", f"/api/v1/orders/{KEY}"])
async def test_a_token_that_any_answer_refuses_ends_the_session(status: int, refusing: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status if request.url.path == refusing else 200, json={})

    views = (View("/api/v1/orders/{order_id}", "order_id", in_path=True),)
    catalogue = Catalogue({"orders": Described("orders", "http://orders", views=views)})
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        with pytest.raises(NotLoggedInError):
            await Sources(http, None, None).about(KEY, catalogue, [], token="t")
