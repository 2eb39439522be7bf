"""`python -m orders ...`: what a person types and is told, on PostgreSQL."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from backing_services.postgres import DatabaseIsolation, connected
from orders.__main__ import command_line
from orders.app import NAME
from orders.domain import Order, OrderStatus, UserRole
from orders.passwords import Argon2Hasher
from orders.storage import SqlOrdersUnitOfWork
from outboxed.messages import Record
from outboxed.ports import EventDeadLetter
from outboxed.storage import SqlTransactions, create_engine, dump_headers, schema_problem, tables
from outboxed.testing.suites.commands import Commands
from sqlalchemy import make_url

from ..factories import OrderFactory, payment_captured, payment_declined
from ..fakes import stored

Transactions = SqlTransactions[SqlOrdersUnitOfWork]


@pytest.fixture
def command(
    isolation: DatabaseIsolation,
    transactions: Transactions,  # noqa: ARG001 - which empties the database
) -> Commands:
    return Commands(command_line.typer, {"ORDERS_DATABASE_URL": isolation.url, "COLUMNS": "200"})


@pytest.fixture
async def order(transactions: Transactions) -> Order:
    order = OrderFactory.create()
    await stored(transactions, orders=[order])
    return order


async def dead(transactions: Transactions, record: Any, reason: str = "RuntimeError: a bug") -> str:
    """A dead letter's number."""
    raw = Record(record.topic, record.partition, record.offset, record.key, record.value, record.headers)
    async with transactions() as uow:
        uow.dead_letters.add(EventDeadLetter(NAME, raw, reason))
    async with transactions.engine.connect() as connection:
        return str((await connection.execute(sa.text("select max(id) from dead_letters"))).scalar_one())


async def status_of(transactions: Transactions, order: Order) -> OrderStatus | None:
    async with transactions() as uow:
        found = await uow.orders.find(order.id)
    return found.status if found else None


# --- dead letters ---

ARGUMENTS = {"edit": ("--key", "1")}


async def test_an_empty_list_of_dead_letters(command: Commands) -> None:
    result = await command("dead-letters", "list")

    assert (result.exit_code, "0 open" in result.stdout) == (0, True)


