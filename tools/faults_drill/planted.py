"""Bugs that lose or double something: each removes one guard, and one check must see the bug.

The bugs are edits of a copy of the tree: the shipped code has none of them.
"""

from dataclasses import dataclass

from tools.drill.gates import PYTEST
from tools.drill.mistakes import MISTAKES
from tools.drill.scratch import Edit

OUTBOXED = "libs/outboxed/src/outboxed"
ORDERS, PAYMENTS = "services/orders/src/orders", "services/payments/src/payments"
NOTIFICATIONS = "services/notifications/src/notifications"

RUN = (
    "tools.faults",
    "--orders",
    "120",
    "--rate",
    "12",
    "--kills",
    "10",
    "--seed",
    "3",
    "--stuck",
    "20",
    "--no-measure",
)
"""A short storm: the harness itself."""


def cut(point: str) -> tuple[str, ...]:
    """A check: the crash points, at one point only."""
    return ("tools.crash_points", "--only", point)


def tests(*paths: str) -> tuple[str, ...]:
    """A check: tests of the usual levels."""
    return (*PYTEST, *paths)


def edits_of(title: str) -> tuple[Edit, ...]:
    """The edits of a mistake of the drill."""
    return next(mistake.edits for mistake in MISTAKES if mistake.title == title)


REFUSED = "libs/outboxed/tests/integration/test_refused_rows.py"
REFUSED_ROWS = tests(REFUSED)


@dataclass(frozen=True)
class Planted:
    """A removed guard, and the module with arguments that must fail."""

    title: str
    check: tuple[str, ...]
    edits: tuple[Edit, ...]


LOCK = r" +if not locked:\n(?: +self\._contact[^\n]+\n)? +return 0\n"

