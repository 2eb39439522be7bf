"""Mistakes in how a process is put together, goes through an outage, and ends."""

from tools.mistakes.levels import tests
from tools.mistakes.mistake import ORDERS, OUTBOXED, PAYMENTS, Mistake, swap
from tools.scratch import Edit

SOURCES = "libs/outboxed/src/outboxed"
COMPOSITION, SERVICE = f"{SOURCES}/process/_composition.py", f"{SOURCES}/process/_service.py"
KAFKA, RELAY, WORKER = f"{SOURCES}/consuming/_kafka.py", f"{SOURCES}/relay/_relay.py", f"{SOURCES}/tasks/_worker.py"
UVICORN = f"{SOURCES}/_compat/uvicorn.py"
RETENTION = f"{SOURCES}/storage/_retention.py"
COMPOSITIONS = tests("tests/unit/test_compositions.py")

MISTAKES = (
    # --- parts ---
    Mistake(
        "a process with the role relay has no relay",
        "No event is sent where each role has a process of its own.",
        OUTBOXED,
        (swap(SERVICE, 'if role in {"all", "relay"}:', 'if role == "all":'),),
    ),
    Mistake(
        "a process with the role api can't tell the others of its work",
        "A new order waits for the relay's next look.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "        if self.announcements is not None:\n",
                '        if self.announcements is not None and role != "api":\n',
            ),
        ),
    ),
    Mistake(
        "a server that is told to end sees so at its next look only",
        "Each deployment waits up to a second longer, with the old process answering.",
        OUTBOXED,
        (swap(UVICORN, "        self._told.set()\n", ""),),
    ),
    Mistake(
        "the date of the answers is that of the process's start",
        "Caches and people who compare clocks are led astray.",
        OUTBOXED,
        (swap(UVICORN, "TICK_WITH_THE_DATE = 10\n", "TICK_WITH_THE_DATE = 1\n"),),
    ),
    Mistake(
        "a worker has no more time to end than any other part",
        "Each deployment cuts charges off, and makes them once more.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "self._when_database_is_ready(self.worker.run), grace=self.worker.grace)",
                "self._when_database_is_ready(self.worker.run))",
            ),
        ),
    ),
    Mistake(
        "a service's own tables are not given to the pruner",
        "Idempotency keys are kept for ever.",
        OUTBOXED,
        (swap(SERVICE, "self.transactions.clock, self.retentions)", "self.transactions.clock)"),),
    ),
    Mistake(
        "a service's own tables are not passed on",
        "Idempotency keys are kept for ever.",
        OUTBOXED,
        (swap(COMPOSITION, "        retentions=retentions,\n", ""),),
    ),
    Mistake(
        "orders doesn't say which of its tables are pruned",
        "Idempotency keys are kept for ever.",
        ORDERS,
        (swap("services/orders/src/orders/app.py", "        retentions=RETENTIONS,\n", ""),),
        check=COMPOSITIONS,
    ),
    # --- the end ---
    Mistake(
        "the gateway's client isn't closed with its service",
        "Calls that still run are cut off without a word.",
        PAYMENTS,
        (swap("services/payments/src/payments/app.py", "        closed=client.aclose,\n", ""),),
        check=COMPOSITIONS,
    ),
    Mistake(
        "the connections of the API stay open at the end",
        "The server keeps them until it finds out.",
        OUTBOXED,
        (swap(SERVICE, "                group.start_soon(self.api_transactions.engine.dispose)\n", ""),),
    ),
    # --- outages ---
    Mistake(
        "an outage while rows are pruned ends the process",
        "A restart of the database restarts each worker.",
        OUTBOXED,
        (swap(RETENTION, "if not is_transient(error):", "if error:"),),
    ),
    Mistake(
        "a pruner prunes once",
        "The inbox grows until the next deployment.",
        OUTBOXED,
        (
            swap(
                RETENTION,
                "            async with at_most(EVERY_SECONDS):\n                await stop.wait()\n",
                "            await stop.wait()\n",
            ),
        ),
    ),
    Mistake(
        "a relay that failed tries again at once",
        "During an outage it takes a whole processor.",
        OUTBOXED,
        (swap(RELAY, "                        await asyncio.sleep(OUTAGE_SECONDS)\n", ""),),
    ),
    Mistake(
        "a worker that can't claim tries again at once",
        "A database that comes back is met by all of them.",
        OUTBOXED,
        (
            swap(
                WORKER,
                "            await asyncio.sleep(OUTAGE_SECONDS)\n            return []\n",
                "            return []\n",
            ),
        ),
    ),
    Mistake(
        "a consumer that failed tries the same batch again at once",
        "A database that comes back is met by all of them.",
        OUTBOXED,
        (swap(KAFKA, "        await asyncio.sleep(seconds)\n", "        del seconds\n"),),
    ),
    Mistake(
        "a consumer that can't start asks Kafka again at once",
        "During an outage it takes a whole processor.",
        OUTBOXED,
        (
            swap(
                KAFKA,
                "                with anyio.move_on_after(backoff(attempt, first=START_BACKOFF, cap=MAX_BACKOFF)):\n"
                "                    await stop.wait()\n",
                "                await anyio.sleep(0)\n",
            ),
        ),
    ),
    Mistake(
        "a process that waits for its database asks again at once",
        "A database that comes back is met by all of them.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "            with anyio.move_on_after(backoff(attempt, first=FIRST_BACKOFF, cap=MAX_BACKOFF)):\n"
                "                await stop.wait()\n",
                "            await anyio.sleep(0 * attempt)\n",
            ),
        ),
    ),
    Mistake(
        "a process tells at each attempt that its database is away",
        "An outage of an hour is thousands of lines, and what else happened is lost among them.",
        OUTBOXED,
        (swap(SERVICE, "            if problem != said:\n", "            if problem:\n"),),
    ),
    Mistake(
        "each role of a process waits for the database by itself",
        "The database is asked once more for each role, and its outage is told as often.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "            async with self._waiting:  # one role checks and logs for all\n"
                "                await self._wait_for_database(stop)\n",
                "            await self._wait_for_database(stop)\n",
            ),
        ),
    ),
    # --- migrations ---
    Mistake(
        "a migration has as long as any statement",
        "The one that rewrites a large table never ends.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/storage/_migrations.py",
                "set local statement_timeout",
                "set local application_name",
            ),
        ),
    ),
    Mistake(
        "whoever migrates gives up as soon as anybody",
        "The one that rewrites a large table never ends.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "application_name=self.name, command_timeout=MIGRATION_SECONDS\n",
                "application_name=self.name\n",
            ),
        ),
    ),
    # --- the command ---
    Mistake(
        "a process whose role died ends as if nothing was wrong",
        "Nobody starts it again.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_cli.py",
                'raise typer.Exit(self.execute(lambda service: service.run(role), log_level=""))',
                'self.execute(lambda service: service.run(role), log_level="")',
            ),
        ),
    ),
    Mistake(
        "a command leaves its service open when it fails",
        "The server keeps its connections until it finds out.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_cli.py",
                "            try:\n                return await use(service)\n"
                "            finally:\n                await service.close()\n",
                "            done = await use(service)\n            await service.close()\n            return done\n",
            ),
        ),
    ),
    # --- health ---
    Mistake(
        "health knows nothing of the consumer",
        "A consumer that stands still is never started again.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "            health.progress, health.lag = self.consumer.progress, lambda: consumer_role.lag\n",
                "            health.lag = lambda: consumer_role.lag\n",
            ),
        ),
    ),
    Mistake(
        "the consumer keeps to itself that Kafka is away",
        "The process is ready, and handles nothing.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "ConsumerRole(self.broker, self.subscriber, self.consumer, self.kafka_contact)",
                "ConsumerRole(self.broker, self.subscriber, self.consumer)",
            ),
        ),
    ),
    Mistake(
        "the relay keeps to itself that Kafka is away",
        "The process is ready, and sends nothing.",
        OUTBOXED,
        (
            swap(
                COMPOSITION,
                "transactions.events_appended, contact, metrics=metrics)",
                "transactions.events_appended, metrics=metrics)",
            ),
        ),
    ),
    Mistake(
        "the operators' calls wait for the connections of the roles",
        "While a backlog is worked off nobody can look at it.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "letters = DeadLetterQueue(self.api_transactions,",
                "letters = DeadLetterQueue(self.transactions,",
            ),
            swap(
                SERVICE,
                "operators_router(letters, self.api_transactions.engine,",
                "operators_router(letters, self.transactions.engine,",
            ),
        ),
        check=tests("services/notifications/tests/integration/test_pools.py"),
    ),
    Mistake(
        "a check of health waits longer than docker does",
        "Nobody reads what is wrong.",
        OUTBOXED,
        (swap(f"{SOURCES}/healthcheck.py", "TIMEOUT_SECONDS = 3.0", "TIMEOUT_SECONDS = 30.0"),),
    ),
    Mistake(
        "a check of health waits for a process that hangs",
        "The check hangs with it: who asked learns nothing.",
        OUTBOXED,
        (swap(f"{SOURCES}/healthcheck.py", "parts.port, timeout=TIMEOUT_SECONDS)", "parts.port)"),),
    ),
    Mistake(
        "the relay of a project takes Ctrl-C for a crash",
        "The batch that it sends is cut off, and comes again; the developer reads a traceback.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/__main__.py",
                "    for number in (signal.SIGTERM, signal.SIGINT):\n",
                "    for number in (signal.SIGTERM,):\n",
            ),
        ),
    ),
    Mistake(
        "a process takes fifty connections for each of its pools",
        "The second one of a service is refused by PostgreSQL.",
        OUTBOXED,
        (swap(f"{SOURCES}/storage/_pools.py", "\nPOOL_SIZE = 5\n", "\nPOOL_SIZE = 50\n"),),
    ),
    Mistake(
        "a role that goes on when it is cancelled keeps its process",
        "A deployment waits until somebody kills it.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_roles.py",
                "asyncio.get_running_loop().call_later(longest + BACKSTOP_SECONDS, os._exit, 1)",
                "None",
            ),
        ),
    ),
    Mistake(
        "whoever listens for work waits for a silent database",
        "It hears nothing any more, and believes that there is nothing to do.",
        OUTBOXED,
        (swap(f"{SOURCES}/process/_announcements.py", ", command_timeout=STATEMENT_SECONDS", ""),),
    ),
    Mistake(
        "a process that was killed is told of work for ever",
        "Whoever is left asks the database to tell nobody, twenty times a second.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_announcements.py",
                "if any(at > gone for at in self._heard.values()):",
                "if self._heard:",
            ),
        ),
    ),
    Mistake(
        "each answer waits for the acknowledgement of the one before",
        "Every second call on a connection takes 40 ms longer.",
        OUTBOXED,
        (Edit(f"{SOURCES}/process/_roles.py", r"(SOCK_STREAM), socket\.IPPROTO_TCP", r"\1"),),
    ),
    Mistake(
        "what is old is deleted once a day",
        "A day's rows go at once, while everybody works.",
        OUTBOXED,
        (
            Edit(
                f"{SOURCES}/storage/_retention.py",
                r"^EVERY_SECONDS = 60\.0",
                "EVERY_SECONDS = 86_400.0",
            ),
        ),
    ),
    Mistake(
        "the doctor ends well whatever it finds",
        "A deploy that asks it goes on without a database.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_cli.py",
                "raise typer.Exit(1 if failed else 0)",
                "raise typer.Exit(0)",
            ),
        ),
    ),
    Mistake(
        "a process says once that it is here",
        "After two minutes the others tell it of nothing, and each event waits for seconds.",
        OUTBOXED,
        (
            Edit(
                f"{SOURCES}/process/_announcements.py",
                r"( *)self\._to_say\.add\(HERE\)\n( *if time)",
                r"\1pass\n\2",
            ),
        ),
    ),
    Mistake(
        "an engine that was made for a URL keeps its connections",
        "Each cron job that does a project's tasks leaves one, until PostgreSQL has none left.",
        OUTBOXED,
        (swap(f"{SOURCES}/joining/_running.py", "        await made.dispose()", "        pass"),),
    ),
    Mistake(
        "a time-out within a time is passed over",
        "What has not answered looks like what has ended.",
        OUTBOXED,
        (
            Edit(
                f"{SOURCES}/_stopping.py",
                r"        if not scope\.expired\(\):\n            raise",
                r"        pass",
            ),
        ),
    ),
    Mistake(
        "the time for a request's body goes on after its end",
        "Whoever waits for an answer for half a minute gets 408 in its place, though nothing was wrong.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_compat/uvicorn.py",
                "        self._receives_body = False\n        self._head_bytes = 0\n        self._stop_timer()\n",
                "        self._receives_body = False\n        self._head_bytes = 0\n",
            ),
        ),
    ),
    Mistake(
        "a connection waits since it was made, not since its last answer",
        "At the limit the busiest clients' kept connections are cut, in the moment before their next request.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_compat/uvicorn.py",
                '        self.waiting_since = self.loop.time()\n        self._await(self.limits.head, "headers")',
                '        self._await(self.limits.head, "headers")',
            ),
            swap(
                f"{SOURCES}/_compat/uvicorn.py",
                "        super().connection_made(transport)\n",
                "        super().connection_made(transport)\n        self.waiting_since = self.loop.time()\n",
            ),
        ),
    ),
    Mistake(
        "a slow reader's connection is ended although the answer was read",
        "Half a minute after a large answer the client's next request is cut off in its middle.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_compat/uvicorn.py",
                "    def _end_unread(self) -> None:\n"
                "        if self.transport.get_write_buffer_size():\n"
                "            self.transport.abort()\n",
                "    def _end_unread(self) -> None:\n        self.transport.abort()\n",
            ),
        ),
    ),
    Mistake(
        "a process can't listen where its predecessor has just listened",
        "After a crash or a quick restart it ends with `address in use` for a minute.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_roles.py",
                "    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n",
                "",
            ),
        ),
    ),
    Mistake(
        "an address of IPv6 is bound by a socket of IPv4",
        "A service with HTTP_HOST=:: doesn't start any more, and is told that the address is wrong.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_roles.py",
                'family = socket.AF_INET6 if ":" in host else socket.AF_INET',
                "family = socket.AF_INET",
            ),
        ),
    ),
    Mistake(
        "a process keeps the memory of its large batches",
        "It grows for hours, and is killed at its container's limit.",
        OUTBOXED,
        (swap(f"{SOURCES}/process/_service.py", "        give_large_blocks_back()\n", ""),),
    ),
    Mistake(
        "a service's command keeps libpq's variables",
        "With PGSSLCERT in a developer's or a host's environment it shows another certificate than its settings say.",
        OUTBOXED,
        (swap(f"{SOURCES}/process/_cli.py", "        forget_libpq_variables()\n", ""),),
    ),
    Mistake(
        "a process waits for its pools to close, however long",
        "With a frozen database none ends by itself, and each is killed at the end of its grace.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "        with anyio.move_on_after(CLOSE_SECONDS):\n"
                "            async with anyio.create_task_group() as group:\n"
                "                group.start_soon(self.transactions.engine.dispose)\n"
                "                group.start_soon(self.api_transactions.engine.dispose)\n",
                "        async with anyio.create_task_group() as group:\n"
                "            group.start_soon(self.transactions.engine.dispose)\n"
                "            group.start_soon(self.api_transactions.engine.dispose)\n",
            ),
        ),
    ),
    Mistake(
        "the connection of the announcements is closed only where nobody cancels",
        "It stays at the server, and the end of the process waits for a frozen one.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_announcements.py",
                "            with anyio.move_on_after(1, shield=True):\n"
                "                await connection.close(timeout=0.5)\n",
                "            await connection.close()\n",
            ),
        ),
    ),
    Mistake(
        "each role has the usual grace, whatever its own is",
        "A worker's call to the gateway is cut at each deployment.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_roles.py",
                "scope.deadline = anyio.current_time() + role.grace",
                "scope.deadline = anyio.current_time() + Role.grace",
            ),
        ),
    ),
)