async def test_dead_letters_are_listed_with_their_place_and_reason_and_without_their_value(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    record = payment_captured(order.id, offset=1234)
    await dead(transactions, record)

    result = await command("dead-letters", "list")

    assert all(text in result.stdout for text in ("1 open", "payments", "0/1234", "RuntimeError: a bug"))
    assert "captured_at" not in result.stdout


async def dead_task(transactions: Transactions, key: str, *, group: str) -> None:
    headers = dump_headers([("group", group.encode())])
    async with transactions.engine.begin() as connection:
        row = {"source": "task", "topic": "send_email", "key": key.encode(), "headers": headers, "reason": "550"}
        await connection.execute(sa.insert(tables.dead_letters).values(row))


def listed(result: Any) -> list[tuple[str, str]]:
    """Source and key of what `list --json` prints."""
    letters = [json.loads(line) for line in result.stdout.splitlines()]
    return [(letter["source"], letter["key"]) for letter in letters]


async def test_dead_letters_are_narrowed_by_key_type_and_source(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    order_id = uuid4()
    await dead(transactions, payment_captured(order.id))
    await dead(transactions, payment_declined(order_id, offset=1))
    await dead_task(transactions, "confirmation.7", group=str(order.id))
    of_order, of_other = ("event", str(order.id)), ("event", str(order_id))
    task = ("task", "confirmation.7")

    async def narrowed(*options: str) -> list[tuple[str, str]]:
        return listed(await command("dead-letters", "list", "--json", *options))

    assert await narrowed() == [of_order, of_other, task]
    assert await narrowed("--key", str(order.id)) == [of_order, task]
    assert await narrowed("--type", "payment.declined.v1") == [of_other]
    assert await narrowed("--type", "send_email") == [task]
    assert await narrowed("--source", "event", "--key", str(order.id)) == [of_order]
    assert await narrowed("--type", "payment.decl") == []


async def test_an_edited_letter_is_found_by_its_new_key(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    letter = await dead(transactions, payment_captured(order.id))
    await command("dead-letters", "edit", letter, "--key", "mended")

    assert listed(await command("dead-letters", "list", "--json", "--key", "mended")) == [("event", "mended")]
    assert listed(await command("dead-letters", "list", "--json", "--key", str(order.id))) == []


async def test_the_list_for_programs_has_an_object_a_line_and_no_value(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    letter = await dead(transactions, payment_captured(order.id, offset=1234))

    [line] = (await command("dead-letters", "list", "--json")).stdout.splitlines()

    told = json.loads(line)
    assert told.pop("failed_at")
    assert told == {
        "id": int(letter),
        "source": "event",
        "status": "open",
        "type": "payment.captured.v1",
        "topic": "payments",
        "partition": 0,
        "offset": 1234,
        "key": str(order.id),
        "edited_at": None,
        "reason": "RuntimeError: a bug",
    }


@pytest.mark.parametrize("columns", ["20", "80"])
async def test_no_width_of_a_terminal_cuts_an_id(
    command: Commands, transactions: Transactions, order: Order, columns: str
) -> None:
    await dead(transactions, payment_captured(order.id, offset=12345678901234), reason="a long reason " * 20)

    result = await command("dead-letters", "list", COLUMNS=columns, TTY_COMPATIBLE="1", FORCE_COLOR="1")

    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert all(text in plain for text in (str(order.id), "payment.captured.v1", "0/12345678901234"))
    assert "…" not in plain


async def test_a_list_that_ends_at_its_limit_says_so(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    for offset in range(2):
        await dead(transactions, payment_captured(order.id, offset=offset))

    assert "2 open, or more: see --limit" in (await command("dead-letters", "list", "--limit", "2")).stdout
    assert "or more" not in (await command("dead-letters", "list", "--limit", "3")).stdout


async def test_a_dead_letter_is_shown_whole(command: Commands, transactions: Transactions, order: Order) -> None:
    record = payment_captured(order.id)
    letter = await dead(transactions, record)

    result = await command("dead-letters", "show", letter)

    assert record.value.decode() in result.stdout
    assert "header ce_type: payment.captured.v1" in result.stdout
    assert f"key: {order.id}" in result.stdout


async def test_what_a_stranger_sent_is_printed_without_its_control_characters(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    record = payment_captured(order.id)
    record.headers = (*record.headers, ("x\nreason: forged\x1b]0;title\x07", b"\x1b[2J\xe2\x80\xae"))
    record.topic = "payments\x1b[31m"
    letter = await dead(transactions, record, reason="RuntimeError: one\nreason: two\x1b[0m")

    shown = (await command("dead-letters", "show", letter)).stdout
    listed = (await command("dead-letters", "list")).stdout

    assert r"header x\nreason: forged\x1b]0;title\x07: \x1b[2J\u202e" in shown.splitlines()
    assert r"reason: RuntimeError: one\nreason: two\x1b[0m" in shown.splitlines()
    assert shown.replace("\n", "").isprintable()
    assert r"payments\x1b[31m" in listed
    assert listed.replace("\n", "").isprintable()


async def test_replaying_handles_the_event_and_closes_the_letter(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    letter = await dead(transactions, payment_captured(order.id))

    result = await command("dead-letters", "replay", letter)

    assert result.exit_code == 0
    assert await status_of(transactions, order) is OrderStatus.CONFIRMED
    assert "0 open" in (await command("dead-letters", "list")).stdout
    assert "1 replayed" in (await command("dead-letters", "list", "--status", "replayed")).stdout


async def test_a_letter_that_is_refused_again_stays_open(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    record = payment_captured(order.id)
    record.value = b"{"
    letter = await dead(transactions, record)

    told = await command.refused("dead-letters", "replay", letter)

    assert told.startswith(f"dead letter {letter} was refused again: UndecodableRecordError: payment.captured.v1")
    assert "1 open" in (await command("dead-letters", "list")).stdout


async def test_an_edited_letter_is_shown_with_its_original_and_replayed_as_edited(
    command: Commands, transactions: Transactions, order: Order, tmp_path: Path
) -> None:
    record = payment_captured(order.id)
    repaired = tmp_path / "value.json"
    repaired.write_bytes(record.value)
    record.value = b"{"
    letter = await dead(transactions, record)

    edited = await command("dead-letters", "edit", letter, "--value", str(repaired))
    shown = (await command("dead-letters", "show", letter)).stdout
    replayed = await command("dead-letters", "replay", letter)

    assert (edited.exit_code, replayed.exit_code) == (0, 0)
    assert edited.stdout.startswith(f"dead letter {letter} edited")
    assert "edited at: " in shown
    assert f"\nvalue: {repaired.read_text()}\n" in shown
    assert "\noriginal value: {\n" in shown
    assert await status_of(transactions, order) is OrderStatus.CONFIRMED


async def test_key_headers_and_a_value_from_standard_input_are_edited_at_once(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    record = payment_captured(order.id)
    letter = await dead(transactions, record)
    changes = ("--key", "k=1", "--header", "ce_id=a=b", "--header", "new=", "--remove-header", "ce_type")

    await command("dead-letters", "edit", letter, "--value", "-", *changes, stdin=b"\xff{}")

    shown = (await command("dead-letters", "show", letter)).stdout.splitlines()
    assert {"key: k=1", "header ce_id: a=b", "header new: ", "value: base64 /3t9"} <= set(shown)
    assert not any(line.startswith("header ce_type") for line in shown)
    assert "original header ce_type: payment.captured.v1" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to change: give --key, --value, --header or --remove-header"),
        (["--header", "ce_id"], "--header must be NAME=VALUE, not 'ce_id'"),
        (["--header", "=1"], "--header must be NAME=VALUE, not '=1'"),
        (["--value", "not/there"], "can't read not/there: No such file or directory"),
        (["--value", "."], "can't read .: Is a directory"),
        (["--value", "no\x1b[2J\nfile"], r"can't read no\x1b[2J\nfile: No such file or directory"),
        (["--remove-header", "nope"], "orders: dead letter {letter} has no header 'nope'"),
    ],
)
async def test_a_wrong_edit_is_one_line_and_changes_nothing(
    command: Commands, transactions: Transactions, order: Order, arguments: list[str], told: str
) -> None:
    letter = await dead(transactions, payment_captured(order.id))

    assert await command.refused("dead-letters", "edit", letter, *arguments) == told.format(letter=letter)
    assert "edited at" not in (await command("dead-letters", "show", letter)).stdout


async def test_a_discarded_letter_is_closed_unhandled(
    command: Commands, transactions: Transactions, order: Order
) -> None:
    letter = await dead(transactions, payment_captured(order.id))

    await command("dead-letters", "discard", letter)

    async with transactions() as uow:
        assert await uow.orders.find(order.id) == order
    assert "1 discarded" in (await command("dead-letters", "list", "--status", "discarded")).stdout


@pytest.mark.parametrize("action", ["replay", "discard", "edit"])
async def test_a_closed_letter_stays_closed(
    command: Commands, transactions: Transactions, order: Order, action: str
) -> None:
    letter = await dead(transactions, payment_captured(order.id))
    await command("dead-letters", "discard", letter)

    told = await command.refused("dead-letters", action, letter, *ARGUMENTS.get(action, ()))

    assert told == f"orders: dead letter {letter} was already discarded"


@pytest.mark.parametrize("action", ["show", "replay", "discard", "edit"])
async def test_an_unknown_letter_is_named(command: Commands, action: str) -> None:
    told = await command.refused("dead-letters", action, "999", *ARGUMENTS.get(action, ()))

    assert told == "orders: there is no dead letter 999"


# --- the service's own ---


async def test_an_operator_is_made_once(command: Commands, transactions: Transactions) -> None:
    arguments = ("create-operator", "--email", "Op@example.com")

    result = await command(*arguments, ORDERS_OPERATOR_PASSWORD="correct horse")
    again = await command.refused(*arguments, ORDERS_OPERATOR_PASSWORD="correct horse")
    left = await command(*arguments, "--unless-there", ORDERS_OPERATOR_PASSWORD="another horse")

    assert (result.exit_code, result.stdout) == (0, "operator Op@example.com created\n")
    assert again == "orders: Op@example.com already has an account"
    assert (left.exit_code, left.stdout) == (0, "Op@example.com already has an account, which stays as it is\n")
    async with transactions() as uow:
        user = await uow.users.find_by_email("op@example.com")
    assert user is not None
    assert user.role is UserRole.OPERATOR
    assert await Argon2Hasher().verify(user.password_hash, "correct horse")


async def test_an_operators_password_must_be_set(command: Commands) -> None:
    told = await command.refused("create-operator", "--email", "op@example.com", ORDERS_OPERATOR_PASSWORD="short")

    assert told == "orders: ORDERS_OPERATOR_PASSWORD: String should have at least 8 characters"


@pytest.mark.parametrize("email", ["op", "op@localhost", "Op <op@example.com>"])
async def test_an_operators_address_must_be_one_that_the_api_takes(command: Commands, email: str) -> None:
    told = await command.refused("create-operator", "--email", email, ORDERS_OPERATOR_PASSWORD="correct horse")

    assert told.startswith("orders: --email: ")


async def test_the_catalogue_may_be_seeded_again_and_again(command: Commands, transactions: Transactions) -> None:
    first = await command("seed-products")
    second = await command("seed-products")

    async with transactions() as uow:
        products = await uow.products.all()
    assert first.stdout == second.stdout == f"{len(products)} products in the catalogue\n"
    assert "ABC" in {product.sku for product in products}


# --- every command ---


async def test_migrate_brings_an_empty_database_to_the_schema(command: Commands, isolation: DatabaseIsolation) -> None:
    async with isolation.private() as url:
        engine = create_engine(url, application_name="tests")
        async with engine.begin() as connection:
            await connection.execute(sa.text("drop schema public cascade"))
            await connection.execute(sa.text("create schema public"))

        result = await command("migrate", ORDERS_DATABASE_URL=url)

        assert result.exit_code == 0
        assert await schema_problem(engine, NAME) is None
        await engine.dispose()


@pytest.mark.parametrize("arguments", [["run"], ["migrate"], ["dead-letters", "list"], ["seed-products"], []])
async def test_a_wrong_setting_is_one_line_that_names_the_variable(command: Commands, arguments: list[str]) -> None:
    told = await command.refused(*arguments, ORDERS_HTTP_PORT="eighty")

    assert told.startswith("orders: ORDERS_HTTP_PORT: ")


@pytest.mark.parametrize("arguments", [["dead-letters", "list"], ["seed-products"]])
async def test_a_database_that_is_away_is_one_line(command: Commands, arguments: list[str]) -> None:
    away = "postgresql+asyncpg://nobody@127.0.0.1:1/nowhere"

    told = await command.refused(*arguments, ORDERS_DATABASE_URL=away)

    assert told == "orders: the database at 127.0.0.1:1/nowhere does not answer: Connection refused"


@pytest.mark.parametrize("arguments", [["migrate"], ["dead-letters", "list"]])
async def test_a_database_that_refuses_says_why_in_one_line(
    command: Commands, isolation: DatabaseIsolation, arguments: list[str]
) -> None:
    other = make_url(isolation.url).set(database="nowhere", username="postgres")

    told = await command.refused(*arguments, ORDERS_DATABASE_URL=other.render_as_string(hide_password=False))

    assert told == 'orders: ORDERS_DATABASE_URL: the database refuses: database "nowhere" does not exist'


@pytest.mark.parametrize(
    ("right", "reason"),
    [
        ("grant usage on schema public to stranger", "permission denied for schema public"),
        ("revoke all on schema public from stranger", "no schema has been selected to create in"),
    ],
)
async def test_a_role_without_rights_is_told_what_it_lacks(
    command: Commands, isolation: DatabaseIsolation, right: str, reason: str
) -> None:
    async with isolation.private() as url, connected(url) as connection:
        await connection.execute("drop schema public cascade; create schema public; create role stranger login")
        await connection.execute(right)
        stranger = make_url(url).set(username="stranger").render_as_string(hide_password=False)

        told = await command.refused("migrate", ORDERS_DATABASE_URL=stranger)

        await connection.execute("drop owned by stranger; drop role stranger")
    assert told == f"orders: ORDERS_DATABASE_URL: the database refuses: {reason}"


@pytest.mark.parametrize(
    "name", ["KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "KAFKA_SSL_CA_FILE", "JWT_PUBLIC_KEYS", "HTTP_HOST"]
)
async def test_a_setting_that_no_client_could_use_ends_the_start(command: Commands, name: str) -> None:
    wrong = {"DATABASE_URL": "postgresql+asyncpg://ada:s3cret@db/orders?options=-csearch_path%3Da"}

    told = await command.refused("run", **{f"ORDERS_{name}": wrong.get(name, '["a:b:c"]')})

    assert told.startswith(f"orders: ORDERS_{name}: ")
    assert "s3cret" not in told


def test_the_module_runs_as_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_LOG_LEVEL", "LOUD")

    done = subprocess.run(
        [sys.executable, "-m", "orders", "migrate"], capture_output=True, text=True, check=False, timeout=30
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("orders: ORDERS_LOG_LEVEL: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_program_knows_nothing_of_libpqs_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSSLCERT", "PGSSLKEY", "PGHOST", "PGPASSFILE"):
        monkeypatch.setenv(name, "/no/such")
    monkeypatch.setenv("PGSSLMINPROTOCOLVERSION", "nonsense")
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql+asyncpg://nobody@127.0.0.1:1/nowhere")

    done = subprocess.run(
        [sys.executable, "-m", "orders", "migrate"], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.stderr == "orders: the database at 127.0.0.1:1/nowhere does not answer: Connection refused\n"


@pytest.mark.parametrize(
    ("variables", "refusal"),
    [
        (
            {"OUTBOXED_FAILPOINT": "relay.send:now"},
            "orders: OUTBOXED_FAILPOINT=relay.send:now: must be a step and a side",
        ),
        (
            {
                "OUTBOXED_FAILPOINT": "relay.send:after",
                "ORDERS_ENVIRONMENT": "production",
                "ORDERS_KAFKA_SECURITY_PROTOCOL": "SSL",
            },
            "orders: OUTBOXED_FAILPOINT must not be set in production",
        ),
    ],
)
def test_a_failpoint_that_there_is_not_or_must_not_be_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], refusal: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    done = subprocess.run([sys.executable, "-m", "orders"], capture_output=True, text=True, check=False, timeout=30)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(refusal)
    assert len(done.stderr.splitlines()) == 1
