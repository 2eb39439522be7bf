"""What operators ask a service over HTTP: what it knows of a key, and its dead letters."""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
import structlog
from outboxed.consuming import BatchConsumer, DeadLetterQueue, Route
from outboxed.errors import TransientError
from outboxed.messages import EventIdentity, Record
from outboxed.ports import NewTask
from outboxed.process import Metrics
from outboxed.storage import handled_events, open_tasks, tables, waiting_events
from outboxed.tasks import SqlTaskQueue, TaskKind, Worker
from outboxed.testing.tokens import KeyPair
from outboxed.web import OPERATOR, TokenVerifier, create_http_app, operators_router

from ..sample import AccountCredited, MoneyMoved, credit, moved
from .conftest import Transactions

Headers = Mapping[str, str]


async def done(*_: Any) -> None:
    return None


async def refused(*_: Any) -> None:
    raise RuntimeError("the printer is on fire")


@pytest.fixture(scope="session")
def keys() -> KeyPair:
    return KeyPair.generate(issuer="login", audience="bank", role=OPERATOR)


@pytest.fixture
def operator(keys: KeyPair) -> Headers:
    return keys.bearer()


@pytest.fixture
def consumer(transactions: Transactions) -> BatchConsumer[Any]:
    return BatchConsumer("bank", [Route(MoneyMoved, credit)], transactions, Metrics(transactions.clock))


@pytest.fixture
def worker(transactions: Transactions) -> Worker[Any]:
    kinds: list[TaskKind[Any]] = [
        TaskKind("greet", record=done),
        TaskKind("print", record=done, call=refused),
        TaskKind("shred", record=done, call=refused, gives_up=lambda *_: True),
    ]
    return Worker(
        kinds, SqlTaskQueue(transactions.engine, transactions.clock), transactions, transactions.tasks_scheduled
    )


@pytest.fixture
async def client(
    transactions: Transactions, consumer: BatchConsumer[Any], worker: Worker[Any], keys: KeyPair
) -> AsyncIterator[httpx.AsyncClient]:
    verifier = TokenVerifier([keys.public], issuer="login", audience="bank", roles=("customer", OPERATOR))
    app = create_http_app(title="bank", version="1", token_verifier=verifier)
    letters = DeadLetterQueue(transactions, consumer)
    app.include_router(operators_router(letters, transactions.engine, worker))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bank/operations") as client:
        yield client


@pytest.mark.parametrize("letter_id", ["0", str(2**63), "9" * 40, "one"])
async def test_a_number_that_no_letter_can_have_is_a_wrong_request(
    client: httpx.AsyncClient, operator: Headers, letter_id: str
) -> None:
    """And no error of the service's own, which would ring an alarm."""
    assert (await client.get(f"/dead-letters/{letter_id}", headers=operator)).status_code == 422
    assert (await client.get(f"/dead-letters/{2**63 - 1}", headers=operator)).status_code == 404


async def test_what_waits_of_a_key_is_shown_and_nothing_of_another(
    client: httpx.AsyncClient, operator: Headers, transactions: Transactions, account_id: UUID
) -> None:
    key, event_id = str(account_id), str(uuid4())
    async with transactions() as uow:
        for of in (account_id, uuid4()):
            uow.events.append(AccountCredited(account_id=of), sequence=2)
            uow.tasks.schedule(NewTask("greet", str(of)))
            uow.tasks.schedule(NewTask("write", f"first.{of}", group=str(of)))
        await uow.inbox.insert([EventIdentity("/moves", event_id)])

    response = await client.get(f"/keys/{key}", params={"event_id": [event_id, "never-seen"]}, headers=operator)

    known = response.json()
    assert [(task["kind"], task["key"], task["attempts"]) for task in known["tasks"]] == [
        ("greet", key, 0),
        ("write", f"first.{key}", 0),
    ]
    [event] = known["outbox"]
    assert (event["topic"], event["type"], event["held"]) == ("accounts", AccountCredited.type, False)
    assert [handled["event_id"] for handled in known["handled"]] == [event_id]
    assert (known["attempts"], known["dead_letters"]) == ([], [])


async def test_what_kafka_refused_is_held_and_so_is_what_waits_behind_it(
    client: httpx.AsyncClient, operator: Headers, transactions: Transactions, account_id: UUID
) -> None:
    for sequence in (1, 2):
        async with transactions() as uow:
            uow.events.append(AccountCredited(account_id=account_id), sequence=sequence)
    async with transactions.engine.begin() as connection:
        for statement in (
            "update outbox set retry_at = 'infinity'",
            "update outbox set retry_at = now(), attempts = 3 where id = (select min(id) from outbox)",
        ):
            await connection.exec_driver_sql(statement)

    known = (await client.get(f"/keys/{account_id}", headers=operator)).json()

    assert [(event["held"], event["attempts"]) for event in known["outbox"]] == [(True, 3), (True, 0)]


