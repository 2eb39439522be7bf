from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from mail_catcher import Faults, Store, api, create_app
from mail_catcher.faults import Fault
from mail_catcher.message import Message, RawMessage, read_message
from outboxed.testing.services import always

from ..factories import a_mail


@pytest.fixture
def store() -> Store:
    return Store(max_messages=60)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Store(max_messages=0), Faults())


@pytest.fixture(scope="module")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mail-catcher") as client:
        yield client


@pytest.fixture
def mail_catcher(http: httpx.AsyncClient, app: FastAPI, store: Store) -> Iterator[httpx.AsyncClient]:
    """The API on this test's own store."""
    app.dependency_overrides[api.mail_catcher] = always(api.MailCatcher(store, Faults()))
    yield http
    app.dependency_overrides.clear()


def catch(store: Store, *recipients: str, Subject: str = "Your order", **headers: str) -> str:  # noqa: N803
    alike = _read(recipients or ("ada@example.com",), tuple(headers.items()))
    message = replace(alike, subject=Subject, id=uuid4().hex)
    store.add(message)
    return message.id


@cache
def _read(recipients: tuple[str, ...], headers: tuple[tuple[str, str], ...]) -> Message:
    """What a mail's bytes say; to read them takes longer than all else in a test."""
    return read_message(a_mail(**dict(headers)).as_bytes(), "shop@shop.example", recipients)


async def subjects(mail_catcher: httpx.AsyncClient, path: str = "/api/v1/messages", **query: Any) -> list[str]:
    page = (await mail_catcher.get(path, params=query)).raise_for_status().json()
    return [message["Subject"] for message in page["messages"]]


async def test_messages_have_the_shape_of_mailpit(mail_catcher: httpx.AsyncClient, store: Store) -> None:
    message_id = catch(store)

    page = (await mail_catcher.get("/api/v1/messages")).json()

    [summary] = page.pop("messages")
    assert page == {
        "total": 1,
        "unread": 1,
        "count": 1,
        "messages_count": 1,
        "messages_unread": 1,
        "start": 0,
        "tags": [],
    }
    assert summary.pop("Created").endswith("Z")
    assert summary.pop("Size") > 100
    assert summary == {
        "ID": message_id,
        "MessageID": "confirmation.order-1@shop.example",
        "Read": False,
        "From": {"Name": "Shop", "Address": "shop@shop.example"},
        "To": [{"Name": "Ada", "Address": "ada@example.com"}],
        "Cc": [],
        "Bcc": [],
        "ReplyTo": [],
        "Subject": "Your order",
        "Tags": [],
        "Attachments": 0,
        "Snippet": "Thank you for your order.",
    }


async def test_a_message_has_the_shape_of_mailpit_and_is_read_from_then_on(
    mail_catcher: httpx.AsyncClient, store: Store
) -> None:
    message_id = catch(store)

    message = (await mail_catcher.get(f"/api/v1/message/{message_id}")).json()

    assert {name: message[name] for name in ("ID", "ReturnPath", "Text", "HTML", "Inline", "Attachments")} == {
        "ID": message_id,
        "ReturnPath": "shop@shop.example",
        "Text": "Thank you\nfor your order.\n",
        "HTML": "<p>Thank you</p>\n",
        "Inline": [],
        "Attachments": [],
    }
    assert set(message) >= {"MessageID", "From", "To", "Cc", "Bcc", "ReplyTo", "Subject", "Date", "Size", "Tags"}
    page = (await mail_catcher.get("/api/v1/messages")).json()
    assert (page["unread"], page["messages"][0]["Read"]) == (0, True)


async def test_latest_is_the_newest_message(mail_catcher: httpx.AsyncClient, store: Store) -> None:
    catch(store, Subject="old")
    catch(store, Subject="new")

    assert (await mail_catcher.get("/api/v1/message/latest")).json()["Subject"] == "new"


@pytest.mark.parametrize("message_id", ["nobody", "latest"])
async def test_a_message_that_is_not_there_is_404(mail_catcher: httpx.AsyncClient, message_id: str) -> None:
    assert (await mail_catcher.get(f"/api/v1/message/{message_id}")).status_code == 404


async def test_messages_come_newest_first_fifty_a_page(mail_catcher: httpx.AsyncClient, store: Store) -> None:
    for number in range(55):
        catch(store, Subject=str(number))

    assert await subjects(mail_catcher) == [str(number) for number in range(54, 4, -1)]
    assert await subjects(mail_catcher, start=50) == ["4", "3", "2", "1", "0"]
    assert await subjects(mail_catcher, start=1, limit=2) == ["53", "52"]


async def test_the_oldest_give_way_when_the_mailbox_is_full(mail_catcher: httpx.AsyncClient, store: Store) -> None:
    first = catch(store, Subject="0")
    await mail_catcher.get(f"/api/v1/message/{first}")
    for number in range(1, 62):
        catch(store, Subject=str(number))

    page = (await mail_catcher.get("/api/v1/messages", params={"limit": 100})).json()

    assert (page["total"], page["unread"], page["messages"][-1]["Subject"]) == (60, 60, "2")


