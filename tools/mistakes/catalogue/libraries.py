"""Mistakes in what a stranger installs to test with: clusters, isolation, sessions, pacts, forms of events."""

from tools.mistakes.levels import tests
from tools.mistakes.mistake import ASYNCAPI_GATE, BACKING_SERVICES, OUTBOXED, PACT_FASTSTREAM, SHOP, Mistake, swap

BACKING = "libs/backing_services/src/backing_services"
POSTGRES = f"{BACKING}/postgres"
PACT = "libs/pact_faststream/src/pact_faststream"
GATE = "libs/asyncapi_gate/src/asyncapi_gate"
TESTING = "libs/outboxed/src/outboxed/testing"

MISTAKES = (
    Mistake(
        "services that share a clock move it once each",
        "A stranger's test that advances by ten minutes sees what is due after twenty, and passes wrongly.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/tracking/session.py",
                "clocks[id(participant.clock)] = participant.clock",
                "clocks[participant.name] = participant.clock",
            ),
        ),
    ),
    Mistake(
        "a dead letter with a text that was there before is no new one",
        "A stranger's test passes although another event was refused for the same reason.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/tracking/session.py",
                "for letter in (Counter(left.dead_letters) - self._dead_before[name]).elements()",
                "for letter in set(left.dead_letters) - set(self._dead_before[name])",
            ),
        ),
    ),
    Mistake(
        "a session reads the logs of other processes from their beginning",
        "What happened before it is in its story, and a test that counts steps fails by what another one did.",
        OUTBOXED,
        (swap(f"{TESTING}/tracking/session.py", "                log.seek(size)\n", ""),),
    ),
    Mistake(
        "a topic that a test has made by sending to it is no leak",
        "A test without its prefix fills topics of others, and another test reads them.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/topics.py",
                "if size > before.get(name, 0)):",
                "if size > before.get(name, size)):",
            ),
        ),
        check=tests("libs/backing_services/tests/integration/test_leaks.py"),
    ),
    Mistake(
        "an event that is in two topics under one id is looked at in the first",
        "The second topic may be in any order: the harness says that all is well.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/topic_log.py",
                "seen: set[tuple[str, str]] = set()",
                "seen: set[str] = set()",
            ),
            swap(
                f"{TESTING}/topic_log.py",
                "or (record.topic, event_id) in seen:",
                "or event_id in seen:",
            ),
            swap(
                f"{TESTING}/topic_log.py",
                "seen.add((record.topic, event_id))",
                "seen.add(event_id)",
            ),
        ),
    ),
    Mistake(
        "the template of a service's test database doesn't depend on outboxed's schema",
        "After an upgrade of outboxed a developer's tests run on the tables of before.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/services.py",
                'files = [Path(messaging_schema.__file__), *sorted(migrations.migrations_path(package).rglob("*.py"))]',
                'files = sorted(migrations.migrations_path(package).rglob("*.py"))',
            ),
        ),
    ),
    Mistake(
        "a running service's tasks are due by the database's clock, wherever the session has moved it",
        "After `advance` a session is at rest before its deadlines are done, and a stranger's test fails by chance.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/tracking/participants.py",
                "self._connection.fetch(TASKS, self.clock.offset if self.clock else timedelta(0))",
                "self._connection.fetch(TASKS, timedelta(0))",
            ),
        ),
    ),
    Mistake(
        "the suite of operators' pages doesn't try a token that has expired",
        "A stranger's service that takes one for ever passes it.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/suites/operators_page.py",
                '    "expired": lambda keys: keys.bearer(exp=datetime.now(UTC) - timedelta(hours=1)),\n',
                "",
            ),
        ),
    ),
    Mistake(
        "the suite of consumers looks only at what a handler leaves, not at how often it was called",
        "A stranger's consumer without an inbox passes it as long as its handler overwrites.",
        OUTBOXED,
        (swap(f"{TESTING}/suites/consumer.py", "        assert len(calls) == 1\n", ""),),
    ),
    Mistake(
        "the suites feed no record whose key isn't its event's",
        "A stranger's consumer that takes events under a wrong key, and so out of order, passes.",
        OUTBOXED,
        (swap(f"{TESTING}/records.py", '        "another key": spoilt(key=b"other"),\n', ""),),
    ),
    Mistake(
        "the fixtures of a service ask for the plans of its statements, and refuse none",
        "A statement without an index passes all tests of a service, and takes minutes once the table is large.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/fixtures.py",
                "    await plans.refuse_whole_reads([*READ_WHOLE, *service.reads_whole])\n",
                "",
            ),
        ),
    ),
    Mistake(
        "nobody hears what the engine of a service's tests executes",
        "No statement of any service is held to an index, and all tests pass.",
        OUTBOXED,
        (swap(f"{TESTING}/fixtures.py", "    plans.hear(engine)\n", ""),),
    ),
    Mistake(
        "what is excused for a page of the operators is excused for the relay",
        "A read of the relay that passes the whole outbox fails no test, and each batch takes longer than the last.",
        OUTBOXED,
        (swap(f"{TESTING}/fixtures.py", '"FROM outbox WHERE outbox.key = ",', '"FROM outbox WHERE ",'),),
    ),
    Mistake(
        "nobody counts the connections of the engine that a service's tests share",
        "A service whose code keeps a connection passes its tests, and in production its pool is empty after an hour.",
        OUTBOXED,
        (swap(f"{TESTING}/fixtures.py", "    isolation.watch(engine)\n", ""),),
    ),
    Mistake(
        "a suite that projects inherit tries one history",
        "Hypothesis begins with an empty one: ports in memory that differ from those in SQL pass.",
        SHOP,
        (swap(f"{TESTING}/histories.py", "    max_examples=25,\n", "    max_examples=1,\n"),),
    ),
    Mistake(
        "a command that fails may have said that it did its work",
        "A stranger's command that prints `dead letter 7 replayed` and then fails passes its tests.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/suites/commands.py",
                '        assert (result.exit_code, result.stdout) == (1, "")\n',
                "        assert result.exit_code == 1\n",
            ),
        ),
    ),
    Mistake(
        "the suite of migrations compares no defaults of the server",
        "A stranger's migration forgets one that the code counts on: tests pass, and each insert in production fails.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/suites/migrations.py",
                '{"compare_type": True, "compare_server_default": True}',
                '{"compare_type": True}',
            ),
        ),
    ),
    Mistake(
        "the suite of migrations compares no types",
        "A column that a migration has made too small passes, and its first large value fails in production.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/suites/migrations.py",
                '{"compare_type": True, "compare_server_default": True}',
                '{"compare_type": False, "compare_server_default": True}',
            ),
        ),
    ),
    Mistake(
        "one look at running services that finds nothing to do is rest",
        "An event that goes from one service to the next between two looks is in neither: a stranger's test fails by "
        "chance, or passes before anything happened.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/tracking/session.py",
                "if not moving and (self._reader is None or progress == before):",
                "if not moving:",
            ),
        ),
    ),
    Mistake(
        "a session is at rest while a request or a handler runs",
        "What it is about to write is missing in the story, and the next test meets it.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/tracking/session.py",
                "any(left.now for left in self._pending.values()) or bool(self._spans.running)",
                "any(left.now for left in self._pending.values())",
            ),
        ),
    ),
    Mistake(
        "a look at a running service reads the ends of its topics before its outbox",
        "A record that the relay sends in between is seen in neither: the session ends before its event is handled.",
        OUTBOXED,
        (
            swap(f"{TESTING}/tracking/participants.py", "        ends = await self._reader.ends(self.consumes)\n", ""),
            swap(
                f"{TESTING}/tracking/participants.py",
                "        counted = await self._connection.fetchrow(COUNTED)\n",
                "        ends = await self._reader.ends(self.consumes)\n"
                "        counted = await self._connection.fetchrow(COUNTED)\n",
            ),
        ),
    ),
    Mistake(
        "of a batch the first body is kept as one record",
        "A stranger's publisher of batches is held to its contract by none of its records but one.",
        PACT_FASTSTREAM,
        (swap(f"{PACT}/sent.py", 'bodies = getattr(cmd, "batch_bodies", (cmd.body,))', "bodies = (cmd.body,)"),),
    ),
    Mistake(
        "a verifier that fails for another reason than a mismatch has found that all is kept",
        "Pact's plugin crashes after the first interaction: the provider is released, and nobody looked at the rest.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/verification.py",
                "    if problem and all(result.ok for result in results):\n"
                "        raise ProviderVerificationError(problem)\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a form that one service reads is kept for all that read it",
        "The second reader's form is nowhere: its event changes, nobody is told, and it fails in production.",
        ASYNCAPI_GATE,
        (
            swap(
                f"{GATE}/forms.py",
                "(form.service, form.event, form.direction) == (kept.service, kept.event, kept.direction)",
                "(form.event, form.direction) == (kept.event, kept.direction)",
            ),
        ),
    ),
    Mistake(
        "after old forms were dropped a new form is written over one that is kept",
        "The form that records of last week have is lost, and nobody is told that a reader can't read them.",
        ASYNCAPI_GATE,
        (
            swap(
                f"{GATE}/forms.py",
                "str(max(numbers, default=0) + 1)",
                "str(len(numbers) + 1)",
            ),
        ),
    ),
    Mistake(
        "the tenth form of an event comes before its second",
        "`make contracts-drop` takes the form of today for one that was followed "
        "long ago, and deletes what may be met.",
        ASYNCAPI_GATE,
        (
            swap(
                f"{GATE}/forms.py",
                "(form.service, form.direction, form.event, form.number)",
                "(form.service, form.direction, form.event, str(form.number))",
            ),
        ),
    ),
    Mistake(
        "what became of the first pact's interactions counts for the next pact, too",
        "Two consumers use the same words: an error with the first one's message is "
        "told of the second, whose contract is kept.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/verifying/answers.py",
                "        self._offered = offered\n        self.made = {}\n",
                "        self._offered = offered\n",
            ),
        ),
    ),
    Mistake(
        "a provider state that failed for one consumer has failed for the next ones",
        "The second consumer's contract is kept, and the provider's pipeline is red for it.",
        PACT_FASTSTREAM,
        (swap(f"{PACT}/http.py", "                arranger.failed.clear()\n", ""),),
    ),
    Mistake(
        "what was kept in one block is kept twice in the next one",
        "A stranger's second provider test with the same broker fails: the use case wrote 2 rows, not 1.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/sent.py",
                "        kept = self._records\n        is_open = True\n",
                "        kept = self._records\n",
            ),
            swap(
                f"{PACT}/sent.py",
                "                if is_open:\n"
                '                    bodies = getattr(cmd, "batch_bodies", (cmd.body,))\n'
                "                    kept.extend(_record(body, cmd.destination, cmd.key, "
                "cmd.headers or {}) for body in bodies)\n",
                '                bodies = getattr(cmd, "batch_bodies", (cmd.body,))\n'
                "                kept.extend(_record(body, cmd.destination, cmd.key, "
                "cmd.headers or {}) for body in bodies)\n",
            ),
            swap(
                f"{PACT}/sent.py",
                "        broker.add_middleware(Keeping)\n"
                "        try:\n"
                "            yield\n"
                "        finally:\n"
                "            is_open = False\n",
                "        broker.add_middleware(Keeping)\n        yield\n",
            ),
        ),
    ),
    Mistake(
        "the wipe after a test waits for a row for a millisecond",
        "A consumer that is just committing is taken for a transaction that was left open: tests fail now and then.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/isolation.py",
                'LOCK_LIMIT = "1s"',
                'LOCK_LIMIT = "1"',
            ),
        ),
    ),
    Mistake(
        "the tests' PostgreSQL has the zone of its machine",
        "A stranger's test of a day's boundary passes in CI and fails on a laptop in Berlin, or the reverse.",
        BACKING_SERVICES,
        (swap(f"{POSTGRES}/embedded.py", '    "timezone": "UTC",\n', ""),),
    ),
    Mistake(
        "a limit above a hash join excuses reading the joined table whole",
        "A statement that reads a million rows for ten passes the guard of plans, and is slow in production.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/plans.py",
                '"WindowAgg", "Hash", "ModifyTable"',
                '"WindowAgg", "ModifyTable"',
            ),
        ),
    ),
    Mistake(
        "each look at somebody else's folder keeps a file open",
        "A long session beside many xdist workers runs out of file descriptors, far from the cause.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/processes/temporary.py",
                "        except OSError:  # its owner lives\n            os.close(lock)\n",
                "        except OSError:  # its owner lives\n            continue\n",
            ),
        ),
    ),
    Mistake(
        "a process that is started again is ready by a line of its first life",
        "Whoever waits for the restarted process goes on before it listens: connection refused, now and then.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/processes/managed.py",
                "            log.seek(self._log_start)\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a cached data directory is that of other options",
        "Whoever upgrades to a release with another locale or encoding goes on with the data directory of before.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/installation.py",
                '" ".join([str(installation.folder), *INITDB]).encode()',
                "str(installation.folder).encode()",
            ),
        ),
    ),
    Mistake(
        "a form keeps the schemas that an event names, and not those that these name",
        "An event with an object in an object gets a form that can't be read: each later `make contracts` fails.",
        ASYNCAPI_GATE,
        (
            swap(
                f"{GATE}/forms.py",
                "        found[name] = schemas[name]\n        _collect(schemas[name], schemas, found)\n",
                "        found[name] = schemas[name]\n",
            ),
        ),
    ),
    Mistake(
        "the escapes of a reference are undone in the wrong order",
        "An event whose schema has ~ in its name can't be read, or is read as another one (RFC 6901, section 4).",
        ASYNCAPI_GATE,
        (
            swap(
                f"{GATE}/reading.py",
                'part.replace("~1", "/").replace("~0", "~")',
                'part.replace("~0", "~").replace("~1", "/")',
            ),
        ),
    ),
    Mistake(
        "the pacts of work in progress are those of the last nine days",
        "A feature branch that rests for a fortnight is verified by nobody: its "
        "author hears of the break at the merge.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/broker/source.py",
                "WORK_IN_PROGRESS = timedelta(days=90)",
                "WORK_IN_PROGRESS = timedelta(days=9)",
            ),
        ),
    ),
    Mistake(
        "a text that has a longest length has a shortest one, too",
        "A consumer that takes an empty note refuses the provider's empty note in its "
        "contract: a release is held up for nothing.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/rules.py",
                "{schema.get('minLength', 0)},",
                "{schema.get('minLength', 1)},",
            ),
        ),
    ),
    Mistake(
        "of a header that is there twice the contract has the last one",
        "The contract is kept by a value that no reader of the first one takes: the consumer fails in production.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/metadata.py",
                "for name, raw in reversed(record.headers)",
                "for name, raw in record.headers",
            ),
        ),
    ),
    Mistake(
        "what to do about missing images names the first one's reason for all",
        "Whoever has no container reads of one reason and sets one variable: the second run fails like the first.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/containers.py",
                "or set {' and '.join(needed[each] for each in cannot)}",
                "or set {needed[next(iter(cannot))]}",
            ),
        ),
    ),
    Mistake(
        "a database to which somebody is connected isn't dropped",
        "A stranger's test that left an engine open leaves its clone behind: the disk of a given server fills up.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/server.py",
                "drop database if exists {quoted(name)} with (force)",
                "drop database if exists {quoted(name)}",
            ),
        ),
    ),
    Mistake(
        "two runs on one server share the database of a worker",
        "Two developers test on one given server: each wipes the rows of the other, "
        "and both look for the fault at home.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/isolation.py",
                'f"{name}_test_{worker}_{os.getpid()}"',
                'f"{name}_test_{worker}"',
            ),
        ),
    ),
    Mistake(
        "a statement is judged once, whatever schema it is about",
        "A project has a schema for each tenant. A statement is judged in the first one "
        "alone, and in the others an index may be missing.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/plans.py",
                '            self._heard.setdefault((path, executed[1]), VALUE.findall(str(message.detail or "")))',
                "            if executed[1] not in {statement for _, statement in self._heard}:\n"
                '                self._heard[path, executed[1]] = VALUE.findall(str(message.detail or ""))',
            ),
        ),
    ),
    Mistake(
        "faults that need nothing wait for each other",
        "A storm in which everything may happen at once is a queue: what needs two faults at a time is never met.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/faults/schedule.py",
                "        async with free[one.fault.needs] if one.fault.needs else asyncio.Lock():\n",
                "        async with free[one.fault.needs]:\n",
            ),
        ),
    ),
    Mistake(
        "a connection that was slow or frozen is restored to that",
        "The storm never ends: what recovers is told as broken, and the next freeze is refused.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/faults/proxies.py",
                "        for toxic in toxics:\n",
                "        for toxic in toxics[:0]:\n",
            ),
        ),
    ),
    Mistake(
        "a unit test may send datagrams",
        "Its figures or log lines reach whoever listens, and it is red where the network is another one.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/guards/sockets.py", '"sendto", ', ""),),
    ),
    Mistake(
        "a unit test may look names up by functions that are older than getaddrinfo",
        "It waits for a name server, and is red on a laptop without one.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/guards/sockets.py", '"gethostbyname", "gethostbyaddr", ', ""),),
    ),
    Mistake(
        "a unit test may not write several buffers between two ends of its own",
        "From Python 3.12 on asyncio does so: a stranger's test is refused that uses no network.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/guards/sockets.py", " and arguments[-1] is not None:", ":"),),
    ),
    Mistake(
        "a thread without a name counts as one of a pool",
        "A test may leave any thread behind, and the next test fails by what it does.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/guards/leaks.py",
                'POOLS = ("asyncio_", "AnyIO worker thread")',
                'POOLS = ("asyncio_", "AnyIO worker thread", "Thread-")',
            ),
        ),
    ),
    Mistake(
        "exceptions that tests log are drawn by rich",
        "A test of what happens in an outage takes seconds for each line.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/plugin.py", '    if find_spec("structlog"):\n        _configure_structlog()\n', ""),),
    ),
    Mistake(
        "the plugin writes a project's logs in its own way",
        "A stranger's tests of their log lines fail once they install it.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/plugin.py", "    if not structlog.is_configured():\n", "    if structlog.get_config():\n"),),
    ),
    Mistake(
        "the cache of the programs that tests run is open to everybody",
        "Another user's program runs as oneself.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/_cache.py", "folder.mkdir(mode=0o700, ", "folder.mkdir("),),
    ),
    Mistake(
        "a cache that another user has made is taken",
        "Their programs run as oneself.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/_cache.py",
                "if folder.stat().st_uid != os.getuid():",
                "if folder.stat().st_uid < 0:",
            ),
        ),
    ),
    Mistake(
        "a supervisor waits five seconds, whatever it is told",
        "A process of a test that may end at once holds all the others up.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/processes/supervisor.py",
                "self._grace = grace",
                "self._grace = 5.0",
            ),
        ),
    ),
    Mistake(
        "a program that can't be fetched is printed as one that was",
        "The next command runs the words of the error.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/_cache.py",
                "        sys.exit(str(error))",
                "        print(error)",
            ),
        ),
    ),
    Mistake(
        "the contract broker is asked again without a pause",
        "CI has asked thirty times after a second, and refuses what the provider is just verifying.",
        PACT_FASTSTREAM,
        (swap(f"{PACT}/broker/decisions.py", "            time.sleep(self.seconds)\n", ""),),
    ),
    Mistake(
        "a read that failed is tried again at once",
        "A contract broker that starts again fails all builds of that minute.",
        PACT_FASTSTREAM,
        (swap(f"{PACT}/broker/client.py", "        time.sleep(wait)\n", ""),),
    ),
    Mistake(
        "the end of one service's deployment is recorded for all",
        "The broker takes production for empty, and says yes to whatever is deployed next.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/broker/deployments.py",
                "_there(broker, environment, DEPLOYED, pacticipant=service)",
                "_there(broker, environment, DEPLOYED)",
            ),
        ),
    ),
    Mistake(
        "the end of one service's release is recorded for all of that version",
        "Consumers that are still supported are not asked about any more.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/broker/deployments.py",
                "RELEASED, pacticipant=service, version=version)",
                "RELEASED, version=version)",
            ),
        ),
    ),
    Mistake(
        "what hanging provider tests have started lives on",
        "Its servers keep their ports, and the job of CI hangs on their open pipes.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/broker/verification.py",
                "                os.killpg(process.pid, signal.SIGKILL)",
                "                process.kill()",
            ),
        ),
    ),
    Mistake(
        "each interaction of a pact fails with those that broke",
        "The consumer's team mends what was kept.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/broker/source.py",
                "found = [result for result in results if result.interaction == interaction]",
                "found = list(results)",
            ),
        ),
    ),
    Mistake(
        "partitioned tables keep their rows",
        "The next test reads them.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/isolation.py",
                "where relkind in ('r', 'p') and not relispartition",
                "where relkind = 'r' and not relispartition",
            ),
        ),
    ),
    Mistake(
        "a table that is kept by its name with its schema is not kept",
        "Its rows are gone after the first test.",
        BACKING_SERVICES,
        (swap(f"{POSTGRES}/isolation.py", 'if not self._keep & {t, f"{s}.{t}"}', "if t not in self._keep"),),
    ),
    Mistake(
        "what a leaked connection has open stays open",
        "The next test waits for its locks, and fails in the place of the one that leaked it.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/isolation.py",
                "        if leaked:\n            await connection.execute(IDLE_IN_TRANSACTION)\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a connection that a test has cut is used again",
        "Every later test fails, far from the cause.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/isolation.py",
                "if self._connection is None or self._connection.is_closed():",
                "if self._connection is None:",
            ),
        ),
    ),
    Mistake(
        "the database of a test that fails stays",
        "A server that many runs share is full after a week.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/isolation.py",
                "        try:\n"
                "            yield self._server.url(database)\n"
                "        finally:\n"
                "            await self._server.drop_database(database)\n",
                "        yield self._server.url(database)\n        await self._server.drop_database(database)\n",
            ),
        ),
    ),
    Mistake(
        "the children of a process that is killed live on",
        "They keep its port and its leases, and the next one can't start.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/processes/managed.py",
                "        self._signal_group(signal.SIGKILL)",
                "        self._signal_process(signal.SIGKILL)",
            ),
        ),
    ),
    Mistake(
        "a process is ready whatever it answers",
        "Who waited for it goes on while it still says 503.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/processes/readiness.py", "HTTP/1\\.[01] 2\\d\\d ", "HTTP/1\\.[01] \\d\\d\\d "),),
    ),
    Mistake(
        "five deaths are too many, however far apart",
        "A long run with faults ends by a failure that nobody caused.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/processes/supervisor.py",
                "            if len(deaths) == self._lives and deaths[-1] - deaths[0] < WITHIN:",
                "            if len(deaths) == self._lives:",
            ),
        ),
    ),
    Mistake(
        "a process that did not become ready lives on",
        "It keeps its port and its partitions beside the next attempt.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/processes/supervisor.py",
                "            await process.stop(self._grace)\n            raise\n",
                "            raise\n",
            ),
        ),
    ),
    Mistake(
        "the contract broker is asked wherever its links lead",
        "The credentials go to another host, or nobody is there.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/broker/client.py",
                "str(base.copy_with(raw_path=path))",
                "str(httpx.URL(href).copy_with(raw_path=path))",
            ),
        ),
    ),
    Mistake(
        "a temporary folder's lock has its name before it is held",
        "Of two runs that begin at once one deletes the other's database.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/processes/temporary.py", 'new = self.path / f"{LOCK}.new"', "new = self.path / LOCK"),),
    ),
    Mistake(
        "an example's instant loses its zone",
        "A provider that is right fails a consumer that writes +02:00.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/values/expected.py",
                "datetime.fromisoformat(text).astimezone(UTC)",
                "datetime.fromisoformat(text).replace(tzinfo=UTC)",
            ),
        ),
    ),
    Mistake(
        "a pattern of field names has to fit the whole name",
        "The gate passes a change that breaks the readers of such a field.",
        ASYNCAPI_GATE,
        (
            swap(
                f"{GATE}/schemas.py", "re.search(pattern, name) is not None", "re.fullmatch(pattern, name) is not None"
            ),
        ),
    ),
    Mistake(
        "a pooler is asked to end",
        "From PgBouncer 1.23 on it waits for its clients: what a test means as a crash is none, and takes 5 s.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/pooler.py",
                "        process.kill()  # since 1.23 it waits for its clients on SIGTERM\n"
                "        process.wait(STOP_LIMIT)\n",
                "        process.terminate()\n"
                "        try:\n"
                "            process.wait(STOP_LIMIT)\n"
                "        except subprocess.TimeoutExpired:\n"
                "            process.kill()\n",
            ),
        ),
    ),
    Mistake(
        "a failure of Maven is left to check=True",
        "Who has no network gets a traceback with an exit status, and not a word of what Maven said.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/kafka/fetch.py",
                "done = subprocess.run(command, check=False, capture_output=True, text=True)",
                "done = subprocess.run(command, check=True, capture_output=True, text=True)",
            ),
        ),
    ),
    Mistake(
        "a failure of Go is left to check=True",
        "Who has no network gets a traceback with an exit status, and not a word of what Go said.",
        BACKING_SERVICES,
        (swap(f"{BACKING}/faults/fetch.py", "        check=False,\n", "        check=True,\n"),),
    ),
    Mistake(
        "a repeated interaction is numbered by its variant, not by its place in the pact",
        "Of two interactions with one description and different states, the results of one count for the other.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/verifying/repeated.py",
                "description = f\"{len(offered)}: {interaction['description']}\"",
                "description = f\"{variant}: {interaction['description']}\"",
            ),
        ),
    ),
    Mistake(
        "an interaction with parameters is asked once, also of a state that has no `asked`",
        "Only the first use case is verified: what the others publish may break the consumer.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/verifying/answers.py",
                'return 1 if states[0].get("params") and state.asked else len(state.variants)',
                'return 1 if states[0].get("params") else len(state.variants)',
            ),
        ),
    ),
    Mistake(
        "of two expectations with one description the last one counts",
        "The first one isn't in the pact: nobody verifies it, and its consumer breaks.",
        PACT_FASTSTREAM,
        (
            swap(
                f"{PACT}/messages.py",
                "        refuse_twice(descriptions, self.consumer, self.provider)\n",
                "        tuple(descriptions)\n",
            ),
        ),
    ),
    Mistake(
        "a run in a folder below counts as one of whole levels",
        "Whoever runs pytest there is told of fewer tests each time, and learns not to look.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/_report.py",
                "    by_testpaths = config.args_source is pytest.Config.ArgsSource.TESTPATHS\n",
                "    by_testpaths = config.args_source is not pytest.Config.ArgsSource.ARGS\n",
            ),
        ),
    ),
    Mistake(
        "a connection that comes back to one engine makes up for a leak of another",
        "A test that leaks a connection passes.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/isolation.py",
                "            leaked += max(now - before, 0)\n",
                "            leaked += now - before\n",
            ),
        ),
    ),
    Mistake(
        "Maven copies to where the complete folder will be",
        "A download that broke off counts as complete for ever: Kafka never starts.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/kafka/fetch.py",
                'f"-DoutputDirectory={folder}"]',
                'f"-DoutputDirectory={jars_folder()}"]',
            ),
        ),
    ),
    Mistake(
        "a log is kept over several starts of PostgreSQL",
        "A start that fails is told with the reason of an earlier one.",
        BACKING_SERVICES,
        (
            swap(
                f"{POSTGRES}/embedded.py",
                '        with self._log.open("wb") as log:',
                '        with self._log.open("ab") as log:',
            ),
        ),
    ),
    Mistake(
        "a chosen level is collected whatever else says no",
        "A folder that a developer ignores runs all the same.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/plugin.py",
                "        return collection_path.name not in chosen or None",
                "        return collection_path.name not in chosen",
            ),
        ),
    ),
    Mistake(
        "a suite ends its consumer before the event was handled",
        "A service passes that commits its offset before its transaction, and loses events in a crash.",
        OUTBOXED,
        (
            swap(
                f"{TESTING}/suites/delivery.py",
                "                yield uow\n                in_hand.set()\n",
                "                in_hand.set()\n                yield uow\n",
            ),
        ),
    ),
    Mistake(
        "Kafka's directory stays relative",
        "The process looks for it below itself, and never starts.",
        BACKING_SERVICES,
        (
            swap(
                f"{BACKING}/kafka/apache.py",
                "        self._directory = directory.absolute() if directory else None",
                "        self._directory = directory",
            ),
        ),
    ),
)