async def test_what_is_listed_comes_in_the_order_of_its_making_whatever_was_changed_since(
    client: httpx.AsyncClient,
    operator: Headers,
    transactions: Transactions,
    consumer: BatchConsumer[Any],
    account_id: UUID,
) -> None:
    async with transactions() as uow:
        for number in range(3):
            uow.events.append(AccountCredited(account_id=account_id), sequence=number)
            uow.tasks.schedule(NewTask("write", str(number), group=str(account_id)))
    await consumer.handle([replace(moved(account_id), value=b"{") for _ in range(3)])
    async with transactions.engine.begin() as connection:
        for table in ("outbox", "tasks", "dead_letters"):  # a row that is changed is a new one at the end of its table
            await connection.exec_driver_sql(
                f"update {table} set key = key where id = (select min(id) from {table})"  # noqa: S608 - our own names
            )

    known = (await client.get(f"/keys/{account_id}", headers=operator)).json()
    listed = (await client.get("/dead-letters", headers=operator)).json()["items"]

    times = [event["created_at"] for event in known["outbox"]]
    ids = [letter["id"] for letter in known["dead_letters"]]
    assert [task["key"] for task in known["tasks"]] == ["0", "1", "2"]
    assert (len(times), times) == (3, sorted(times))
    assert (len(ids), ids) == (3, sorted(ids))
    assert [letter["id"] for letter in listed] == ids


@pytest.mark.parametrize("plan", [[], ["indexscan", "bitmapscan"], ["sort"], ["nestloop"], ["nestloop", "hashjoin"]])
async def test_the_tasks_of_a_key_come_in_the_order_of_their_making_whatever_the_plan(
    transactions: Transactions, account_id: UUID, plan: Sequence[str]
) -> None:
    key = str(account_id)
    async with transactions() as uow:
        for number in range(20):
            uow.tasks.schedule(NewTask("write", str(number), group=key))

    async with transactions.engine.connect() as connection:
        # what is changed lies behind what isn't
        await connection.execute(sa.update(tables.tasks).where(tables.tasks.c.key < "15").values(attempts=1))
        for node in plan:
            await connection.execute(sa.text(f"set local enable_{node} = off"))
        tasks = await open_tasks(connection, key, ["write"])

    assert [task["key"] for task in tasks] == [str(number) for number in range(20)]


