"""Mistakes that lose or double something: each takes one guard away."""

from tools.mistakes.levels import tests
from tools.mistakes.mistake import NOTIFICATIONS as IN_NOTIFICATIONS
from tools.mistakes.mistake import ORDERS as IN_ORDERS
from tools.mistakes.mistake import OUTBOXED as IN_OUTBOXED
from tools.mistakes.mistake import PAYMENTS as IN_PAYMENTS
from tools.mistakes.mistake import Mistake
from tools.scratch import Edit

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


REFUSED = "libs/outboxed/tests/integration/test_refused_rows.py"
REFUSED_ROWS = tests(REFUSED)


LOCK = r" +if not locked:\n(?: +self\._contact[^\n]+\n)? +return 0\n"

MISTAKES = (
    Mistake(
        "offsets are committed before their events are handled",
        "A crash loses the events of a batch.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/consuming/_kafka.py",
                r"( +)(try:\n +await consumer\.handle\(records\))",
                r"\1await _commit(message.consumer)\n\1\2",
            ),
        ),
        check=cut("payments consumer: consumer.dispatch"),
    ),
    Mistake(
        "there is no inbox",
        "A record that comes again charges or tells a customer twice.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/storage/_inbox.py",
                r"( +)rows = \[\n.*?return new\n",
                r"\1return set(events)\n",
            ),
        ),
        check=RUN,
    ),
    Mistake(
        "the inbox is written in another transaction",
        "A crash in between loses the event.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/storage/_inbox.py",
                r"( +)return await run_steps\(self\._connection, (_OF_THE_SERVICE[^\n]+)\)\n",
                r"\1async with self._connection.engine.begin() as early:\n\1    return await run_steps(early, \2)\n",
            ),
        ),
        check=cut("payments consumer: consumer.dispatch"),
    ),
    Mistake(
        "each attempt at a charge has an idempotency key of its own",
        "A time-out charges the customer twice.",
        IN_PAYMENTS,
        (
            Edit(f"{PAYMENTS}/handlers.py", r"idempotency_key=payment\.id", "idempotency_key=uuid4()"),
            Edit(f"{PAYMENTS}/handlers.py", r"from uuid import UUID", "from uuid import UUID, uuid4"),
        ),
        check=tests("services/payments/tests/unit"),
    ),
    Mistake(
        "the relay takes no lock",
        "Two relays send each event twice, and out of order.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/relay/_relay.py", LOCK, ""),),
        check=tests("libs/outboxed/tests/integration"),
    ),
    Mistake(
        "relays share the outbox, each skipping the rows that another has locked",
        "A later event of a key passes an earlier one.",
        IN_OUTBOXED,
        (
            Edit(f"{OUTBOXED}/relay/_relay.py", LOCK, ""),
            Edit(
                f"{OUTBOXED}/relay/_rows.py",
                r"(where\(chosen\)[^\n]*\.limit\(_LIMIT\))",
                r"\1.with_for_update(skip_locked=True)",
            ),
        ),
        check=tests("libs/outboxed/tests/integration"),
    ),
    Mistake(
        "the relay remembers the last id that it sent, and reads on from there",
        "Rows that commit late are never sent.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/relay/_rows.py",
                r"( +)(behind = \[row\[0\] for row in rows if row\[-1\]\])",
                r"\1rows = [row for row in rows if row[0] > max(_SENT, default=0)]\n"
                r"\1_SENT.extend(row[0] for row in rows)\n"
                r"\1\2",
            ),
            Edit(f"{OUTBOXED}/relay/_rows.py", r"\n(LOCK_ID = )", r"\n_SENT: list[int] = []\n\1"),
        ),
        check=tests("libs/outboxed/tests/integration"),
    ),
    Mistake(
        "the relay begins to read above rows that are not committed yet",
        "Rows that commit late are never sent.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/relay/_floor.py", r"if not self\._writers:", "if self._writers is not None:"),),
        check=tests("libs/outboxed/tests/integration/test_relay_floor.py"),
    ),
    Mistake(
        "a handler's error is swallowed",
        "An event counts as handled and changed nothing.",
        IN_OUTBOXED,
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
        check=tests("libs/outboxed/tests/unit"),
    ),
    Mistake(
        "an error that would pass is not tried again",
        "An outage turns good events into dead letters.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/storage/_errors.py",
                r"( +)(if isinstance\(error, BaseExceptionGroup\):)",
                r"\1if error is not None:\n\1    return False\n\1\2",
            ),
        ),
        check=RUN,
    ),
    Mistake(
        "poison leaves no dead letter",
        "What could not be read is gone without a trace.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/consuming/_batch.py", r"undecodable\.append\(\(record, str\(error\)\)\)", "pass"),),
        check=RUN,
    ),
    Mistake(
        "an order is confirmed before its payment is captured",
        "Goods leave without money.",
        IN_ORDERS,
        (
            Edit(
                f"{ORDERS}/handlers.py",
                r"( +)(uow\.orders\.add\(order\)\n[^\n]+\n)",
                r"\1\2\1order = _save(order, order.confirm(uow.now), uow)\n",
            ),
        ),
        check=RUN,
    ),
    Mistake(
        "a payment that was captured is not refunded when its order is cancelled",
        "The shop keeps the customer's money.",
        IN_PAYMENTS,
        (
            Edit(
                f"{PAYMENTS}/domain.py",
                r"PaymentInput\.ORDER_CANCELLED: Change\(call=GatewayCall\.REFUND\)",
                "PaymentInput.ORDER_CANCELLED: Change()",
            ),
        ),
        check=RUN,
    ),
    Mistake(
        "a partition gets its next batch before the last one is acknowledged",
        "A refusal lets later events pass.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/relay/_relay.py",
                r"return self\._flow\.is_open\(partition\) and [^\n]+",
                "return self._flow.is_open(partition)",
            ),
        ),
        check=tests(f"{REFUSED}::test_a_batch_without_an_answer_is_not_sent_again_before_it_has_one"),
    ),
    Mistake(
        "the later events of a key pass one that Kafka refused",
        "A reader sees an order cancelled that it never saw placed.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/relay/_rows.py", r'self\.behind\(\)\.label\("behind"\)', 'sa.false().label("behind")'),),
        check=REFUSED_ROWS,
    ),
    Mistake(
        "a row that Kafka refuses is tried for ever, and nobody is told",
        "Its key stands still, unseen.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/relay/_outcomes.py", r"return attempts >= ATTEMPTS", "return False"),),
        check=REFUSED_ROWS,
    ),
    Mistake(
        "a row that is too large goes alone before the earlier events of its key",
        "Events of a key change places.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/relay/_relay.py", r" if key not in keys\]", "]"),),
        check=tests(f"{REFUSED}::test_a_row_that_is_known_to_be_too_large_waits_for_the_earlier_ones_of_its_key"),
    ),
    Mistake(
        "of several brokers in one setting the consumer makes one name",
        "The consumer never starts.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/consuming/_kafka.py",
                r"list\(kafka\.bootstrap_servers\),",
                '",".join(kafka.bootstrap_servers),',
            ),
        ),
        check=tests("libs/outboxed/tests/integration/test_bootstrap_servers.py"),
    ),
    Mistake(
        "an event is known by its id, whoever sent it",
        "The second sender's event is dropped.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/messages/_envelope.py",
                r"return EventIdentity\(self\.source, self\.id\)",
                'return EventIdentity("", self.id)',
            ),
        ),
        check=tests("libs/outboxed/tests/unit/test_consumer.py", "libs/outboxed/tests/parity"),
    ),
    Mistake(
        "a dead letter is known by its position, whatever was there",
        "After a topic is made again its poison is dropped unseen.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/storage/schema.py", r'"offset", record_digest\)', '"offset")'),),
    ),
    Mistake(
        "another task than the one that waits under its key is dropped",
        "A call that somebody asked for is never made.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/storage/_scheduling.py",
                r"            raise TaskConflictError\(kind, key\)",
                "            pass",
            ),
        ),
    ),
    Mistake(
        "text that no column holds reaches the handler",
        "Twenty such events halt the consumer.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/messages/_storable.py", r'return "has a NUL"', "return None"),),
        check=RUN,
    ),
    Mistake(
        "as many passwords are hashed at once as anybody asks for",
        "Three registrations end the process for want of memory.",
        IN_ORDERS,
        (Edit(f"{ORDERS}/passwords.py", r"asyncio\.Semaphore\(at_once\)", "asyncio.Semaphore(1000)"),),
        check=tests("services/orders/tests/unit/test_passwords.py", "services/orders/tests/integration/test_memory.py"),
    ),
    Mistake(
        "an error of the connection is blamed on the event",
        "Good events become dead letters behind a pooler.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/storage/_errors.py",
                r"return not state\.startswith\(OF_THE_ITEM\)[^\n]*",
                'return state.startswith(("08", "40", "53", "55", "57"))',
            ),
        ),
        check=tests("libs/outboxed/tests/integration/test_blame.py"),
    ),
    Mistake(
        "nobody asks whether a session has its time-outs",
        "A statement waits for ever behind a pooler.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/storage/_database.py", r" +if not pooled:\n +sa\.event\.listen\([^\n]+\n", ""),),
        check=tests("libs/outboxed/tests/integration/test_pooler.py"),
    ),
    Mistake(
        "a compressed batch is read whole, whatever it becomes",
        "A small batch takes all memory.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/_compat/aiokafka.py", r" +fetcher\.MemoryRecords = LenientRecords\n", ""),),
        check=tests("libs/outboxed/tests/integration/test_compressed_batches.py"),
    ),
    Mistake(
        "a client that never finishes its request keeps its connection",
        "A few idle clients shut everybody out.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/_compat/uvicorn.py", r"self\.loop\.call_later\(seconds, self\._end_request[^\n]+", "None"),),
        check=tests("libs/outboxed/tests/integration/test_slow_clients.py"),
    ),
    Mistake(
        "a mail server's refusal of the shop buries the customer's e-mail",
        "A wrong login loses every e-mail.",
        IN_NOTIFICATIONS,
        (Edit(f"{NOTIFICATIONS}/mailer.py", r"if _is_about_the_email\(error, what\):", "if error.code >= PERMANENT:"),),
        check=tests("services/notifications/tests/integration/test_smtp_replies.py"),
    ),
    Mistake(
        "an e-mail is sent behind the batches of its process",
        "It times out and is sent twice.",
        IN_NOTIFICATIONS,
        (Edit(f"{NOTIFICATIONS}/app.py", r"create_mailer\(settings, smtp\)", "create_mailer(settings)"),),
        check=tests("services/notifications/tests/integration/test_composition.py"),
    ),
    Mistake(
        "an address that nobody can reach is a setting like any other",
        "The mistake shows at the first message, at night.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/settings/_addresses.py", r"if len\(host\) > LONGEST_HOST or [^\n]+:", "if not host:"),),
        check=tests("libs/outboxed/tests/unit/test_setting_types.py"),
    ),
    Mistake(
        "a parameter of libpq goes on to the driver as it came",
        "A traceback in place of a sentence.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/settings/_database.py",
                r"encryption=_ssl\(modes, query\) if over_network else [^\n]+",
                'encryption=modes[0] if modes else "prefer",',
            ),
        ),
        check=tests("libs/outboxed/tests/unit/test_setting_types.py"),
    ),
    Mistake(
        "what a stranger sent is printed raw",
        "A dead letter can write on the operator's terminal.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/_printable.py",
                r'return "".join\(char if char\.isprintable\(\) [^\n]+',
                "return str(value)",
            ),
        ),
        check=tests("services/orders/tests/integration/test_command_line.py"),
    ),
    Mistake(
        "a process is ready however long Kafka has not answered",
        "A load balancer keeps a process that does nothing.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/web/_health.py", r" or self\._kafka_lost\(\)$", ""),),
        check=tests("libs/outboxed/tests/unit/test_health.py"),
    ),
    Mistake(
        "calls over HTTP wait for the connections of the other roles",
        "Customers wait for batches.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/process/_composition.py",
                r"engine=create_engine\([^\n]+API_POOL_SECONDS\),",
                "engine=transactions.engine,",
            ),
        ),
        check=tests("services/notifications/tests/integration/test_pools.py"),
    ),
    Mistake(
        "what is no JSON is handled",
        "NaN reaches the database.",
        IN_OUTBOXED,
        (
            Edit(
                f"{OUTBOXED}/messages/_json.py", r'NO_JSON = \(b"NaN", b"Infinity"\)', "NO_JSON: tuple[bytes, ...] = ()"
            ),
        ),
        check=tests("libs/outboxed/tests/unit/test_envelope.py"),
    ),
    Mistake(
        "whether a partition takes a batch is asked again for each row",
        "Later events pass earlier ones when a pause ends.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/relay/_relay.py", r"= cache\(self\._takes_a_batch\)", "= self._takes_a_batch"),),
        check=REFUSED_ROWS,
    ),
    Mistake(
        "an outcome that can't be recorded takes those with it that came at the same time",
        "One bad task makes others' calls happen twice.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/tasks/_recording.py", r"if not own\.settled:", "if alone:"),),
        check=tests("libs/outboxed/tests/unit/test_recording.py"),
    ),
    Mistake(
        "an outcome is recorded though its lease is lost",
        "Two workers record one charge.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/tasks/_recording.py", r"for outcome in outcomes if [^\]]+\]", "for outcome in outcomes]"),),
        check=tests("libs/outboxed/tests/unit/test_recording.py"),
    ),
    Mistake(
        "an e-mail that the mail server may have is sent again on another connection",
        "The customer gets it twice.",
        IN_NOTIFICATIONS,
        (Edit(f"{NOTIFICATIONS}/smtp.py", r"if client\.awaits_answer or not _has", "if not _has"),),
        check=tests("services/notifications/tests/integration/test_kept_connections.py"),
    ),
    Mistake(
        "an event counts as sent when one broker has it",
        "With that broker it is lost: its row in the outbox is gone.",
        IN_OUTBOXED,
        (Edit(f"{OUTBOXED}/relay/_producer.py", '"acks": "all"', '"acks": 1'),),
    ),
)
