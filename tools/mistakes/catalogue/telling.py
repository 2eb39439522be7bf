"""Mistakes in what a process tells: metrics that nobody feeds, lines that nobody finds, secrets that all can read."""

from tools.mistakes.levels import tests
from tools.mistakes.mistake import NOTIFICATIONS, ORDERS, OUTBOXED, PAYMENTS, SHOP, Mistake, swap
from tools.scratch import Edit

SOURCES = "libs/outboxed/src/outboxed"
COMPOSITION, SERVICE = f"{SOURCES}/process/_composition.py", f"{SOURCES}/process/_service.py"
METRICS = f"{SOURCES}/process/_metrics.py"
API, ORDERS_APP = "services/orders/src/orders/api.py", "services/orders/src/orders/app.py"
COMPOSITIONS = tests("tests/unit/test_compositions.py")
CANVAS = tests("tests/unit/test_canvas.py")
SECRETS = tests("tests/unit/test_secrets.py")

MISTAKES = (
    # --- metrics ---
    Mistake(
        "the age of the oldest event is that of before the outage",
        "A dashboard shows a calm outbox while nobody can look.",
        OUTBOXED,
        (
            swap(
                METRICS,
                "            self._outbox_oldest,\n            self._inbox_rows,",
                "            self._inbox_rows,",
            ),
        ),
    ),
    Mistake(
        "a service's own figure is that of before the outage",
        "Overdue orders seem to be none while nobody can count them.",
        OUTBOXED,
        (swap(METRICS, "            *(gauge for gauge, _ in self._queries),\n", ""),),
    ),
    Mistake(
        "the age of the oldest task is that of before the outage",
        "An alarm goes on ringing, or never rings.",
        OUTBOXED,
        (
            swap(
                METRICS,
                "for gauge in (self._tasks_due, self._tasks_oldest) for kind",
                "for gauge in (self._tasks_due,) for kind",
            ),
        ),
    ),
    Mistake(
        "the lag of the consumer is told by nobody",
        "It is 0 for ever, and no alarm rings.",
        OUTBOXED,
        (swap(SERVICE, "            self.metrics.observe_lag(health.lag)\n", ""),),
    ),
    Mistake(
        "requests are counted by nobody",
        "No alarm tells of a service that answers each request with an error.",
        OUTBOXED,
        (
            swap(
                SERVICE,
                "token_verifier=self.token_verifier, metrics=self.metrics\n",
                "token_verifier=self.token_verifier\n",
            ),
        ),
    ),
    Mistake(
        "attempts at tasks are counted by nobody",
        "The dashboards of tasks are empty.",
        OUTBOXED,
        (
            swap(
                COMPOSITION,
                "            transactions.tasks_scheduled,\n            metrics,\n",
                "            transactions.tasks_scheduled,\n",
            ),
        ),
    ),
    Mistake(
        "what the relay sends is counted by nobody",
        "The dashboards of the relay are empty.",
        OUTBOXED,
        (
            swap(
                COMPOSITION,
                "transactions.events_appended, contact, metrics=metrics)",
                "transactions.events_appended, contact)",
            ),
        ),
    ),
    Mistake(
        "nobody hears of commits",
        "The share of declined payments is unknown, and its alarm can't ring.",
        OUTBOXED,
        (swap(COMPOSITION, "    transactions = replace(transactions, committed=metrics.committed)\n", ""),),
    ),
    Mistake(
        "a service's own figures are not passed on",
        "The alarm for overdue orders can't ring.",
        OUTBOXED,
        (Edit(COMPOSITION, r"    for figure in figures:\n        metrics\.observe\(figure\)\n", ""),),
    ),
    Mistake(
        "orders tells no figure of overdue orders",
        "Their alarm can't ring.",
        ORDERS,
        (swap(ORDERS_APP, "        figures=[OVERDUE],\n", ""),),
        check=CANVAS,
    ),
    Mistake(
        "orders tells nobody how long orders take",
        "The panel of the shop's most important figure is empty.",
        ORDERS,
        (swap(ORDERS_APP, "        timings=[SETTLING],\n", ""),),
        check=CANVAS,
    ),
    # --- log lines ---
    Mistake(
        "a request's lines have the fields of the request before",
        "Whoever looks for an order finds what became of another one.",
        OUTBOXED,
        (swap(f"{SOURCES}/web/_http.py", "        structlog.contextvars.clear_contextvars()\n", ""),),
    ),
    Mistake(
        "an error inside a request is logged without its traceback",
        "Of a 500 that customers see nobody learns where it comes from.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/web/_http.py",
                'log.error("internal_error", exc_info=error)',
                'log.error("internal_error", error=repr(error))',
            ),
        ),
    ),
    Mistake(
        "libraries that were silenced while a consumer started stay silent",
        "Nobody hears of what Kafka's client complains about.",
        OUTBOXED,
        (swap(f"{SOURCES}/consuming/_kafka.py", "logging.getLogger(name).setLevel(_levels[name].pop())", "del name"),),
    ),
    Mistake(
        "a span goes on after its block",
        "What the process does next is told as a part of an event that is long handled.",
        OUTBOXED,
        (swap(f"{SOURCES}/telemetry.py", "            contexts.detach(self._token)\n", ""),),
    ),
    Mistake(
        "a consumer that starts puts logging back while another one still starts",
        "Each puts back what it found: an outage is told many times over.",
        OUTBOXED,
        (swap(f"{SOURCES}/consuming/_kafka.py", "_levels[name].pop()", "_levels[name].pop(0)"),),
    ),
    Mistake(
        "the line of a new order's request doesn't name it",
        "`make logs ORDER=...` begins with the order's event.",
        ORDERS,
        (Edit(API, r"    add_log_fields\(order_id=answer[^\n]*\n", ""),),
    ),
    Mistake(
        "the line of a request about an order doesn't name it",
        "A customer's call can't be found.",
        ORDERS,
        (swap(API, '    add_log_fields(**{f"{what}_id": str(found)})\n', ""),),
    ),
    Mistake(
        "the lines of a charge don't name its order",
        "Whoever looks for an order finds no charge.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/tasks.py",
                'limit, concurrency=16, log_as="order_id")',
                "limit, concurrency=16)",
            ),
        ),
        check=COMPOSITIONS,
    ),
    Mistake(
        "an address is in the line of each registration",
        "Logs are kept longer than accounts, and more people read them.",
        ORDERS,
        (
            swap(
                API,
                '    await needs.rate_limiter.check("register_user", _address(request))\n',
                '    await needs.rate_limiter.check("register_user", _address(request))\n'
                "    add_log_fields(email=body.email)\n",
            ),
        ),
    ),
    Mistake(
        "the second outage of Kafka is told by no relay",
        "The log has one outage, last week's.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/relay/_relay.py",
                '                    if sent:\n                        said = ""\n',
                "                    if sent:\n",
            ),
        ),
    ),
    Mistake(
        "the second outage is told by no consumer, and waits as long as the first one did",
        "The log has one outage, last week's.",
        OUTBOXED,
        (swap(f"{SOURCES}/consuming/_kafka.py", "            failures.reset()\n", "            pass\n"),),
    ),
    # --- secrets ---
    Mistake(
        "Kafka's settings show their password",
        "It is in the first error message that prints them.",
        OUTBOXED,
        (swap(f"{SOURCES}/settings/_kafka.py", 'field(default="", repr=False)', 'field(default="")'),),
        check=SECRETS,
    ),
    Mistake(
        "a mail server shows its password",
        "It is in the first error message that prints it.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/smtp.py",
                "password: str = field(repr=False)",
                "password: str = field()",
            ),
        ),
        check=SECRETS,
    ),
    Mistake(
        "a service's settings show Kafka's password",
        "It is in the first log line that has them.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/settings/_process.py",
                'kafka_sasl_password: SecretStr = SecretStr("")',
                'kafka_sasl_password: str = ""',
            ),
            swap(
                f"{SOURCES}/settings/_process.py",
                "self.kafka_sasl_password.get_secret_value()",
                "self.kafka_sasl_password",
            ),
        ),
        check=SECRETS,
    ),
    Mistake(
        "the settings of orders show the operator's password",
        "It is in the first log line that has them.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/settings.py",
                'operator_password: SecretStr = SecretStr("")',
                'operator_password: str = ""',
            ),
            swap("services/orders/src/orders/__main__.py", "operator_password.get_secret_value()", "operator_password"),
        ),
    ),
    Mistake(
        "attempts at tasks are told in milliseconds",
        "Each one seems to take a quarter of an hour.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/tasks/_worker.py",
                "spent = time.monotonic() - now",
                "spent = 1000 * (time.monotonic() - now)",
            ),
        ),
    ),
    Mistake(
        "the HTTP client writes a line for each of its requests",
        "The log is twice as long, with customers' orders in its URLs.",
        OUTBOXED,
        (swap(f"{SOURCES}/process/_logs.py", '"faststream", "httpx", "uvicorn"', '"faststream", "uvicorn"'),),
    ),
    Mistake(
        "an e-mail whose outcome is unknown is told with its address",
        "Logs are kept longer than accounts, and more people read them.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/smtp.py",
                "message_id=mail.message_id)",
                "message_id=mail.message_id, recipient=mail.recipient)",
            ),
        ),
        check=SECRETS,
    ),
    Mistake(
        "the page of metrics has one that no process exposes",
        "Whoever makes an alarm of it waits for it for ever.",
        SHOP,
        (swap("docs/reference/health-and-metrics.md", "`consumer_lag`", "`consumer_lags`"),),
    ),
    Mistake(
        "the line of a request has its query",
        "Whatever a caller puts there is in the log.",
        OUTBOXED,
        (Edit(f"{SOURCES}/web/_http.py", r"( status=answered)", r' query=str(scope["query_string"]),\1'),),
    ),
    Mistake(
        "the e-mail about a refund says what that of a cancellation does",
        "A customer is told twice that the order is cancelled, and never that the money comes back.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/mailer.py",
                "We returned what you paid for your order {order_id}.",
                "Your order {order_id} is cancelled.",
            ),
        ),
    ),
    Mistake(
        "a kind of tasks of another release keeps its figure while the database is away",
        "The page shows an hour-old figure as fresh.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_metrics.py",
                "        self._clear_tasks()  # also of kinds that another release has\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a task of a project has no trace",
        "Whoever looks for an order's story doesn't see its calls.",
        OUTBOXED,
        (swap(f"{SOURCES}/joining/_tasks.py", "[(task, current_traceparent())]", "[(task, None)]"),),
    ),
    Mistake(
        "an event of a project has no trace",
        "An order's story ends where its first event begins.",
        OUTBOXED,
        (swap(f"{SOURCES}/joining/_outbox.py", "            traceparent=current_traceparent(),\n", ""),),
    ),
    Mistake(
        "a row of the outbox is set aside without a word",
        "Nobody knows which event of whom Kafka never got.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/relay/_outcomes.py",
                '            log.error("outbox_row_set_aside", **_named(row), dead_letter=letter, reason=reason)\n',
                "            pass\n",
            ),
        ),
    ),
    Mistake(
        "Retry-After is told in milliseconds",
        "Clients that heed it stay away for half an hour after a database's restart of a second.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/web/_http.py",
                '{"Retry-After": str(RETRY_AFTER_SECONDS)}',
                '{"Retry-After": str(RETRY_AFTER_SECONDS * 1000)}',
            ),
        ),
    ),
    Mistake(
        "the doctor writes an address of IPv6 into a URL as it is",
        "For a service that listens on ::1 the whole doctor ends in a traceback.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_process.py",
                'host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host',
                "host = settings.http_host",
            ),
        ),
    ),
    Mistake(
        "what a record holds is taken for rich's own markup",
        "A reason with [/] in it ends the list in a traceback, and one with [red] loses "
        "its words: who sent the record hides it.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_letters.py",
                "table.add_row(*(Text(printable(cell)) for cell in _cells(letter)))",
                "table.add_row(*(printable(cell) for cell in _cells(letter)))",
            ),
        ),
    ),
    Mistake(
        "a service's own buckets are ignored",
        "What takes hours or microseconds lies in one bucket, and its percentiles are made up.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_rates.py",
                "self._histogram(timing.name, timing.text, timing.buckets, timing.label)",
                "self._histogram(timing.name, timing.text, AGES, timing.label)",
            ),
        ),
    ),
    Mistake(
        "of several exporters the first alone gets spans",
        "With `otlp,console` or while a team changes its collector, one of the two stays empty and nobody is told.",
        OUTBOXED,
        (swap(f"{SOURCES}/_exporting.py", "    for name in names:\n", "    for name in names[:1]:\n"),),
    ),
    Mistake(
        "the doctor looks whether anybody listens at the first address alone",
        "With one of three brokers down and a wrong password it tells a person to start Kafka.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_kafka.py",
                "if any([await _listens(server) for server in settings.kafka.bootstrap_servers]):",
                "if await _listens(settings.kafka.bootstrap_servers[0]):",
            ),
        ),
    ),
    Mistake(
        "the doctor waits for an address for 5,000 seconds",
        "Behind a firewall that drops packets it seems to hang, and says nothing.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_kafka.py",
                "async with asyncio.timeout(REQUEST_MS / 1000):",
                "async with asyncio.timeout(REQUEST_MS):",
            ),
        ),
    ),
    Mistake(
        "the doctor looks only at the topics that a service reads",
        "A topic that it publishes to is missing, and the doctor says that all topics are well.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_kafka.py",
                "return sorted({*service.consumer.topics, *(event.topic for event in service.published)})",
                "return sorted(service.consumer.topics)",
            ),
        ),
    ),
    Mistake(
        "the doctor takes what retention has deleted for unread",
        "A group that has never committed fails its look for records that are long gone.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_kafka.py",
                "max(0, end[each] - (begin[each] if committed[each] is None else "
                "committed[each])) for each in partitions",
                "max(0, end[each] - (committed[each] or 0)) for each in partitions",
            ),
        ),
    ),
    Mistake(
        "the doctor looks for the group's records without the topics' prefix",
        "On a shared cluster it finds no partition, and says that nothing waits while the group is stuck.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_kafka.py",
                "names = {service.settings.kafka.topic(name) for name in service.consumer.topics}",
                "names = set(service.consumer.topics)",
            ),
        ),
    ),
    Mistake(
        "where no consumer runs, the doctor says to start a worker",
        "A person starts the wrong process, and the records wait on.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_kafka.py",
                "start a process with the role consumer; if one runs",
                "start a process with the role worker; if one runs",
            ),
        ),
    ),
    Mistake(
        "the doctor names the variable of the database without the service's prefix",
        "A person sets DATABASE_URL, which the service doesn't read, and nothing changes.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_database.py",
                'variable, address = service.settings.variable("database_url"), service.settings.database_url.address',
                'variable, address = "DATABASE_URL", service.settings.database_url.address',
            ),
        ),
    ),
    Mistake(
        "where a database refuses a login, the doctor says to start it",
        "With a wrong password a person restarts a database that runs, and looks for a network that is well.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_database.py",
                'do = f"put {variable} right" if refusal else f"start the database',
                'do = f"start the database',
            ),
        ),
    ),
    Mistake(
        "the doctor tells the last error of the newest task",
        "The person on call mends what came after, not what began it.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_database.py",
                ".order_by(table.c.first_due_at).limit(1)",
                ".order_by(table.c.first_due_at.desc()).limit(1)",
            ),
        ),
    ),
    Mistake(
        "the doctor says behind of a clock that is ahead",
        "Somebody sets the clock further off.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_database.py",
                'which = "ahead of" if begun > there else "behind"',
                'which = "behind" if begun > there else "ahead of"',
            ),
        ),
    ),
    Mistake(
        "the doctor finds nothing in events that nobody sends",
        "An outbox without a relay is called well.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_database.py",
                "if waiting.free and waiting.oldest",
                "if waiting.held and waiting.oldest",
            ),
        ),
    ),
    Mistake(
        "the doctor looks for another release only where all late tasks are of one",
        "Of two kinds that are late the one without a worker is passed over.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_database.py",
                "if not known.issuperset(late):",
                "if known.isdisjoint(late):",
            ),
        ),
    ),
    Mistake(
        "the catalogue is said to be full before it is filled",
        "Whoever deploys reads that the products are there, and the shop sells nothing.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/__main__.py",
                '    command_line.execute(seed)\n    typer.echo(f"{len(products)} products in the catalogue")\n',
                '    typer.echo(f"{len(products)} products in the catalogue")\n    command_line.execute(seed)\n',
            ),
        ),
    ),
    Mistake(
        "an event that waits behind a refused one is shown as one that is on its way",
        "The operator looks for the fault at the relay.",
        OUTBOXED,
        (swap(f"{SOURCES}/web/_operators.py", 'held=row["retry_at"] is not None)', 'held=row["attempts"] > 0)'),),
    ),
    Mistake(
        "a group that falls further behind is no finding of the doctor",
        "In the outage that it is for, it says that all is well.",
        PAYMENTS,
        (swap(f"{SOURCES}/process/_doctor/_kafka.py", "is_stuck=after >= before", "is_stuck=after == before"),),
    ),
    Mistake(
        "line breaks of strangers reach an operator's terminal",
        "Whoever sends a record forges lines in the list of dead letters.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_printable.py",
                "char if char.isprintable() else",
                "char if char.isprintable() or char.isspace() else",
            ),
        ),
    ),
    Mistake(
        "libraries log their warnings whatever the process's level is",
        "Without Kafka `doctor --json` prints lines before its document, and no program can read it.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_logs.py",
                "library.setLevel(max(library_level, root.level))",
                "library.setLevel(library_level)",
            ),
        ),
    ),
    Mistake(
        "what comes without a traceparent goes on in the trace of what happens to run",
        "One trace grows without an end, and nobody finds what belongs to a request.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/telemetry.py",
                "parent = context_of(traceparent) if traceparent else _NOTHING",
                "parent = context_of(traceparent) if traceparent else contexts.get_current()",
            ),
        ),
    ),
    Mistake(
        "characters that base64 doesn't have are passed over in an edited dead letter",
        "An operator's value in the URL's alphabet becomes other bytes without a word, and these are handled.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/web/_dead_letters.py",
                'base64.b64decode(value or "", validate=True)',
                'base64.b64decode(value or "")',
            ),
        ),
    ),
    Mistake(
        "a span that can't be told that it failed goes on",
        "What the process does afterwards hangs in a trace that it doesn't belong to.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/telemetry.py",
                "        finally:\n            contexts.detach(self._token)\n            self._span.end()\n",
                "        except KeyError:\n            pass\n"
                "        contexts.detach(self._token)\n        self._span.end()\n",
            ),
        ),
    ),
    Mistake(
        "the doctor tells an error as it is",
        "A time-out has no words, and behind a pooler nobody is told what to set.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/process/_doctor/_findings.py",
                "from outboxed.storage import reason_of\n",
                "from outboxed.messages import reason_of\n",
            ),
        ),
    ),
)
