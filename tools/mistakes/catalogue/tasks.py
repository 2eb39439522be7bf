"""Mistakes in retries, leases, groups and e-mails: what shows the second time, or the thousandth."""

from tools.mistakes.mistake import NOTIFICATIONS, OUTBOXED, PAYMENTS, Mistake, swap
from tools.scratch import Edit

TASKS = "libs/outboxed/src/outboxed/tasks"
QUEUE, WORKER = f"{TASKS}/_queue.py", f"{TASKS}/_worker.py"
BACKOFF = "libs/outboxed/src/outboxed/_backoff.py"
SOURCES = "services/notifications/src/notifications"

MISTAKES = (
    Mistake(
        "the exponent of the back-off has no limit",
        "At the 1,025th attempt the worker ends, after half a day of outage.",
        OUTBOXED,
        (swap(BACKOFF, "min(attempts - 1, 10)", "(attempts - 1)"),),
    ),
    Mistake(
        "the back-off has no cap",
        "After an hour's outage a charge waits for another hour.",
        OUTBOXED,
        (swap(BACKOFF, "min(cap, first * 2.0 ** min(attempts - 1, 10))", "(first * 2.0 ** min(attempts - 1, 10))"),),
    ),
    Mistake(
        "everybody waits equally long",
        "After an outage all come back in one moment.",
        OUTBOXED,
        (swap(BACKOFF, "random.uniform(0.5, 1.0)", "random.uniform(1.0, 1.0)"),),
    ),
    Mistake(
        "the second attempt waits as long as the third should",
        "A short outage lasts twice as long.",
        OUTBOXED,
        (swap(BACKOFF, "min(attempts - 1, 10)", "min(attempts, 10)"),),
    ),
    Mistake(
        "the outside may have a task wait as long as it likes",
        "One wrong header, and a refund comes next year.",
        OUTBOXED,
        (swap(QUEUE, "min(retry_after or 0.0, MAX_BACKOFF)", "retry_after or 0.0"),),
    ),
    Mistake(
        "a postponed task moves its first due time",
        "The alarm for charges that never come through can't ring.",
        OUTBOXED,
        (swap(QUEUE, ".values(due_at=due_at,", ".values(due_at=due_at, first_due_at=due_at,"),),
    ),
    Mistake(
        "a postponed task keeps its lease",
        "It waits for the longer of the two.",
        OUTBOXED,
        (swap(QUEUE, "leased_until=None, lease_token=None, last_error", "last_error"),),
    ),
    Mistake(
        "a worker postpones a task that another one has",
        "The other one's outcome is thrown away, and the call comes again.",
        OUTBOXED,
        (
            swap(
                QUEUE,
                '.where(table.c.id == sa.bindparam("of_id"), table.c.lease_token == sa.bindparam("token"))',
                '.where(table.c.id == sa.bindparam("of_id"), sa.bindparam("token").is_not(None))',
            ),
        ),
    ),
    Mistake(
        "a worker deletes a task that another one has",
        "Two workers record one call.",
        OUTBOXED,
        (
            swap(
                QUEUE,
                "(table.c.id == leased.c.id) & (table.c.lease_token == leased.c.lease_token)",
                "table.c.id == leased.c.id",
            ),
        ),
    ),
    Mistake(
        "the later tasks of a group don't wait for the first",
        "A cancellation is sent before the confirmation.",
        OUTBOXED,
        (Edit(QUEUE, r"        \.where\(sa\.or_\(table\.c\.task_group\.is_\(None\), ~behind\)\)\n", ""),),
    ),
    Mistake(
        "a claim waits for tasks that another worker is claiming",
        "Ten workers are as fast as one.",
        OUTBOXED,
        (swap(QUEUE, ".with_for_update(skip_locked=True)\n        .cte", ".with_for_update()\n        .cte"),),
    ),
    Mistake(
        "the newest task is done first",
        "In a backlog the oldest order waits for ever.",
        OUTBOXED,
        (swap(QUEUE, ".order_by(table.c.due_at)", ".order_by(table.c.due_at.desc())"),),
    ),
    Mistake(
        "a lease is as short as the call",
        "A slow recording makes the call come again.",
        OUTBOXED,
        (swap(QUEUE, "return self.limit + RECORDING", "return self.limit"),),
    ),
    Mistake(
        "a task whose lease ended is never claimed again",
        "A killed worker's charges are never made.",
        OUTBOXED,
        (
            swap(
                QUEUE,
                "sa.or_(table.c.leased_until.is_(None), table.c.leased_until <= _NOW)",
                "table.c.leased_until.is_(None)",
            ),
        ),
    ),
    Mistake(
        "a claim counts no attempt",
        "Nobody gives up, and nobody backs off.",
        OUTBOXED,
        (swap(QUEUE, "attempts=table.c.attempts + 1, leased_until", "leased_until"),),
    ),
    Mistake(
        "a task that was given up forgets its group",
        "A replay overtakes the others of its order.",
        OUTBOXED,
        (
            swap(
                QUEUE,
                '(("group", task.group), ("traceparent", task.traceparent))',
                '(("traceparent", task.traceparent),)',
            ),
        ),
    ),
    Mistake(
        "the wait of an idle worker doesn't know of leases",
        "A killed worker's charge waits for the next poll.",
        OUTBOXED,
        (swap(QUEUE, "free_at = sa.func.coalesce(table.c.leased_until, table.c.due_at)", "free_at = table.c.due_at"),),
    ),
    Mistake(
        "an outage counts as a reason to give up",
        "After ten minutes without a mail server all e-mails are lost.",
        OUTBOXED,
        (swap(WORKER, "if not is_transient(error) and kind.gives_up", "if kind.gives_up"),),
    ),
    Mistake(
        "a call has no end",
        "A silent gateway holds all places of a worker.",
        OUTBOXED,
        (
            swap(
                WORKER,
                "for patience in (seconds, IF_THE_ANSWER_IS_THERE):",
                "for patience in (None, IF_THE_ANSWER_IS_THERE):",
            ),
        ),
    ),
    Mistake(
        "a call may begin when its time is over",
        "Another worker makes the same call.",
        OUTBOXED,
        (swap(WORKER, "if seconds <= 0:", "if seconds <= -9999:"),),
    ),
    Mistake(
        "a worker that stops throws its calls away",
        "Each deployment repeats some calls.",
        OUTBOXED,
        (swap(WORKER, "            await asyncio.gather(*running)\n        finally:", "        finally:"),),
    ),
    Mistake(
        "the customer is told that a cancelled order is confirmed",
        "Two e-mails that contradict each other.",
        NOTIFICATIONS,
        (
            swap(
                f"{SOURCES}/domain.py",
                "Made(Kind.CONFIRMATION, unless=(Kind.CANCELLATION,))",
                "Made(Kind.CONFIRMATION)",
            ),
        ),
    ),
    Mistake(
        "a refund that is heard of first is never told",
        "The e-mail waits for an address, and nobody comes back to it.",
        NOTIFICATIONS,
        (swap(f"{SOURCES}/handlers.py", "if kind not in before.sendable:", "if not before.has(kind):"),),
    ),
    Mistake(
        "the e-mails of an order have no group",
        "They arrive in any order.",
        NOTIFICATIONS,
        (swap(f"{SOURCES}/handlers.py", "payload=payload, group=str(order_id))", "payload=payload)"),),
    ),
    Mistake(
        "an e-mail that was sent is sent again by a replay",
        "The customer gets it twice.",
        NOTIFICATIONS,
        (
            swap(
                f"{SOURCES}/handlers.py",
                " or notification is None or notification.status is Status.SENT:",
                " or notification is None:",
            ),
        ),
    ),
    Mistake(
        "each attempt at an e-mail has a Message-ID of its own",
        "No mail server can see that it has it already.",
        NOTIFICATIONS,
        (
            swap(f"{SOURCES}/mailer.py", '= f"<{kind.value}.{order_id}@', '= f"<{uuid4()}.{kind.value}.{order_id}@'),
            swap(f"{SOURCES}/mailer.py", "from uuid import UUID", "from uuid import UUID, uuid4"),
        ),
    ),
    Mistake(
        "the first address that was heard of is replaced by the next one",
        "A late event changes where an order's e-mails go.",
        NOTIFICATIONS,
        (swap(f"{SOURCES}/domain.py", "return self if self.email else replace", "return replace"),),
    ),
    Mistake(
        "an error that nobody foresaw is tried for ever",
        "A mail that can't be built is tried all year, and nobody is told.",
        NOTIFICATIONS,
        (
            swap(
                f"{SOURCES}/tasks.py",
                "isinstance(error, EmailRefusedError) or attempts >= MAX_UNEXPECTED",
                "isinstance(error, EmailRefusedError)",
            ),
        ),
    ),
    Mistake(
        "an e-mail that is given up stays pending",
        "The operator's page says that it will be sent.",
        NOTIFICATIONS,
        (swap(f"{SOURCES}/tasks.py", "            abandon=_record_failed,\n", ""),),
    ),
    Mistake(
        "the short wait for a lock stays with its connection",
        "After a batch of outcomes whatever waits for half a second is refused: a slow moment becomes errors.",
        OUTBOXED,
        (
            swap(
                QUEUE,
                'set_config("lock_timeout", _SHORTER, sa.true())',
                'set_config("lock_timeout", _SHORTER, sa.false())',
            ),
        ),
    ),
    Mistake(
        "a worker that rests doesn't hear when a call is to be made again",
        "A charge that could be made in half a second waits for five.",
        OUTBOXED,
        (Edit(WORKER, r"^ *self\._scheduled\.wake\(\)[^\n]*\n", ""),),
    ),
    Mistake(
        "tasks that are claimed together come in any order",
        "The newest order is charged first.",
        OUTBOXED,
        (swap(QUEUE, 'for row in sorted(rows, key=lambda row: row["id"])]', "for row in rows]"),),
    ),
    Mistake(
        "a task that is given up forgets its trace",
        "Nobody finds what led to it.",
        OUTBOXED,
        (swap(QUEUE, '(("group", task.group), ("traceparent", task.traceparent))', '(("group", task.group),)'),),
    ),
    Mistake(
        "a connection that is used again is let go by its first timer",
        "E-mails begin a conversation each, and the log has a KeyError for each.",
        NOTIFICATIONS,
        (Edit(f"{SOURCES}/smtp.py", r"(= self\._kept\.popitem\(\)\n) *timer\.cancel\(\)\n", r"\1"),),
    ),
    Mistake(
        "a connection is kept for longer than mail servers do",
        "They end it first, and count us among those who misbehave.",
        NOTIFICATIONS,
        (swap(f"{SOURCES}/smtp.py", "KEEP_SECONDS = 10.0", "KEEP_SECONDS = 600.0"),),
    ),
    Mistake(
        "an attempt's age begins with its task's last postponement",
        "The histogram of ages shows seconds while a charge has failed for an hour.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/tasks/_queue.py", 'row["first_due_at"]).total', 'row["due_at"]).total'),),
    ),
    Mistake(
        "a short Retry-After takes the place of the back-off",
        "A gateway that says 1 second to everybody gets every call once a second, for as long as it is down.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/tasks/_queue.py",
                "max(seconds, min(retry_after or 0.0, MAX_BACKOFF))",
                "min(retry_after or seconds, MAX_BACKOFF)",
            ),
        ),
    ),
    Mistake(
        "an outcome that can't be recorded shares the next transaction, too",
        "One order that somebody has locked keeps all others from being recorded.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/tasks/_worker.py", "alone=attempt > 0", "alone=False"),),
    ),
    Mistake(
        "the newest attempt of a task is the one that is forgotten",
        "The console shows how it failed first, and never that it is done.",
        OUTBOXED,
        (
            swap(
                f"{TASKS}/_attempts.py",
                "        self._latest.append(",
                "        if len(self._latest) < (self._latest.maxlen or 0):\n            self._latest.append(",
            ),
        ),
    ),
    Mistake(
        "no attempt is ever forgotten",
        "A worker's memory grows with each task for as long as its process lives.",
        OUTBOXED,
        (swap(f"{TASKS}/_attempts.py", "deque(maxlen=kept)", "deque()"),),
    ),
    Mistake(
        "a task has been due since it was made",
        "The alarm rings for each order that waits for its payment deadline.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/storage/_scheduling.py",
                "ordered = sa.select(*columns, due_at, due_at)",
                "ordered = sa.select(*columns, due_at, sa.func.clock_timestamp())",
            ),
        ),
    ),
    Mistake(
        "nobody is told of a task that is due in a moment",
        "It waits until some worker looks, for up to five seconds.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/storage/_unit_of_work.py",
                "task.delay < NEXT_LOOK for",
                "task.delay <= timedelta(0) for",
            ),
        ),
    ),
    Mistake(
        "a later event sends the e-mails of before again",
        "A refused address gets the refused e-mail once more with each event, and operators another dead letter.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/handlers.py",
                "        if kind not in before.sendable:\n",
                "        if kind:\n",
            ),
        ),
    ),
    Mistake(
        "a project's synchronous schedule forgets the delay",
        "A deadline passes in the moment in which it is set.",
        OUTBOXED,
        (
            Edit(
                "libs/outboxed/src/outboxed/joining/_tasks.py",
                r"payload, delay, group\)\n(        run_steps_sync)",
                r"payload, NOW, group)\n\1",
            ),
        ),
    ),
    Mistake(
        "a project's synchronous schedule forgets the group",
        "The later call of a customer passes the earlier one.",
        OUTBOXED,
        (
            Edit(
                "libs/outboxed/src/outboxed/joining/_tasks.py",
                r"payload, delay, group\)\n(        run_steps_sync)",
                r"payload, delay, None)\n\1",
            ),
        ),
    ),
    Mistake(
        "a synchronous dependency doesn't hear that a record failed",
        "It commits half of what was written, and the call comes again.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/joining/_tasks.py",
                "opened.__exit__, type(error), error, error.__traceback__)",
                "opened.__exit__, None, None, None)",
            ),
        ),
    ),
    Mistake(
        "names in a project's payload may be what no column holds",
        "The customer's order is rolled back with the task.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/joining/_tasks.py",
                "for each in (*value, *value.values()):",
                "for each in value.values():",
            ),
        ),
    ),
    Mistake(
        "a project's group may be longer than an index takes",
        "The customer's order is rolled back with the task.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/joining/_tasks.py",
                '(("key", task.key), ("group", task.group or "")):',
                '(("key", task.key),):',
            ),
        ),
    ),
    Mistake(
        "a project's deadline is given up at its first error",
        "An order stays open for ever, after an error of a second.",
        OUTBOXED,
        (
            Edit(
                "libs/outboxed/src/outboxed/joining/_tasks.py",
                r"(record=_at_deadline\(due\), concurrency=concurrency)",
                r"\1, gives_up=lambda *_: True",
            ),
        ),
    ),
    Mistake(
        "the time of a call begins when its claim has come back",
        "After a slow claim the call and its recording outlast the lease: another worker makes the call once more.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/tasks/_worker.py",
                "            until = time.monotonic() + kind.limit.total_seconds()\n"
                "            claimed = await self._claim_if_possible(kind, kind.concurrency - len(running))\n",
                "            claimed = await self._claim_if_possible(kind, kind.concurrency - len(running))\n"
                "            until = time.monotonic() + kind.limit.total_seconds()\n",
            ),
        ),
    ),
    Mistake(
        "the letter of a task has the time of its worker's host",
        "On a host whose clock is wrong an operator looks for the failure at another hour.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/tasks/_queue.py",
                "from datetime import datetime, timedelta\n",
                "from datetime import UTC, datetime, timedelta\n",
            ),
            swap(
                "libs/outboxed/src/outboxed/tasks/_queue.py",
                '"failed_at": task.now,',
                '"failed_at": datetime.now(UTC),',
            ),
        ),
    ),
    Mistake(
        "the end of the calls' thread is waited for without an end",
        "A call that swallows its cancellation keeps the service's end until it is killed.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/tasks/_call_thread.py",
                "await asyncio.to_thread(thread.join, CLOSE_SECONDS)",
                "await asyncio.to_thread(thread.join)",
            ),
        ),
    ),
    Mistake(
        "the thread of the calls outlives the process's work",
        "A call that never ends keeps a stopped process there, with its port and its memory.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/tasks/_call_thread.py", "name=self._name, daemon=True)", "name=self._name)"
            ),
        ),
    ),
    Mistake(
        "all e-mails have the date on which the process started",
        "A customer's mail reader sorts today's confirmation behind the mails of "
        "last week, or a filter takes it for spam.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/mailer.py", '            f"Date: {formatdate()}\\r\\n",\n', ""
            ),
            swap(
                "services/notifications/src/notifications/mailer.py",
                '    message["Subject"] = text.subject\n',
                '    message["Date"] = formatdate()\n    message["Subject"] = text.subject\n',
            ),
        ),
    ),
    Mistake(
        "one refund is made at a time",
        "After an outage of the gateway hundreds of customers wait for their money one behind the other.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/tasks.py",
                'limit, concurrency=8, log_as="order_id")',
                'limit, concurrency=1, log_as="order_id")',
            ),
        ),
    ),
    Mistake(
        "the gateway's client has fewer connections than the worker has calls",
        "While the gateway is slow, charges wait for a connection of ours until their "
        "time-out: their outcome is unknown, and they are late.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/gateway.py",
                "verify=_authorities(url), trust_env=False\n",
                "verify=_authorities(url), trust_env=False,\n        limits=httpx.Limits(max_connections=4),\n",
            ),
        ),
    ),
    Mistake(
        "a connection on which an e-mail was cut off stays open",
        "A mail server that hangs costs a socket an attempt, until the process has "
        "none left and no customer gets an e-mail.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/smtp.py",
                "        except BaseException:\n            client.close()\n            raise\n",
                "        except Exception:\n            client.close()\n            raise\n",
            ),
        ),
    ),
    Mistake(
        "a mail server has twenty seconds to say goodbye",
        "A process that ends waits for a mail server that hangs, and a release takes so much longer for each replica.",
        NOTIFICATIONS,
        (swap("services/notifications/src/notifications/smtp.py", "GOODBYE_SECONDS = 0.2", "GOODBYE_SECONDS = 20.0"),),
    ),
    Mistake(
        "a mailer that is closed doesn't wait for the mail server's goodbye",
        "Its thread ends in the middle: the server counts a client that hangs up at each release.",
        NOTIFICATIONS,
        (swap(f"{SOURCES}/smtp.py", "        await asyncio.gather(*self._goodbyes)\n", ""),),
    ),
    Mistake(
        "the service keeps no connection to its mail server",
        "Each e-mail pays for a connection, STARTTLS and a login: they come late, and some servers refuse so many.",
        NOTIFICATIONS,
        (swap(f"{SOURCES}/app.py", "KEEP_SECONDS if thread else 0", "0 if thread else KEEP_SECONDS"),),
    ),
    Mistake(
        "outcomes that share a transaction count as recorded before it is committed",
        "If the commit fails, what came of several calls is lost without an error, and the calls are made again.",
        OUTBOXED,
        (
            swap(
                f"{TASKS}/_recording.py",
                "        for outcome in outcomes:\n"
                "            outcome.settled = True\n"
                "            if outcome.task.id not in leased:\n"
                '                outcome.error = LeaseLostError(f"{outcome.task.kind} {outcome.task.key}")\n',
                "            for outcome in outcomes:\n"
                "                outcome.settled = True\n"
                "                if outcome.task.id not in leased:\n"
                '                    outcome.error = LeaseLostError(f"{outcome.task.kind} {outcome.task.key}")\n',
            ),
        ),
    ),
    Mistake(
        "a task that was postponed and is due again is counted twice",
        "In an outage the metric and the doctor show twice the tasks that wait.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/process/_counts.py",
                "was_due = _TASKS.c.first_due_at <= now, _TASKS.c.due_at > now",
                "was_due = (_TASKS.c.first_due_at <= now,)",
            ),
        ),
    ),
)