PLANTED = (
    Planted(
        "offsets are committed before their events are handled",
        cut("payments consumer: consumer.dispatch"),
        (
            Edit(
                f"{OUTBOXED}/consuming/_kafka.py",
                r"( +)(try:\n +await consumer\.handle\(records\))",
                r"\1await _commit(message.consumer)\n\1\2",
            ),
        ),
    ),
    Planted(
        "an event is published though its transaction rolls back",
        tests("libs/outboxed/tests/parity", "libs/outboxed/tests/integration"),
        edits_of("an event is published before the commit"),
    ),
    Planted(
        "there is no inbox",
        RUN,
        (
            Edit(
                f"{OUTBOXED}/storage/_inbox.py",
                r"( +)rows = \[\n.*?return new\n",
                r"\1return set(events)\n",
            ),
        ),
    ),
    Planted(
        "the inbox is written in another transaction",
        cut("payments consumer: consumer.dispatch"),
        (
            Edit(
                f"{OUTBOXED}/storage/_inbox.py",
                r"( +)return (\{handled_identity\(\*row\) for row) in await self\._connection"
                r"\.execute\((statement, values)\)\}",
                r"\1async with self._connection.engine.begin() as early:\n"
                r"\1    return \2 in await early.execute(\3)}",
            ),
        ),
    ),
    Planted(
        "each attempt at a charge has an idempotency key of its own",
        tests("services/payments/tests/unit"),
        (
            Edit(f"{PAYMENTS}/handlers.py", r"idempotency_key=payment\.id", "idempotency_key=uuid4()"),
            Edit(f"{PAYMENTS}/handlers.py", r"from uuid import UUID", "from uuid import UUID, uuid4"),
        ),
    ),
    Planted(
        "an outbox row is deleted before Kafka has acknowledged its event",
        tests("libs/outboxed/tests/integration/test_relay.py"),
        edits_of("an outbox row is deleted before Kafka has acknowledged its event"),
    ),
    Planted(
        "the relay takes no lock",
        tests("libs/outboxed/tests/integration"),
        (Edit(f"{OUTBOXED}/relay/_relay.py", LOCK, ""),),
    ),
    Planted(
        "relays share the outbox, each skipping the rows that another has locked",
        tests("libs/outboxed/tests/integration"),
        (
            Edit(f"{OUTBOXED}/relay/_relay.py", LOCK, ""),
            Edit(
                f"{OUTBOXED}/relay/_rows.py",
                r"(where\(chosen\)[^\n]*\.limit\(limit\))",
                r"\1.with_for_update(skip_locked=True)",
            ),
        ),
    ),
    Planted(
        "the relay remembers the last id that it sent, and reads on from there",
        tests("libs/outboxed/tests/integration"),
        (
            Edit(
                f"{OUTBOXED}/relay/_rows.py",
                r"( +)rows: Sequence\[Any\] = result\.all\(\)",
                r"\1rows = [row for row in result.all() if row[0] > max(_SENT, default=0)]\n"
                r"\1_SENT.extend(row[0] for row in rows)",
            ),
            Edit(f"{OUTBOXED}/relay/_rows.py", r"\n(LOCK_ID = )", r"\n_SENT: list[int] = []\n\1"),
        ),
    ),
    Planted(
        "the relay begins to read above rows that are not committed yet",
        tests("libs/outboxed/tests/integration/test_relay_floor.py"),
        (Edit(f"{OUTBOXED}/relay/_floor.py", r"if not self\._writers:", "if self._writers is not None:"),),
    ),
    Planted(
        "a handler's error is swallowed",
        tests("libs/outboxed/tests/unit"),
        (
            Edit(
                f"{OUTBOXED}/consuming/_batch.py",
                r"( +)(await self\.routes\[attributes\.type\]\.handle\(event, uow\))",
                r"\1with suppress(Exception):\n\1    \2",
            ),
            Edit(
                f"{OUTBOXED}/consuming/_batch.py",
                r"from contextlib import contextmanager",
                "from contextlib import contextmanager, suppress",
            ),
        ),
    ),
    Planted(
        "an error that would pass is not tried again",
        RUN,
        (
            Edit(
                f"{OUTBOXED}/storage/_errors.py",
                r"( +)(if isinstance\(error, BaseExceptionGroup\):)",
                r"\1if error is not None:\n\1    return False\n\1\2",
            ),
        ),
    ),
    Planted(
        "poison leaves no dead letter",
        RUN,
        (Edit(f"{OUTBOXED}/consuming/_batch.py", r"undecodable\.append\(\(record, str\(error\)\)\)", "pass"),),
    ),
    Planted(
        "an order is confirmed before its payment is captured",
        RUN,
        (
            Edit(
                f"{ORDERS}/handlers.py",
                r"( +)(uow\.orders\.add\(order\)\n[^\n]+\n)",
                r"\1\2\1order = _save(order, order.confirm(uow.now), uow)\n",
            ),
        ),
    ),
    Planted(
        "a payment that was captured is not refunded when its order is cancelled",
        RUN,
        (
            Edit(
                f"{PAYMENTS}/domain.py",
                r"PaymentInput\.ORDER_CANCELLED: Change\(call=GatewayCall\.REFUND\)",
                "PaymentInput.ORDER_CANCELLED: Change()",
            ),
        ),
    ),
    Planted(
        "a partition gets its next batch before the last one is acknowledged",
        tests(f"{REFUSED}::test_a_batch_without_an_answer_is_not_sent_again_before_it_has_one"),
        (
            Edit(
                f"{OUTBOXED}/relay/_relay.py",
                r"return self\._flow\.is_open\(partition\) and [^\n]+",
                "return self._flow.is_open(partition)",
            ),
        ),
    ),
    Planted(
        "the later events of a key pass one that Kafka refused",
        REFUSED_ROWS,
        (Edit(f"{OUTBOXED}/relay/_rows.py", r'_IS_BEHIND\.label\("behind"\)', 'sa.false().label("behind")'),),
    ),
    Planted(
        "a row that Kafka refuses is tried for ever, and nobody is told",
        REFUSED_ROWS,
        (Edit(f"{OUTBOXED}/relay/_outcomes.py", r"return attempts >= ATTEMPTS", "return False"),),
    ),
    Planted(
        "a row that is too large goes alone before the earlier events of its key",
        tests(f"{REFUSED}::test_a_row_that_is_known_to_be_too_large_waits_for_the_earlier_ones_of_its_key"),
        (Edit(f"{OUTBOXED}/relay/_relay.py", r" if key not in keys\]", "]"),),
    ),
    Planted(
        "of several brokers in one setting the consumer makes one name",
        tests("libs/outboxed/tests/integration/test_bootstrap_servers.py"),
        (
            Edit(
                f"{OUTBOXED}/consuming/_kafka.py",
                r"list\(kafka\.bootstrap_servers\),",
                '",".join(kafka.bootstrap_servers),',
            ),
        ),
    ),
    Planted(
        "an event is known by its id, whoever sent it",
        tests("libs/outboxed/tests/unit/test_consumer.py", "services/orders/tests/parity"),
        (
            Edit(
                f"{OUTBOXED}/messages/_envelope.py",
                r"return EventIdentity\(self\.source, self\.id\)",
                'return EventIdentity("", self.id)',
            ),
        ),
    ),
    Planted(
        "a dead letter is known by its position, whatever was there",
        tests("services/orders/tests/parity/test_outboxed_ports.py"),
        (Edit(f"{OUTBOXED}/storage/schema.py", r'"offset", record_digest\)', '"offset")'),),
    ),
    Planted(
        "another task than the one that waits under its key is dropped",
        tests("services/orders/tests/parity/test_outboxed_ports.py"),
        (Edit(f"{OUTBOXED}/storage/_unit_of_work.py", r"if len\(scheduled\.all\(\)\) < len\(rows\):", "if False:"),),
    ),
    Planted(
        "text that no column holds reaches the handler",
        RUN,
        (Edit(f"{OUTBOXED}/messages/_storable.py", r'return "has a NUL"', "return None"),),
    ),
    Planted(
        "as many passwords are hashed at once as anybody asks for",
        tests("services/orders/tests/unit/test_passwords.py", "services/orders/tests/integration/test_memory.py"),
        (Edit(f"{ORDERS}/passwords.py", r"asyncio\.Semaphore\(at_once\)", "asyncio.Semaphore(1000)"),),
    ),
    Planted(
        "an error of the connection is blamed on the event",
        tests("libs/outboxed/tests/integration/test_blame.py"),
        (
            Edit(
                f"{OUTBOXED}/storage/_errors.py",
                r"return not sqlstate_of\(_original\(error\)\)\.startswith\(OF_THE_ITEM\)[^\n]*",
                'return sqlstate_of(_original(error)).startswith(("08", "40", "53", "55", "57"))',
            ),
        ),
    ),
    Planted(
        "nobody asks whether a session has its time-outs",
        tests("libs/outboxed/tests/integration/test_pooler.py"),
        (Edit(f"{OUTBOXED}/storage/_database.py", r" +if not pooled:\n +sa\.event\.listen\([^\n]+\n", ""),),
    ),
    Planted(
        "a compressed batch is read whole, whatever it becomes",
        tests("libs/outboxed/tests/integration/test_compressed_batches.py"),
        (Edit(f"{OUTBOXED}/_compat/aiokafka.py", r" +fetcher\.MemoryRecords = LenientRecords\n", ""),),
    ),
    Planted(
        "a client that never finishes its request keeps its connection",
        tests("libs/outboxed/tests/integration/test_slow_clients.py"),
        (Edit(f"{OUTBOXED}/_compat/uvicorn.py", r"self\.loop\.call_later\(seconds, self\._end_request[^\n]+", "None"),),
    ),
    Planted(
        "a mail server's refusal of the shop buries the customer's e-mail",
        tests("services/notifications/tests/integration/test_smtp_replies.py"),
        (Edit(f"{NOTIFICATIONS}/mailer.py", r"if _is_about_the_email\(error, what\):", "if error.code >= PERMANENT:"),),
    ),
    Planted(
        "an e-mail is sent behind the batches of its process",
        tests("services/notifications/tests/integration/test_composition.py"),
        (Edit(f"{NOTIFICATIONS}/app.py", r"create_mailer\(settings, smtp\)", "create_mailer(settings)"),),
    ),
    Planted(
        "an address that nobody can reach is a setting like any other",
        tests("libs/outboxed/tests/unit/test_setting_types.py"),
        (Edit(f"{OUTBOXED}/settings/_addresses.py", r"if len\(host\) > LONGEST_HOST or [^\n]+:", "if not host:"),),
    ),
    Planted(
        "a parameter of libpq goes on to the driver as it came",
        tests("libs/outboxed/tests/unit/test_setting_types.py"),
        (
            Edit(
                f"{OUTBOXED}/settings/_database.py",
                r"encryption=_ssl\(modes, query\) if over_network else [^\n]+",
                'encryption=modes[0] if modes else "prefer",',
            ),
        ),
    ),
    Planted(
        "what a stranger sent is printed raw",
        tests("services/orders/tests/integration/test_command_line.py"),
        (
            Edit(
                f"{OUTBOXED}/process/_cli.py",
                r'return "".join\(char if char\.isprintable\(\) [^\n]+',
                "return str(value)",
            ),
        ),
    ),
    Planted(
        "a process is ready however long Kafka has not answered",
        tests("libs/outboxed/tests/unit/test_health.py"),
        (Edit(f"{OUTBOXED}/web/_health.py", r" or self\._kafka_lost\(\)$", ""),),
    ),
    Planted(
        "calls over HTTP wait for the connections of the other roles",
        tests("services/notifications/tests/integration/test_pools.py"),
        (
            Edit(
                f"{OUTBOXED}/process/_composition.py",
                r"engine=create_engine\([^\n]+API_POOL_SECONDS\),",
                "engine=transactions.engine,",
            ),
        ),
    ),
    Planted(
        "what is no JSON is handled",
        tests("libs/outboxed/tests/unit/test_envelope.py"),
        (
            Edit(
                f"{OUTBOXED}/messages/_json.py", r'NO_JSON = \(b"NaN", b"Infinity"\)', "NO_JSON: tuple[bytes, ...] = ()"
            ),
        ),
    ),
    Planted(
        "whether a partition takes a batch is asked again for each row",
        REFUSED_ROWS,
        (Edit(f"{OUTBOXED}/relay/_relay.py", r"= cache\(self\._takes_a_batch\)", "= self._takes_a_batch"),),
    ),
    Planted(
        "an outcome that can't be recorded takes those with it that came at the same time",
        tests("libs/outboxed/tests/unit/test_worker.py"),
        (Edit(f"{OUTBOXED}/tasks/_recording.py", r"if not own\.settled:", "if alone:"),),
    ),
    Planted(
        "an outcome is recorded though its lease is lost",
        tests("libs/outboxed/tests/unit/test_worker.py"),
        (Edit(f"{OUTBOXED}/tasks/_recording.py", r"for outcome in outcomes if [^\]]+\]", "for outcome in outcomes]"),),
    ),
    Planted(
        "an e-mail that the mail server may have is sent again on another connection",
        tests("services/notifications/tests/integration/test_kept_connections.py"),
        (Edit(f"{NOTIFICATIONS}/smtp.py", r"if client\.awaits_answer or not _has", "if not _has"),),
    ),
)
