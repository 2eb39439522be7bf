"""Mistakes in a project's own tables: its sessions and handlers, synchronous or not, its letters and its tasks."""

from tools.mistakes.mistake import OUTBOXED, Mistake, swap

SOURCES = "libs/outboxed/src/outboxed"
JOINING = f"{SOURCES}/joining"

MISTAKES = (
    Mistake(
        "two handlers of one name in two modules share what they have handled",
        "The second one is never given an event that the first has handled: its effect is lost without a word.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_handlers.py",
                'inbox_name = name or f"{handler.__module__}.{handler.__qualname__}"',
                "inbox_name = name or handler.__name__",
            ),
        ),
    ),
    Mistake(
        "a record without an id is known by its partition and offset, whatever its topic",
        "Of two topics' records at one place the second takes no effect.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_inbox.py",
                'place = f"{record.topic}/{record.partition}/{record.offset}"',
                'place = f"{record.partition}/{record.offset}"',
            ),
        ),
    ),
    Mistake(
        "an id that is claimed by itself is claimed for every handler",
        "Of two handlers of an event the second takes it for handled, and does nothing.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_inbox.py",
                'return EventIdentity("", _storable(f"{name} {record}"))',
                'return EventIdentity("", _storable(str(record)))',
            ),
        ),
    ),
    Mistake(
        "what a project's consumer is to read again ends at the first partition that another member has",
        "The records of the partitions behind it are never handled.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_compat/faststream.py",
                "    for partition, offset in first_offsets(records).items():\n"
                "        with contextlib.suppress(IllegalStateError):  # another member has "
                "the partition, and begins before them\n"
                "            if not",
                "    with contextlib.suppress(IllegalStateError):  # another member has the "
                "partition, and begins before them\n"
                "        for partition, offset in first_offsets(records).items():\n"
                "            if not",
            ),
        ),
    ),
    Mistake(
        "a cron job claims as many tasks of a kind as a worker, and does them one after the other",
        "The leases of those that wait for slow ones end: a running worker makes the same calls.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_tasks.py",
                "kinds = [replace(kind, concurrency=1) for kind in self._kinds.values()]",
                "kinds = list(self._kinds.values())",
            ),
        ),
    ),
    Mistake(
        "an `abandon` that is no coroutine is awaited all the same",
        "A synchronous project's task can't be given up: it is undone with a "
        "TypeError, and the worker ends again and again.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_tasks.py",
                "    own = _as_async(abandon)\n\n    async def abandoned(",
                "    own: Any = abandon\n\n    async def abandoned(",
            ),
        ),
    ),
    Mistake(
        "a deadline that is no coroutine runs in the event loop and is awaited",
        "A synchronous project's orders never expire: each attempt is undone with a TypeError.",
        OUTBOXED,
        (swap(f"{JOINING}/_tasks.py", "    own = _as_async(due)\n", "    own: Any = due\n"),),
    ),
    Mistake(
        "a synchronous publish doesn't flush its session first",
        "Of two changes of an order the events take their numbers before its row is "
        "locked, and are sent the wrong way round.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_running.py",
                "            if not is_flushing(own):\n                own.flush()\n            self._tell_after(own)",
                "            self._tell_after(own)",
            ),
        ),
    ),
    Mistake(
        "a key that is 0 or empty counts as none",
        "The events of customer 0 go by their own ids to all partitions, and pass each other.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_events.py",
                "found = key if key is not None else _key(event, address.key, name)",
                "found = key or _key(event, address.key, name)",
            ),
        ),
    ),
    Mistake(
        "a field whose value is 0 is no key",
        "Nothing can be published about customer 0: the project's own transaction fails.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_events.py",
                '    if found is None:\n        raise ValueError(f"{name} has no {key}',
                '    if not found:\n        raise ValueError(f"{name} has no {key}',
            ),
        ),
    ),
    Mistake(
        "an inbox counts the characters of an id where the index counts bytes",
        "A record with a long id of letters beyond ASCII fails in its index each time, and becomes a dead letter.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_inbox.py",
                'return shown if len(raw := shown.encode()) <= MAX_BYTES else f"sha256 {sha256(raw).hexdigest()}"',
                'return shown if len(shown) <= MAX_BYTES else f"sha256 {sha256(shown.encode()).hexdigest()}"',
            ),
        ),
    ),
    Mistake(
        "a replayed record that still can't be read is kept again and counts as handled",
        "An operator reads that it was replayed; nothing was done, and its letter is closed.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "if unread and not replaying.get() and isinstance(exc_val, Exception):",
                "if unread and isinstance(exc_val, Exception):",
            ),
        ),
    ),
    Mistake(
        "a letter is replayed by whichever subscriber reads its topic, whatever its group",
        "The other group's handler does its part a second time, and the one that failed stays undone.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_compat/faststream.py",
                'if (each.group_id or "") != group or not _reads(each, record.topic):',
                "if not _reads(each, record.topic):",
            ),
        ),
    ),
    Mistake(
        "a project's record that may go well later comes again at once",
        "While its database is away the consumer takes a whole core, and fills the log.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "        if self._keeper.comes_again(error):\n"
                "            await asyncio.sleep(AGAIN_SECONDS)\n"
                "            raise error",
                "        if self._keeper.comes_again(error):\n            raise error",
            ),
        ),
    ),
    Mistake(
        "the time of a project's event is the host's local time, with the zone of UTC",
        "Where the host isn't in UTC the time is wrong by hours: readers see events of the future, or old ones.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_events.py",
                '"ce_time": rfc3339(datetime.now(UTC)),',
                '"ce_time": rfc3339(datetime.now().replace(tzinfo=UTC)),',
            ),
        ),
    ),
    Mistake(
        "a synchronous handler's scoped session is taken for a session",
        "Each message of a project with a scoped session of its own fails with an AttributeError.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_handlers.py",
                "new = inbox.new_sync(_own(arguments[called.session]), records, name)",
                "new = inbox.new_sync(arguments[called.session], records, name)",
            ),
        ),
    ),
    Mistake(
        "an asynchronous handler's scoped session is taken for a session",
        "Each message of a project with async_scoped_session fails, and becomes a dead letter.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_handlers.py",
                "new = await inbox.new(_own(arguments[called.session]), records, name)",
                "new = await inbox.new(arguments[called.session], records, name)",
            ),
        ),
    ),
    Mistake(
        "the line about a kept record has the error as it is, with what pydantic was given",
        "Customers' names and addresses are in the log.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "group=group, record=where, reason=reason_of(error))",
                "group=group, record=where, reason=str(error))",
            ),
        ),
    ),
    Mistake(
        "of several loops none is told behind one that has closed",
        "A worker in another thread of the process learns of its tasks only when it looks by itself.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_running.py",
                "            for loop in list(self._loops):\n"
                "                with contextlib.suppress(RuntimeError):  # its thread has closed it\n"
                "                    loop.call_soon_threadsafe(self.wakeup.notify)\n",
                "            with contextlib.suppress(RuntimeError):  # its thread has closed it\n"
                "                for loop in list(self._loops):\n"
                "                    loop.call_soon_threadsafe(self.wakeup.notify)\n",
            ),
        ),
    ),
    Mistake(
        "a consumer asks which batches run after it has stopped",
        "The list is empty by then: nobody waits, and a transaction loses its connection before it has ended.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_compat/faststream.py",
                "    consuming = list(subscriber.tasks)\n    await broker.stop()\n",
                "    await broker.stop()\n    consuming = list(subscriber.tasks)\n",
            ),
        ),
    ),
    Mistake(
        "the worker's statements in a synchronous session run in the event loop",
        "While one waits for a lock, five seconds perhaps, the app beside it answers nobody.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/storage/_statements.py",
                "return await asyncio.to_thread(_rows, transaction, statement, values)",
                "return _rows(transaction, statement, values)",
            ),
        ),
    ),
    Mistake(
        "a synchronous session is committed in the event loop",
        "At each commit of a slow disk or a replica the whole app stands still.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_tasks.py",
                "                await asyncio.to_thread(session.commit)\n",
                "                session.commit()\n",
            ),
        ),
    ),
    Mistake(
        "a session that has published once tells the relay at the end of each transaction",
        "A long-lived scoped session that only reads from then on has the relay look at each of its requests.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_running.py",
                "if transaction.parent is None and session.info.pop(self, None):",
                "if transaction.parent is None and session.info.get(self):",
            ),
        ),
    ),
    Mistake(
        "of a batch each record alone has the headers of all",
        "A handler takes the first record's tenant for each of them.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "    alone.batch_headers = [msg.batch_headers[place]]\n",
                "",
            ),
        ),
    ),
    Mistake(
        "what a project's handlers take is counted by nobody",
        "Twenty refusals among a million records look like a bad deploy, and halt it.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "        self._keeper.last_minute.handled(record.topic for record in records_of(msg))\n",
                "",
            ),
        ),
    ),
    Mistake(
        "after a replay each message is a replay",
        "What the handler refuses then has no letter, and no offset.",
        OUTBOXED,
        (swap(f"{JOINING}/_dead_letters.py", "        replaying.reset(token)", "        pass"),),
    ),
    Mistake(
        "an event is known by its source, too, where a project says by what it is known",
        "Its copy from the second producer is handled again.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_inbox.py",
                'if self._identify is None and own else ""',
                'if own else ""',
            ),
        ),
    ),
    Mistake(
        "a header that a project gives loses to the library's",
        "Its readers, which go by that header, pass each event over.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_events.py",
                "    made |= headers or {}",
                "    made = {**(headers or {}), **made}",
            ),
        ),
    ),
    Mistake(
        "what a project says of a class counts for no subclass",
        "The events of a subclass are refused, or go to another topic.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_events.py",
                "for cls in type(event).__mro__:",
                "for cls in (type(event),):",
            ),
        ),
    ),
    Mistake(
        "a letter of a sync project is written in the event loop",
        "A statement that waits for a lock holds up all handlers and heartbeats.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "            await asyncio.to_thread(self._execute, self.engine, statement)",
                "            self._execute(self.engine, statement)",
            ),
        ),
    ),
    Mistake(
        "a sync project's session is opened in the event loop",
        "Where the pool is empty, the whole app stands still for as long as a connection is waited for.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_tasks.py",
                "    session = await asyncio.to_thread(opened.__enter__)",
                "    session = opened.__enter__()",
            ),
        ),
    ),
    Mistake(
        "a sync project's session is closed in the event loop",
        "A rollback that waits for the server stops the whole app.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_tasks.py",
                "        await asyncio.to_thread(opened.__exit__, type(error), error, error.__traceback__)",
                "        opened.__exit__(type(error), error, error.__traceback__)",
            ),
        ),
    ),
    Mistake(
        "a part beside an app that anyio cancels is not waited for",
        "It is cut off in the middle of a call, which is made again after its lease.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_running.py",
                "            with shielded():\n                await _ended(running, within=2 * part.grace)\n",
                "            await _ended(running, within=2 * part.grace)\n",
            ),
        ),
    ),
    Mistake(
        "a sync project that claims a message itself is told that it is new each time",
        "Every copy takes effect again: two e-mails, two charges.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_inbox.py",
                "        return bool(self.new_sync(session, records_of(message), name))",
                "        self.new_sync(session, records_of(message), name)\n        return True",
            ),
        ),
    ),
    Mistake(
        "a handler that is no coroutine has claimed its message before it ends",
        "One that fails is given the message no more: the event is lost.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_handlers.py",
                "            new = inbox.new_sync(session, records, name)\n",
                "            new = inbox.new_sync(session, records, name)\n            session.commit()\n",
            ),
        ),
    ),
    Mistake(
        "a letter is replayed on a broker that nobody connects",
        "Each handler that publishes refuses the letter again.",
        OUTBOXED,
        (swap(f"{SOURCES}/_compat/faststream.py", "            await broker.connect()\n", ""),),
    ),
    Mistake(
        "a letter is replayed by a subscriber that isn't ready",
        "No letter can be replayed by the command.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_compat/faststream.py",
                "            each._build_fastdepends_model()  # noqa: SLF001 - see above\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a project's consumer that halted reads without a pause",
        "It takes a core, and writes a critical line each time.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                'they come again")\n            await asyncio.sleep(AGAIN_SECONDS)\n',
                'they come again")\n',
            ),
        ),
    ),
    Mistake(
        "a record that can't be kept comes again without a pause",
        "While the database is away one refused record takes a core, and asks the pool as often as it can.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "  # else an outage would look like a bad deploy\n            await asyncio.sleep(AGAIN_SECONDS)\n",
                "  # else an outage would look like a bad deploy\n",
            ),
        ),
    ),
    Mistake(
        "a record that nobody can read comes again without a pause",
        "While the database is away it takes a core.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_keeping.py",
                "            await asyncio.sleep(AGAIN_SECONDS)\n            # FastStream can't",
                "            # FastStream can't",
            ),
        ),
    ),
    Mistake(
        "a record without an id is known by its topic and its offset",
        "The records of other partitions at the same offset count as handled, and are lost.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_inbox.py",
                "{record.topic}/{record.partition}/{record.offset}",
                "{record.topic}/{record.offset}",
            ),
        ),
    ),
    Mistake(
        "a relay on a project's synchronous engine logs in with stars",
        "PostgreSQL refuses it, wherever it asks for a password.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_running.py",
                'url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)',
                'str(url.set(drivername="postgresql+asyncpg"))',
            ),
        ),
    ),
    Mistake(
        "every list that a handler gets is cut to the batch's new records",
        "When a part of a batch comes again, a dependency's list loses what it had, or the batch fails.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_handlers.py",
                "            if isinstance(value, list | tuple) and len(value) == len(records)\n",
                "            if isinstance(value, list | tuple)\n",
            ),
        ),
    ),
    Mistake(
        "a replay that fails leaves its mark behind",
        "What is refused afterwards in that context is taken for handled: it is lost.",
        OUTBOXED,
        (
            swap(
                f"{JOINING}/_dead_letters.py",
                "    finally:\n        replaying.reset(token)\n",
                "    except GeneratorExit:\n        raise\n    else:\n        replaying.reset(token)\n",
            ),
        ),
    ),
)