async def test_a_mailbox_that_was_emptied_begins_anew(mail_catcher: httpx.AsyncClient, store: Store) -> None:
    await mail_catcher.get(f"/api/v1/message/{catch(store)}")
    await mail_catcher.delete("/api/v1/messages")
    catch(store)

    page = (await mail_catcher.get("/api/v1/messages")).json()

    assert (page["total"], page["unread"]) == (1, 1)


async def test_an_e_mail_that_was_read_and_deleted_is_none_of_those_that_are_left(
    mail_catcher: httpx.AsyncClient, store: Store
) -> None:
    read, _ = catch(store), catch(store)
    await mail_catcher.get(f"/api/v1/message/{read}")
    await mail_catcher.request("DELETE", "/api/v1/messages", json={"IDs": [read]})

    page = (await mail_catcher.get("/api/v1/messages")).json()

    assert (page["total"], page["unread"]) == (1, 1)


async def test_an_e_mail_was_caught_when_it_came_however_late_it_is_read(
    mail_catcher: httpx.AsyncClient, store: Store
) -> None:
    came = RawMessage(
        a_mail().as_bytes(), "shop@shop.example", ("ada@example.com",), created=datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
    )
    store.add(came)

    first, again = [(await mail_catcher.get("/api/v1/messages")).json()["messages"][0] for _ in range(2)]

    assert {first["ID"], again["ID"]} == {came.id}
    assert [datetime.fromisoformat(one["Created"]) for one in (first, again)] == [came.created] * 2


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("to:ada@example.com", ["refund", "order one"]),
        ("to:ADA", ["refund", "order one"]),
        ("from:shop@shop.example", ["order two", "refund", "order one"]),
        ("subject:refund", ["refund"]),
        ('subject:"order two"', ["order two"]),
        ("message-id:confirmation.1@shop", ["order one"]),
        ("message-id:<confirmation.1@shop>", ["order one"]),
        ("order", ["order two", "refund", "order one"]),
        ("order two", ["order two"]),
        ("to:ada subject:order", ["order one"]),
        ("to:ada -subject:order", ["refund"]),
        ("to:ada !refund", ["order one"]),
        ("bcc:eve@example.com", ["order two"]),
        ("addressed:eve@example.com", ["order two"]),
        ("cc:carl", ["order two"]),
        ("reply-to:help", ["refund"]),
        ("nowhere", []),
    ],
)
async def test_a_search_finds_what_mailpit_would(
    mail_catcher: httpx.AsyncClient, store: Store, query: str, found: list[str]
) -> None:
    catch(store, To="Ada <ada@example.com>", Subject="order one", Message_ID="<confirmation.1@shop>")
    catch(store, To="ada@example.com", Subject="refund", Message_ID="<refund.1@shop>", Reply_To="help@shop.example")
    catch(
        store,
        "bob@example.com",
        "eve@example.com",
        "carl@example.com",
        To="bob@example.com",
        Cc="carl@example.com",
        Subject="order two",
        Message_ID="<confirmation.2@shop>",
    )

    page = (await mail_catcher.get("/api/v1/search", params={"query": query})).json()

    assert [message["Subject"] for message in page["messages"]] == found
    assert (page["messages_count"], page["total"]) == (len(found), 3)


async def test_a_search_is_paged_and_counts_all_that_matched(mail_catcher: httpx.AsyncClient, store: Store) -> None:
    for number in range(5):
        catch(store, Subject=f"order {number}")

    page = (await mail_catcher.get("/api/v1/search", params={"query": "subject:order", "start": 1, "limit": 2})).json()

    assert [message["Subject"] for message in page["messages"]] == ["order 3", "order 2"]
    assert (page["count"], page["messages_count"], page["start"]) == (2, 5, 1)


async def test_a_search_for_nothing_is_refused(mail_catcher: httpx.AsyncClient) -> None:
    assert (await mail_catcher.get("/api/v1/search", params={"query": " "})).status_code == 400


async def test_messages_can_be_deleted_by_id_or_all(mail_catcher: httpx.AsyncClient, store: Store) -> None:
    first, *_ = [catch(store, Subject=subject) for subject in "abc"]

    await mail_catcher.request("DELETE", "/api/v1/messages", json={"IDs": [first]})

    assert await subjects(mail_catcher) == ["c", "b"]
    await mail_catcher.delete("/api/v1/messages")
    assert await subjects(mail_catcher) == []


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_it_is_healthy(mail_catcher: httpx.AsyncClient, path: str) -> None:
    assert (await mail_catcher.get(path)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "explode", "times": 1},
        {"action": "hang", "times": 0},
        {"action": "status", "times": 1},
        {"action": "status", "status": 250, "times": 1},
        {"action": "hang", "times": 1, "recipent": "ada@example.com"},
    ],
)
async def test_a_fault_that_could_never_apply_is_refused(
    mail_catcher: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    assert (await mail_catcher.put("/_faults", json={"faults": [wrong]})).status_code == 422


def test_a_fault_of_one_recipient_is_that_ones_whatever_its_case_and_nobody_elses() -> None:
    faults = Faults()
    faults.replace([Fault(recipient="Ada@Example.com", action="hang", times=2)])

    others = faults.take("data", ["bob@example.com"])
    taken = [faults.take("data", ["bob@example.com", "ada@EXAMPLE.com"]) for _ in range(3)]

    assert (others, [fault is not None for fault in taken]) == (None, [True, True, False])
