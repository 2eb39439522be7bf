"""Mistakes in statements, locks, migrations and what is kept how long."""

from tools.mistakes.levels import tests
from tools.mistakes.mistake import NOTIFICATIONS, ORDERS, OUTBOXED, PAYMENTS, Mistake, swap
from tools.scratch import Edit

OUTBOXED_SOURCES = "libs/outboxed/src/outboxed"
STORAGE = f"{OUTBOXED_SOURCES}/storage"
REPOSITORY, UNIT_OF_WORK = f"{STORAGE}/_repository.py", f"{STORAGE}/_unit_of_work.py"
COMPAT = f"{OUTBOXED_SOURCES}/_compat/sqlalchemy.py"
STATEMENTS, WRITES = f"{STORAGE}/_statements.py", f"{STORAGE}/_writes.py"
RETENTION, INBOX = f"{STORAGE}/_retention.py", f"{STORAGE}/_inbox.py"
ROWS, COUNTS = f"{OUTBOXED_SOURCES}/relay/_rows.py", f"{OUTBOXED_SOURCES}/process/_counts.py"
LETTERS = f"{OUTBOXED_SOURCES}/storage/_letters.py"
MIGRATIONS = f"{STORAGE}/_migrations.py"

MISTAKES = (
    Mistake(
        "an aggregate is read without its lock",
        "Of two changes at once one is lost.",
        OUTBOXED,
        (swap(REPOSITORY, ".order_by(table.c.id).with_for_update()", ".order_by(table.c.id)"),),
    ),
    Mistake(
        "aggregates are locked in any order",
        "Two batches wait for each other.",
        OUTBOXED,
        (
            swap(
                REPOSITORY, "_by_ids(table).order_by(table.c.id).with_for_update()", "_by_ids(table).with_for_update()"
            ),
        ),
    ),
    Mistake(
        "a row that has moved on is overwritten",
        "A change is lost, and nobody is told.",
        OUTBOXED,
        (
            swap(
                REPOSITORY,
                "(table.c.id == new.table.c.id) & (table.c.version < new.table.c.version)",
                "table.c.id == new.table.c.id",
            ),
        ),
    ),
    Mistake(
        "a new row that is there already is passed over",
        "The transaction commits as if it had written it.",
        OUTBOXED,
        (swap(REPOSITORY, "rows, partial(self._raise_that_they_exist, len(rows)))", "rows)"),),
    ),
    Mistake(
        "any conflict of a new row counts as one of its id",
        "A second row with a used address is dropped without a word.",
        OUTBOXED,
        (swap(REPOSITORY, 'on_conflict_do_nothing(index_elements=["id"])', "on_conflict_do_nothing()"),),
    ),
    Mistake(
        "events get their ids in any order",
        "The relay sends the second event of a key first.",
        OUTBOXED,
        (
            swap(
                UNIT_OF_WORK,
                "sa.select(*new.columns).where(after).order_by(new.table.c.position)",
                "sa.select(*new.columns).where(after).order_by(new.table.c.position.desc())",
            ),
        ),
    ),
    Mistake(
        "events are written before the aggregates",
        "Outbox rows of one order change places, since nothing holds its lock yet.",
        OUTBOXED,
        (
            Edit(
                UNIT_OF_WORK,
                r"(        for repository in self\.repositories\(\):\n +yield from repository\.writes\(\)\n)"
                r"(        if self\.events\.appended:\n[^\n]*\n)",
                r"\2\1",
            ),
        ),
    ),
    Mistake(
        "of what is written together no part waits for the one before",
        "Outbox rows of one order change places, as PostgreSQL pleases.",
        OUTBOXED,
        (Edit(WRITES, r"            after = count[^\n]*\n", ""),),
    ),
    Mistake(
        "a statement of its own commits what it could not write whole",
        "An order has no event, and nobody is told.",
        OUTBOXED,
        (swap(WRITES, "sa.case((sa.and_(*is_whole), 1), else_=0)", "sa.case((sa.and_(*is_whole), 1), else_=1)"),),
    ),
    Mistake(
        "dead letters are written after the rest",
        "A crash between keeps what an event did, and loses the letter that says what it could not do.",
        OUTBOXED,
        (
            Edit(
                UNIT_OF_WORK,
                r"(        if self\.dead_letters\.added:[^\n]*\n[^\n]*\n)(        await write\([^\n]*\n)",
                r"\2\1",
            ),
        ),
    ),
    Mistake(
        "what is written together is committed by itself within a transaction",
        "A unit of work ends without an error, and nothing of it is there.",
        OUTBOXED,
        (swap(COMPAT, " or adapter.driver_connection.is_in_transaction())", ")"),),
    ),
    Mistake(
        "two looks at once take each other's transaction",
        "A unit of work ends without an error, and nothing of it is there.",
        OUTBOXED,
        (swap(COMPAT, "is_busy = adapter._execute_mutex.locked()", "is_busy = False"),),
    ),
    Mistake(
        "behind a pooler a statement has no transaction",
        "It has no time-outs: one lock that is never given back holds the pool.",
        OUTBOXED,
        (swap(STATEMENTS, "            and inside.info.get(PLAIN, False)\n", ""),),
    ),
    Mistake(
        "what an administrator asks of each transaction counts for those that begin with BEGIN",
        "A role that looks at one moment sees each commit.",
        OUTBOXED,
        (swap(f"{STORAGE}/_database.py", "driver.fetchval(_IS_PLAIN)", "driver.fetchval('select true')"),),
    ),
    Mistake(
        "a session that looks at one moment sees each commit",
        "A project's own isolation is gone without a word.",
        OUTBOXED,
        (swap(COMPAT, "adapter.isolation_level not in _READ_COMMITTED or ", ""),),
    ),
    Mistake(
        "a session that may only read writes",
        "A replica's role, or a careful caller, is not asked.",
        OUTBOXED,
        (swap(COMPAT, " or adapter.readonly or adapter.deferrable", ""),),
    ),
    Mistake(
        "what a unit of work adds to its flush is another transaction",
        "An audit line that can't be written takes nothing back.",
        OUTBOXED,
        (swap(UNIT_OF_WORK, "if type(self).flush is SqlUnitOfWork.flush:", "if True:"),),
    ),
    Mistake(
        "whoever listens to errors hears of rows that were only missed",
        "An alarm for errors of the database rings for each customer who presses twice.",
        OUTBOXED,
        (swap(WRITES, ", unheard=_ROW_MISSING)", ")"),),
    ),
    Mistake(
        "others are told before the commit",
        "They look, find nothing, and wait for the next poll.",
        OUTBOXED,
        (
            Edit(
                UNIT_OF_WORK,
                r"            try:\n                await uow\.finish\(\)\n"
                r"                await _commit\(connection\)\n"
                r"            finally:[^\n]*\n                self\._tell\(uow\)\n",
                r"            await uow.finish()\n            self._tell(uow)\n            await _commit(connection)\n",
            ),
        ),
    ),
    Mistake(
        "what a reading unit of work changed is dropped without a word",
        "A handler's change is never written.",
        OUTBOXED,
        (swap(UNIT_OF_WORK, "            uow.flush_nothing()\n", ""),),
    ),
    Mistake(
        "the ids of a batch go into the inbox in any order",
        "Two consumers of one partition wait for each other.",
        OUTBOXED,
        (swap(INBOX, "for event in sorted(set(events))", "for event in set(events)"),),
    ),
    Mistake(
        "handled events are forgotten sooner than Kafka forgets them",
        "A copy that is read again takes effect twice.",
        OUTBOXED,
        (
            swap(
                RETENTION,
                'Retention(tables.inbox, "handled_at", timedelta(days=14))',
                'Retention(tables.inbox, "handled_at", timedelta(days=1))',
            ),
        ),
    ),
    Mistake(
        "a prune deletes what is new",
        "The inbox is empty, and every copy counts.",
        OUTBOXED,
        (swap(RETENTION, "column < limit", "column > limit"),),
    ),
    Mistake(
        "a prune deletes all at once",
        "A table is locked for minutes after a quiet month.",
        OUTBOXED,
        (swap(RETENTION, ".limit(STEP).with_for_update", ".with_for_update"),),
    ),
    Mistake(
        "a prune's steps are one transaction",
        "After a quiet month it holds locks on millions of rows, and an error at its end takes all back.",
        OUTBOXED,
        (
            swap(
                RETENTION,
                "        while deleted == STEP:\n"
                "            async with self._engine.begin() as connection:\n"
                "                deleted = (await connection.execute(statement)).rowcount\n"
                "            total += deleted\n",
                "        async with self._engine.begin() as connection:\n"
                "            while deleted == STEP:\n"
                "                deleted = (await connection.execute(statement)).rowcount\n"
                "                total += deleted\n",
            ),
        ),
    ),
    Mistake(
        "a prune ends after its first step",
        "The inbox grows for ever where a minute has more than 5,000 events.",
        OUTBOXED,
        (swap(RETENTION, "while deleted == STEP:", "while deleted == STEP and not total:"),),
    ),
    Mistake(
        "open dead letters are pruned",
        "What nobody has looked at yet is gone.",
        OUTBOXED,
        (swap(RETENTION, 'Retention(tables.dead_letters, "closed_at"', 'Retention(tables.dead_letters, "failed_at"'),),
    ),
    Mistake(
        "idempotency keys are pruned before they end",
        "A client that repeats after an hour orders twice.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/storage.py",
                '"created_at", IDEMPOTENCY_KEPT),)',
                '"created_at", IDEMPOTENCY_KEPT / 24),)',
            ),
        ),
    ),
    Mistake(
        "the relay reads its rows in any order",
        "Later events of a key go first.",
        OUTBOXED,
        (
            swap(
                ROWS,
                "(chosen).order_by(self._outbox.c.id).limit",
                "(chosen).order_by(self._outbox.c.id.desc()).limit",
            ),
        ),
    ),
    Mistake(
        "held rows are released while another is in front of them",
        "Later events pass the one that Kafka refused.",
        OUTBOXED,
        (
            swap(
                ROWS,
                "self._outbox.c.retry_at == _UNTIL_RELEASED, ~is_behind)",
                "self._outbox.c.retry_at == _UNTIL_RELEASED)",
            ),
        ),
    ),
    Mistake(
        "the relay's lock is the session's",
        "A pooled connection keeps it, and no relay sends any more.",
        OUTBOXED,
        (swap(ROWS, "sa.func.pg_try_advisory_xact_lock(*ids)", "sa.func.pg_try_advisory_lock(*ids)"),),
    ),
    Mistake(
        "a row that is set aside stays in the outbox",
        "It is sent and a dead letter.",
        OUTBOXED,
        (
            swap(
                ROWS,
                "sa.delete(self._outbox).where(self._outbox.c.id == row.id).returning(self._outbox.c.id)",
                "sa.select(self._outbox.c.id).where(self._outbox.c.id == row.id)",
            ),
        ),
    ),
    Mistake(
        "a dead letter can be closed twice",
        "Two operators replay it at once.",
        OUTBOXED,
        (swap(LETTERS, 'if letter.status != "open":', "if False:"),),
    ),
    Mistake(
        "a dead letter is taken without a lock",
        "Two operators replay it at once.",
        OUTBOXED,
        (swap(LETTERS, "query.with_for_update() if lock else query", "query"),),
    ),
    Mistake(
        "an edit overwrites what was given up",
        "Nobody can see any more what came.",
        OUTBOXED,
        (
            swap(
                LETTERS,
                '            "edited_value": content.value,\n',
                '            "value": content.value,\n            "edited_value": content.value,\n',
            ),
        ),
    ),
    Mistake(
        "a replay handles what came, not what was edited",
        "It fails again.",
        OUTBOXED,
        (
            swap(
                LETTERS,
                "self.offset or 0, self.key, self.value, self.headers)",
                "self.offset or 0, self.key, self.original.value, self.headers)",
            ),
        ),
    ),
    Mistake(
        "dead letters are listed newest first",
        "With more than a hundred the oldest are never seen.",
        OUTBOXED,
        (
            swap(
                LETTERS, ".where(*limits).order_by(self.columns.id)", ".where(*limits).order_by(self.columns.id.desc())"
            ),
        ),
    ),
    Mistake(
        "closed dead letters are counted as open",
        "The alarm rings for ever.",
        OUTBOXED,
        (swap(COUNTS, '.where(table.c.status == "open")', ""),),
    ),
    Mistake(
        "a task that was postponed isn't counted as due",
        "The alarm for charges that never come through can't ring.",
        OUTBOXED,
        (swap(COUNTS, "_bounded(again) + _bounded(postponed)", "_bounded(again)"),),
    ),
    Mistake(
        "the age of the oldest task begins with its last postponement",
        "The alarm for charges that never come through can't ring.",
        OUTBOXED,
        (
            Edit(
                COUNTS,
                r"first = sa\.func\.least\(\n( +sa\.select\(sa\.func\.min\(_TASKS\.c\.due_at\)\)[^\n]+\n).*?\n    \)\n",
                r"first = sa.func.least(\n\1    )\n",
            ),
        ),
    ),
    Mistake(
        "overdue orders are those that still have time",
        "The alarm rings when all is well.",
        ORDERS,
        (swap("services/orders/src/orders/storage.py", "orders.c.pay_before < now)", "orders.c.pay_before > now)"),),
    ),
    Mistake(
        "two migrations may run at once",
        "Two processes that start together break the schema.",
        OUTBOXED,
        (
            Edit(
                MIGRATIONS,
                r" +await connection\.execute\(sa\.select\(sa\.func\.pg_advisory_xact_lock\(LOCK_ID\)\)\)\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a migration waits for a table's lock for as long as it takes",
        "Every reader of the table waits behind it.",
        OUTBOXED,
        (Edit(MIGRATIONS, r" +await connection\.execute\(sa\.text\(\"set local lock_timeout = '5s'\"\)\)\n", ""),),
    ),
    Mistake(
        "a process works on a schema that is too old",
        "Every statement fails, and events become dead letters.",
        OUTBOXED,
        (swap(MIGRATIONS, "if revision is None or revision in _outdated(package):", "if revision is None:"),),
    ),
    Mistake(
        "an index of the tables is in no migration",
        "It is fast here, and slow where it is deployed.",
        OUTBOXED,
        (swap(f"{STORAGE}/schema.py", '    "create index inbox_handled_at on inbox (handled_at)",\n', ""),),
        check=tests("services/payments/tests/integration"),
    ),
    Mistake(
        "an index of the tables says something else than its migration",
        "A hot statement reads the whole table where it is deployed.",
        OUTBOXED,
        (
            swap(
                f"{STORAGE}/schema.py",
                "create index outbox_free on outbox (id) where retry_at is null",
                "create index outbox_free on outbox (id)",
            ),
        ),
        check=tests("services/payments/tests/integration"),
    ),
    Mistake(
        "the orders of a user are found by no index",
        "The list of one's orders reads everybody's, and takes longer each day.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/storage.py",
                '    sa.Index("orders_of_user", "user_id", "placed_at", "id"),\n',
                "",
            ),
            swap(
                "services/orders/src/orders/migrations/versions/0001_orders.py",
                '    "create index orders_of_user on orders (user_id, placed_at, id)",\n',
                "",
            ),
        ),
    ),
    Mistake(
        "what is old is looked for by a clock that each row asks",
        "Each minute the pruner reads the whole inbox.",
        OUTBOXED,
        (
            swap(
                RETENTION,
                "(self._clock.offset - retention.keep)).scalar_subquery()",
                "(self._clock.offset - retention.keep))",
            ),
            swap(
                RETENTION, "limit = sa.select(sa.func.clock_timestamp() + (", "limit = (sa.func.clock_timestamp() + ("
            ),
        ),
    ),
    Mistake(
        "a payment may be there twice for an order",
        "Nothing stops a second charge any more.",
        PAYMENTS,
        (swap("services/payments/src/payments/storage.py", "nullable=False, unique=True)", "nullable=False)"),),
    ),
    Mistake(
        "a time is stored without its zone",
        "A deadline is off by hours where the server's zone isn't UTC.",
        PAYMENTS,
        (swap("services/payments/src/payments/storage.py", "sa.DateTime(timezone=True)", "sa.DateTime()"),),
    ),
    Mistake(
        "the time of an e-mail is not stored",
        "Nobody can say when a customer was told.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/storage.py",
                '"sent_at": notification.sent_at.isoformat() if notification.sent_at else None',
                '"sent_at": None',
            ),
        ),
    ),
    Mistake(
        "a pruner waits for rows that another one deletes",
        "Of two workers one fails each minute.",
        OUTBOXED,
        (swap(RETENTION, ".with_for_update(skip_locked=True)", ".with_for_update()"),),
    ),
    Mistake(
        "an event's id with a NUL reaches the database",
        "Whoever asks what became of it gets a 500.",
        OUTBOXED,
        (swap(f"{OUTBOXED_SOURCES}/web/_operators.py", "[_text(one) for one in event_id]", "event_id"),),
    ),
    Mistake(
        "the tasks of a key are shown in any order",
        "The e-mail that holds up the others is somewhere among them.",
        OUTBOXED,
        (swap(f"{STORAGE}/_of_key.py", "sa.select(ids.c.id))).order_by(table.c.id))", "sa.select(ids.c.id))))"),),
    ),
    Mistake(
        "the events of a key that wait are shown in any order",
        "The one that holds up the others is somewhere among them.",
        OUTBOXED,
        (
            swap(
                f"{STORAGE}/_of_key.py", "where(table.c.key == key).order_by(table.c.id))", "where(table.c.key == key))"
            ),
        ),
    ),
    Mistake(
        "the letters about a key are shown in any order",
        "An operator replays the second before the first.",
        OUTBOXED,
        (swap(LETTERS, "where(sa.or_(*named_in)).order_by(self.columns.id)", "where(sa.or_(*named_in))"),),
    ),
    Mistake(
        "a dead letter is known by its position and value, whatever its headers",
        "Of two events that differ in their type one is dropped without a word.",
        OUTBOXED,
        (swap(f"{STORAGE}/schema.py", " || sha256(headers))", ")"),),
    ),
    Mistake(
        "who places an order locks their account",
        "Two orders of a customer wait for each other, and for whoever makes them a member.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/handlers.py",
                "await uow.users.find(command.user_id)",
                "await uow.users.get(command.user_id)",
            ),
        ),
    ),
    Mistake(
        "an error of the database shows what it was given",
        "Customers' addresses are in the log.",
        OUTBOXED,
        (swap(f"{STORAGE}/_database.py", "hide_parameters=True", "hide_parameters=False"),),
    ),
    Mistake(
        "the client gives a statement up before the server does",
        "It goes on there with its locks, and its connection is thrown away.",
        OUTBOXED,
        (swap(f"{STORAGE}/_database.py", "COMMAND_SECONDS = 20.0", "COMMAND_SECONDS = 10.0"),),
    ),
    Mistake(
        "a session has the zone of its server",
        "What a query computes of a day is another day on another server.",
        OUTBOXED,
        (Edit(f"{STORAGE}/_database.py", r'^ *"timezone": "UTC",\n', ""),),
    ),
    Mistake(
        "a database that went away without a word is noticed after two hours",
        "For so long its connections wait, and hold what they hold.",
        OUTBOXED,
        (Edit(f"{STORAGE}/_database.py", r'^ *"tcp_\w+": "\w+",\n', ""),),
    ),
    Mistake(
        "what is known of a key has no limit",
        "An operator's page of a key that has a million rows ends the process.",
        OUTBOXED,
        (swap(f"{STORAGE}/_of_key.py", "query.limit(MOST_ROWS)", "query"),),
    ),
    Mistake(
        "the letters about a key have no limit",
        "An operator's page of a key that has a million letters ends the process.",
        OUTBOXED,
        (Edit(LETTERS, r"(sa\.or_\(\*named_in\)\)\.order_by\(self\.columns\.id\))\.limit\(limit\)", r"\1"),),
    ),
    Mistake(
        "the database's time is carried on by a clock that people set",
        "Somebody sets the clock, and for a second orders are older than they are.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/storage/_clock.py",
                "clock: Callable[[], float] = elapsed",
                "clock: Callable[[], float] = time.time",
            ),
        ),
    ),
    Mistake(
        "a task that is replayed forgets its trace",
        "Whoever looks for an order's story doesn't see how it ended.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/consuming/_dead_letters.py", 'letter.header("traceparent"),', "None,"),),
    ),
    Mistake(
        "a task that a project replays forgets its trace",
        "Whoever looks for an order's story doesn't see how it ended.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/joining/_dead_letters.py", 'letter.header("traceparent"))]', "None)]"),),
    ),
    Mistake(
        "an edited letter is found by the key that it had",
        "An operator who looks for the order sees nothing to replay.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/storage/_letters.py",
                "raw = sa.case((self.columns.edited_at.is_(None), self.columns.key), else_=self.columns.edited_key)",
                "raw = self.columns.key",
            ),
        ),
    ),
    Mistake(
        "an edited letter is found by the type that it had",
        "An operator who looks for the type sees nothing to replay.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/storage/_letters.py",
                "self.columns.headers), else_=self.columns.edited_headers)",
                "self.columns.headers), else_=self.columns.headers)",
            ),
        ),
    ),
    Mistake(
        "an edited row of the outbox goes back with its old value",
        "Kafka refuses it again, and the later events of its key wait on.",
        OUTBOXED,
        (swap(LETTERS, '**row, "value": letter.value,', '**row, "value": letter.original.value,'),),
    ),
    Mistake(
        "the headers that an operator takes away over HTTP stay",
        "What made the record unreadable is there again at its replay.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/web/_dead_letters.py",
                "            removed_headers=self.removed_headers,\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a project's synchronous publish forgets the key",
        "Events of one customer go to several partitions, and pass each other.",
        OUTBOXED,
        (
            Edit(
                "libs/outboxed/src/outboxed/joining/_outbox.py",
                r"key=key, headers=headers\)\n(        self\._committed)",
                r"key=None, headers=headers)\n\1",
            ),
        ),
    ),
    Mistake(
        "a project's synchronous publish forgets the event's id",
        "A copy that the project sends is handled again.",
        OUTBOXED,
        (
            Edit(
                "libs/outboxed/src/outboxed/joining/_outbox.py",
                r"id or (new_event_id\(\)\)\n        values = [^\n]*\n        self\._committed\.)",
                r"\1",
            ),
        ),
    ),
    Mistake(
        "an event's id begins with random bits",
        "Each row of an inbox goes to another page of its index.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/messages/_ids.py",
                "milliseconds = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF",
                "milliseconds = secrets.randbits(48)",
            ),
            swap("libs/outboxed/src/outboxed/messages/_ids.py", "import time\n", ""),
        ),
    ),
    Mistake(
        "a savepoint's end tells the relay, and the commit doesn't",
        "Each event that was published in a savepoint waits until the relay looks by itself.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/joining/_running.py",
                "if transaction.parent is None and session.info",
                "if session.info",
            ),
        ),
    ),
    Mistake(
        "a row that was set aside holds up its key in every topic",
        "Of a customer whose order Kafka refused the payments wait, too.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/relay/_rows.py", "            letters.c.topic == row.c.topic,\n", ""),),
    ),
    Mistake(
        "a held row holds up its key in every topic",
        "Of a customer whose order Kafka refused the payments wait, too.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/relay/_rows.py",
                "same_key = held.c.topic == row.c.topic, held.c.key",
                "same_key = held.c.key",
            ),
        ),
    ),
    Mistake(
        "a dead letter of an event that was read holds up what is sent",
        "A bad event of a customer keeps all of that customer's events in the outbox.",
        OUTBOXED,
        (Edit("libs/outboxed/src/outboxed/relay/_rows.py", r"^ *letters\.c\.source == [^\n]*\n", ""),),
    ),
    Mistake(
        "what a failed commit would have written is counted as committed",
        "Events that never were stand in the metrics as published, and the alarm for unsent ones rings.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/storage/_unit_of_work.py",
                "                self._tell(uow)\n"
                "            if self.committed is not None:\n"
                "                self.committed(uow)\n",
                "                self._tell(uow)\n"
                "                if self.committed is not None:\n"
                "                    self.committed(uow)\n",
            ),
        ),
    ),
    Mistake(
        "a page of payments is read in a transaction that waits for the gateway",
        "`reconcile` holds a connection while it asks a slow gateway a hundred times; the server "
        "ends the idle transaction, and it fails on large shops.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/reconciliation.py",
                "            page = await uow.payments.page(after=after, limit=PAGE)\n"
                "        if page:\n"
                "            yield page\n",
                "            page = await uow.payments.page(after=after, limit=PAGE)\n"
                "            if page:\n"
                "                yield page\n",
            ),
        ),
    ),
    Mistake(
        "a migrated database takes no letter of a row that Kafka refused",
        "The first such row ends every pass of the relay, and nothing is sent any more.",
        OUTBOXED,
        (
            swap(
                f"{STORAGE}/schema.py",
                "check (source in ('event', 'task', 'outbox'))",
                "check (source in ('event', 'task'))",
            ),
        ),
    ),
    Mistake(
        "a migrated database has one letter of a key for all time",
        "A key that is refused a second time after its first letter was closed ends every pass of the relay.",
        OUTBOXED,
        (
            swap(
                f"{STORAGE}/schema.py",
                "        where source = 'outbox' and status = 'open'\n",
                "        where source = 'outbox'\n",
            ),
        ),
    ),
    Mistake(
        "a migration waits for another one as long as a request would",
        "Of two processes that are deployed together the second fails while the first still migrates.",
        OUTBOXED,
        (swap(MIGRATIONS, "        await connection.execute(sa.text(\"set local lock_timeout = '60s'\"))\n", ""),),
    ),
    Mistake(
        "everybody waits for a connection as long as SQLAlchemy likes",
        "Requests hang for 30 s, and what is recorded outlasts its lease, so that a call is made twice.",
        OUTBOXED,
        (swap(f"{STORAGE}/_database.py", "        pool_timeout=pool_seconds,\n", ""),),
    ),
    Mistake(
        "a client has no limit of its own for a statement",
        "A frozen server keeps none of its limits: the whole pool hangs for as long as it does.",
        OUTBOXED,
        (swap(f"{STORAGE}/_database.py", '            "command_timeout": command_timeout,\n', ""),),
    ),
    Mistake(
        "a letter's reason is written as it came",
        "An error whose text has a NUL can't become a letter: its batch comes again for ever.",
        OUTBOXED,
        (swap(LETTERS, '        "reason": storable(letter.reason),', '        "reason": letter.reason,'),),
    ),
    Mistake(
        "the reason of a task that was given up is written as it came",
        "With a NUL in it the task is tried for ever.",
        OUTBOXED,
        (
            swap(
                f"{OUTBOXED_SOURCES}/tasks/_queue.py", '        "reason": storable(error),', '        "reason": error,'
            ),
        ),
    ),
    Mistake(
        "who is second in a race has made an error that is theirs",
        "A customer is told 500, and a batch that met one is split and told as refused.",
        OUTBOXED,
        (swap(REPOSITORY, "class ConcurrentInsertError(TransientError):", "class ConcurrentInsertError(Exception):"),),
    ),
    Mistake(
        "a single statement has no transaction behind a pooler either",
        "It has no time-out there: one lock that is never given back holds the pool.",
        OUTBOXED,
        (swap(STATEMENTS, "return engine if pooled else engine.execution", "return engine.execution"),),
    ),
    Mistake(
        "the second look at an aggregate shows it as it was locked",
        "Of two events of one order in a batch the second undoes the first.",
        OUTBOXED,
        (swap(REPOSITORY, "return self._changed.get(key) or self._locked[key]", "return self._locked[key]"),),
    ),
)