async def test_of_a_key_that_has_very_much_a_page_shows_the_oldest(
    transactions: Transactions, consumer: BatchConsumer[Any], account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.storage._of_key.MOST_ROWS", 2)
    key, events = str(account_id), [EventIdentity("/moves", str(uuid4())) for _ in range(3)]
    async with transactions() as uow:
        for number in range(3):
            uow.events.append(AccountCredited(account_id=account_id), sequence=number)
            uow.tasks.schedule(NewTask("write", str(number), group=key))
        await uow.inbox.insert(events)
    await consumer.handle([replace(moved(account_id), value=b"{") for _ in range(3)])

    async with transactions.engine.connect() as connection:
        tasks = await open_tasks(connection, key, ["write"])
        waiting = await waiting_events(connection, key)
        handled = await handled_events(connection, [event.id for event in events])
    letters = await DeadLetterQueue(transactions, consumer).about(key, limit=2)

    assert [task["key"] for task in tasks] == ["0", "1"]
    assert [event["headers"]["ce_sequence"] for event in waiting] == ["0", "1"]
    assert (len(handled), [letter.id for letter in letters]) == (2, sorted(letter.id for letter in letters)[:2])


async def test_of_the_handled_events_those_that_were_asked_for_are_told(transactions: Transactions) -> None:
    asked, other = (EventIdentity("/moves", str(uuid4())) for _ in range(2))
    async with transactions() as uow:
        await uow.inbox.insert([asked, other])

    async with transactions.engine.connect() as connection:
        assert [*await handled_events(connection, [asked.id, str(uuid4())])] == [asked.id]


async def test_each_attempt_at_a_task_is_remembered_with_its_outcome(
    client: httpx.AsyncClient, operator: Headers, transactions: Transactions, worker: Worker[Any], account_id: UUID
) -> None:
    key = str(account_id)
    async with transactions() as uow:
        for kind in ("greet", "print", "shred"):
            uow.tasks.schedule(NewTask(kind, key))

    await worker.run_due()

    known = (await client.get(f"/keys/{key}", headers=operator)).json()
    reason = "RuntimeError"
    outcomes = {attempt["kind"]: attempt["outcome"] for attempt in known["attempts"]}
    assert outcomes["greet"] == "done"
    assert outcomes["print"].startswith(f"postponed: {reason}")
    assert outcomes["shred"].startswith(f"dead letter: {reason}")
    assert all(attempt["number"] == 1 and attempt["seconds"] >= 0 for attempt in known["attempts"])
    [task] = known["tasks"]
    assert (task["kind"], task["attempts"]) == ("print", 1)
    [letter] = known["dead_letters"]
    assert (letter["source"], letter["topic"], letter["status"]) == ("task", "shred", "open")


async def test_a_letter_is_edited_and_replayed_once(
    client: httpx.AsyncClient, operator: Headers, consumer: BatchConsumer[Any], account_id: UUID
) -> None:
    good = moved(account_id)
    await consumer.handle([replace(good, value=b"{")])
    [listed] = (await client.get("/dead-letters", headers=operator)).json()["items"]
    letter = f"/dead-letters/{listed['id']}"
    assert listed["content"]["value"] == {"text": "{", "base64": None}

    again = await client.post(f"{letter}/replay", headers=operator)
    value = {"text": (good.value or b"").decode()}
    edited = await client.patch(letter, json={"value": value}, headers=operator)
    replayed = await client.post(f"{letter}/replay", headers=operator)
    twice = await client.post(f"{letter}/replay", headers=operator)

    assert (again.status_code, again.json()["error"]["code"]) == (409, "REFUSED_AGAIN")
    assert edited.json()["content"]["value"]["text"] == value["text"]
    assert edited.json()["original"]["value"]["text"] == "{"
    assert (replayed.status_code, replayed.json()["status"]) == (200, "replayed")
    assert (twice.status_code, twice.json()["error"]["message"]) == (
        409,
        f"dead letter {listed['id']} was already replayed",
    )


async def test_an_edit_changes_each_part_that_it_names_and_bytes_come_in_base64(
    client: httpx.AsyncClient, operator: Headers, consumer: BatchConsumer[Any], account_id: UUID
) -> None:
    await consumer.handle([replace(moved(account_id), value=b"{", headers=(("old", b"1"), ("kept", b"2")))])
    [listed] = (await client.get("/dead-letters", headers=operator)).json()["items"]
    raw = {"base64": base64.b64encode(b"\xff").decode()}
    change = {"key": {"text": "k2"}, "value": raw, "headers": {"new": raw}, "removed_headers": ["old"]}

    await client.patch(f"/dead-letters/{listed['id']}", json=change, headers=operator)

    shown = (await client.get(f"/dead-letters/{listed['id']}", headers=operator)).json()
    whole = {"text": None, **raw}
    assert shown["content"] == {
        "key": {"text": "k2", "base64": None},
        "value": whole,
        "headers": [{"name": "kept", "value": {"text": "2", "base64": None}}, {"name": "new", "value": whole}],
    }
    assert shown["original"] == listed["original"]


PARAMETERS = {("/keys/{key}", "event_id"), ("/dead-letters", "status"), ("/dead-letters", "limit")}
"""Each of them is tried in this file: it changes what is answered."""


async def test_every_parameter_of_a_query_is_known_here(client: httpx.AsyncClient) -> None:
    document = (await client.get("http://bank/openapi.json")).json()

    found = {
        (path.removeprefix("/operations"), each["name"])
        for path, calls in document["paths"].items()
        for call in calls.values()
        for each in call.get("parameters", ())
        if each["in"] == "query"
    }

    assert found == PARAMETERS, "try what it changes, and add it to PARAMETERS"


async def test_letters_are_listed_by_status_and_no_more_than_asked_for(
    client: httpx.AsyncClient, operator: Headers, consumer: BatchConsumer[Any]
) -> None:
    async def listed(**query: str | int) -> list[int]:
        response = await client.get("/dead-letters", params=query, headers=operator)
        return [item["id"] for item in response.json()["items"]]

    await consumer.handle([replace(moved(), value=b"{") for _ in range(3)])
    first, second, third = await listed()
    await client.post(f"/dead-letters/{second}/discard", headers=operator)

    assert await listed(status="open") == [first, third]
    assert await listed(status="discarded") == [second]
    assert await listed(status="replayed") == []
    assert await listed(limit=1) == [first]


async def test_each_change_leaves_a_line_that_says_who_made_it(
    client: httpx.AsyncClient, operator: Headers, consumer: BatchConsumer[Any]
) -> None:
    await consumer.handle([replace(moved(), value=b"{")])
    [listed] = (await client.get("/dead-letters", headers=operator)).json()["items"]

    with structlog.testing.capture_logs() as logs:
        for change in ("replay", "discard"):
            await client.post(f"/dead-letters/{listed['id']}/{change}", headers=operator)

    lines = [line for line in logs if line["event"].startswith("dead_letter_")]
    assert [(line["event"], line["change"], line["letter"]) for line in lines] == [
        ("dead_letter_refused_again", "replayed", listed["id"]),
        ("dead_letter_changed", "discarded", listed["id"]),
    ]
    assert all(UUID(line["operator"]) for line in lines)


async def test_a_replay_that_an_outage_keeps_from_happening_is_not_refused(
    client: httpx.AsyncClient, operator: Headers, consumer: BatchConsumer[Any], account_id: UUID
) -> None:
    async def away(*_: Any) -> None:
        raise TransientError("the database is away")

    good = moved(account_id)
    await consumer.handle([replace(good, value=b"{")])
    [listed] = (await client.get("/dead-letters", headers=operator)).json()["items"]
    letter = f"/dead-letters/{listed['id']}"
    await client.patch(letter, json={"value": {"text": (good.value or b"").decode()}}, headers=operator)
    consumer.routes[MoneyMoved.type] = Route(MoneyMoved, away)

    replayed = await client.post(f"{letter}/replay", headers=operator)

    assert replayed.status_code == 503
    assert (await client.get(letter, headers=operator)).json()["status"] == "open"


async def test_bytes_that_are_no_text_come_and_go_as_base64(
    client: httpx.AsyncClient, operator: Headers, consumer: BatchConsumer[Any]
) -> None:
    await consumer.handle([Record("moves", 0, 1, b"\xff", None, (("ce_type", b"\xfe"),))])
    [listed] = (await client.get("/dead-letters", headers=operator)).json()["items"]

    assert listed["content"]["key"] == {"text": None, "base64": "/w=="}
    assert listed["content"]["value"] is None
    assert listed["content"]["headers"] == [{"name": "ce_type", "value": {"text": None, "base64": "/g=="}}]
    change = {"key": {"base64": "/v8="}, "headers": {"ce_type": {"text": "odd"}}}
    edited = await client.patch(f"/dead-letters/{listed['id']}", json=change, headers=operator)
    assert edited.json()["content"]["key"]["base64"] == "/v8="
    wrong = await client.patch(f"/dead-letters/{listed['id']}", json={"key": {"base64": "____AAAA"}}, headers=operator)
    assert wrong.json()["error"]["details"] == [{"field": "body.key.base64", "message": "must be base64"}]


async def test_a_letter_is_discarded_and_found_by_what_it_names(
    client: httpx.AsyncClient, operator: Headers, consumer: BatchConsumer[Any], account_id: UUID
) -> None:
    value = f'{{"account_id": "{account_id}"}}'.encode()
    await consumer.handle([replace(moved(account_id), key=None, value=value)])
    [listed] = (await client.get("/dead-letters", headers=operator)).json()["items"]

    await client.post(f"/dead-letters/{listed['id']}/discard", headers=operator)

    [about] = (await client.get(f"/keys/{account_id}", headers=operator)).json()["dead_letters"]
    assert (about["id"], about["status"]) == (listed["id"], "discarded")
    assert (await client.get("/dead-letters", headers=operator)).json() == {"items": []}
    assert (await client.get(f"/keys/{uuid4()}", headers=operator)).json()["dead_letters"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/keys/x"),
        ("GET", "/dead-letters"),
        ("GET", "/dead-letters/1"),
        ("PATCH", "/dead-letters/1"),
        ("POST", "/dead-letters/1/replay"),
        ("POST", "/dead-letters/1/discard"),
    ],
)
async def test_operators_alone_may_ask(client: httpx.AsyncClient, keys: KeyPair, method: str, path: str) -> None:
    nobody = await client.request(method, path, json={})
    customer = await client.request(method, path, json={}, headers=keys.bearer("customer"))

    assert (nobody.status_code, customer.status_code) == (401, 403)


async def test_an_unknown_letter_is_not_found(client: httpx.AsyncClient, operator: Headers) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/replay"), ("POST", "/discard")):
        response = await client.request(method, f"/dead-letters/77{path}", json={}, headers=operator)
        assert (response.status_code, response.json()["error"]["message"]) == (404, "dead letter not found")


async def test_a_key_with_a_nul_is_nobodys(client: httpx.AsyncClient, operator: Headers) -> None:
    response = await client.get("/keys/a%00b", params={"event_id": "a\0b"}, headers=operator)

    assert (response.status_code, response.json()["tasks"], response.json()["handled"]) == (200, [], [])
