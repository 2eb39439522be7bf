"""Mistakes in the console: who gets in, what an operator sees and waits for, and what the log keeps."""

from tools.mistakes.mistake import CONSOLE, Mistake, swap
from tools.scratch import Edit

CONSOLE_SOURCES = "console/src/shop_console"
PAGES, TEMPLATES = f"{CONSOLE_SOURCES}/pages", f"{CONSOLE_SOURCES}/templates"

MISTAKES = (
    Mistake(
        "the second page of orders begins with the second order",
        "An operator pages through the same orders again and again, and never reaches the older ones.",
        CONSOLE,
        (swap(f"{PAGES}/orders.py", "after=(page - 1) * PAGE)", "after=page - 1)"),),
    ),
    Mistake(
        "the second page of the mailbox begins with the second e-mail",
        "An operator who looks for an e-mail of this morning pages through the newest fifty for ever.",
        CONSOLE,
        (swap(f"{PAGES}/mailbox.py", "start=(page - 1) * PAGE,", "start=page - 1,"),),
    ),
    Mistake(
        "an order's open page doesn't remember what was new",
        "Once an order of anybody else comes, the loop never waits again: the whole "
        "console stands still for all operators.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/changes.py",
                "            continue\n"
                "        try:\n"
                "            async with asyncio.timeout(STILL_HERE):\n"
                "                version = await index.wait(version)",
                "            continue\n"
                "        try:\n"
                "            async with asyncio.timeout(STILL_HERE):\n"
                "                await index.wait(version)",
            ),
        ),
    ),
    Mistake(
        "the console asks Kafka for a time in seconds",
        "It looks an older order up from January 1970 on, is cut after 50,000 records, "
        "and shows an operator no record of it.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/topics.py",
                "milliseconds = int(moment.timestamp() * 1000)",
                "milliseconds = int(moment.timestamp())",
            ),
        ),
    ),
    Mistake(
        "a service that is away when the console asks is forgotten",
        "While a service is down an operator doesn't see it in Flow, can't open its "
        "dead letters, and its topics aren't read.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/teller.py",
                "services = dict(self.catalogue.services)",
                "services = dict(Catalogue().services)",
            ),
        ),
    ),
    Mistake(
        "the time of a look-up begins anew with each turn",
        "Kafka has a partition without a leader: the operator's page never comes, and its connection is held for ever.",
        CONSOLE,
        (
            swap(f"{CONSOLE_SOURCES}/topics.py", "    end_of_time = clock() + LOOK_UP_SECONDS\n", ""),
            swap(
                f"{CONSOLE_SOURCES}/topics.py",
                "            if clock() > end_of_time or read > LOOK_UP_RECORDS:\n",
                "            end_of_time = clock() + LOOK_UP_SECONDS\n"
                "            if clock() > end_of_time or read > LOOK_UP_RECORDS:\n",
            ),
        ),
    ),
    Mistake(
        "a pause begins at the end of the step that began last",
        "A person sees a gap of seconds in a story while a charge was running, and looks for it in the wrong place.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/story.py",
                "ends = accumulate((step.end for step in steps), max)",
                "ends = (step.end for step in steps)",
            ),
        ),
    ),
    Mistake(
        "the console asks a service for as many letters as it gives by itself",
        "After a bad release an operator sees a hundred of two hundred letters, and thinks that these are all.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/letters.py",
                'params={"status": status, "limit": LISTED}',
                'params={"status": status}',
            ),
        ),
    ),
    Mistake(
        "an e-mail is waited for as long as it takes",
        "The mail catcher hangs: the story of an order never comes, where it should say what is missing.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/facts.py",
                '/api/v1/message/{mail_id}", timeout=TIMEOUT_SECONDS)',
                '/api/v1/message/{mail_id}", timeout=None)',
            ),
        ),
    ),
    Mistake(
        "a search that is cut short doesn't tell the newest first",
        "An operator who looks for a customer's orders sees the oldest two hundred, and not those of today.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/index.py",
                "        for _, key in reversed(self._by_age):\n"
                "            order = self._orders[key]\n"
                "            if key.lower()",
                "        for _, key in self._by_age:\n"
                "            order = self._orders[key]\n"
                "            if key.lower()",
            ),
        ),
    ),
    Mistake(
        "whoever logs in to the console is written down with what they typed",
        "The operators' passwords are in the log, for everybody who may read it.",
        CONSOLE,
        (
            swap(
                f"{PAGES}/access.py",
                'log.info("operator_logged_in", operator=session.email)',
                'log.info("operator_logged_in", operator=session.email, form={"email": email, "password": password})',
            ),
        ),
    ),
    Mistake(
        "the line about a changed dead letter has the operator's token",
        "Whoever reads the log is an operator for an hour.",
        CONSOLE,
        (
            swap(
                f"{PAGES}/letters.py",
                'letter=letter.raw["id"], operator=session.email\n',
                'letter=letter.raw["id"], operator=session.email, token=session.token\n',
            ),
        ),
    ),
    Mistake(
        "a change that a service refused is in the audit log as made",
        "Whoever looks for who replayed a letter finds somebody who could not.",
        CONSOLE,
        (
            swap(
                f"{PAGES}/letters.py",
                "    try:\n"
                "        await change\n"
                "    except RefusedError as error:\n"
                "        return _page(needs, session, letter, problem=str(error), code=409, **shown)\n"
                "    log.info(\n"
                '        "dead_letter_changed", change=what, service=letter.service, '
                'letter=letter.raw["id"], operator=session.email\n'
                "    )\n",
                "    log.info(\n"
                '        "dead_letter_changed", change=what, service=letter.service, '
                'letter=letter.raw["id"], operator=session.email\n'
                "    )\n"
                "    try:\n"
                "        await change\n"
                "    except RefusedError as error:\n"
                "        return _page(needs, session, letter, problem=str(error), code=409, **shown)\n",
            ),
        ),
    ),
    Mistake(
        "poison goes to the topic without its prefix",
        "Whoever shares a Kafka by prefixes poisons the topic of another team, whose consumers bury it.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/breaking.py",
                "producer.send_and_wait(kafka.topic(topic), ",
                "producer.send_and_wait(topic, ",
            ),
        ),
    ),
    Mistake(
        "the console reads the topics without their prefix",
        "Where several shops share a Kafka an operator sees the orders, names and addresses of another shop.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/topics.py",
                "named = [settings.topic(topic) for topic in topics]",
                "named = list(topics)",
            ),
        ),
    ),
    Mistake(
        "a script may read the operator's cookie",
        "One line of foreign HTML is an operator.",
        CONSOLE,
        (swap(f"{PAGES}/access.py", "httponly=True", "httponly=False"),),
    ),
    Mistake(
        "the operator's cookie goes over the wire in the clear",
        "Whoever listens is an operator.",
        CONSOLE,
        (swap(f"{PAGES}/access.py", ", secure=secure)", ")"),),
    ),
    Mistake(
        "the operator's cookie comes with what other sites ask for",
        "A page elsewhere replays dead letters.",
        CONSOLE,
        (swap(f"{PAGES}/access.py", 'samesite="lax"', 'samesite="none"'),),
    ),
    Mistake(
        "anybody may read the e-mails",
        "They have names, addresses and what was bought.",
        CONSOLE,
        (
            swap(
                f"{PAGES}/mailbox.py",
                "async def html(mail_id: str, needs: Wanted, _: Operator)",
                "async def html(mail_id: str, needs: Wanted)",
            ),
        ),
    ),
    Mistake(
        "a form of another site breaks the system",
        "Nobody knows who did it.",
        CONSOLE,
        (
            swap(f"{PAGES}/breaking.py", "session: Changing, breaks", "session: Operator, breaks"),
            swap(f"{PAGES}/breaking.py", "import Changing, Operator", "import Operator"),
        ),
    ),
    Mistake(
        "a page of another site may frame the console",
        "A click there is a click here.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/guards.py", "frame-ancestors 'self'", "frame-ancestors *"),),
    ),
    Mistake(
        "browsers guess what an answer is",
        "A text is run as a script.",
        CONSOLE,
        (Edit(f"{CONSOLE_SOURCES}/guards.py", r'^ +"X-Content-Type-Options": "nosniff",\n', ""),),
    ),
    Mistake(
        "the console asks orders for a login, whatever is set",
        "Operators of another service can't log in.",
        CONSOLE,
        (
            swap(
                f"{PAGES}/access.py",
                "teller.settings.services[teller.settings.tokens_from]",
                'teller.settings.services["orders"]',
            ),
        ),
    ),
    Mistake(
        "who logs out stays logged in",
        "The cookie of a lost machine is good for an hour.",
        CONSOLE,
        (swap(f"{PAGES}/access.py", "    needs.sessions.close(session.id)\n", ""),),
    ),
    Mistake(
        "after an outage of Kafka the console reads a record again",
        "An order's story has a step twice, and rates are too high.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/topics.py", "= one.offset + 1", "= one.offset"),),
    ),
    Mistake(
        "the console reads a topic that was made again from where the old one ended",
        "It shows nothing until as many records have come.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/topics.py", "known if known <= ends[partition] else first", "known"),),
    ),
    Mistake(
        "the console's dead letters come oldest first",
        "What has just happened is on the last page.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/letters.py", "letter.failed_at, reverse=True)", "letter.failed_at)"),),
    ),
    Mistake(
        "the console takes the text of a time for the time",
        "Within a second the last thing is shown first.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/letters.py",
                "key=lambda letter: letter.failed_at",
                'key=lambda letter: str(letter.raw["failed_at"])',
            ),
        ),
    ),
    Mistake(
        "a replay from the console has as long as a page",
        "The service goes on, and the operator is told that it failed.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/letters.py",
                'TIMEOUT_SECONDS if method == "GET" else AN_EDIT_TAKES',
                "TIMEOUT_SECONDS",
            ),
        ),
    ),
    Mistake(
        "the console reads a form of any size",
        "Whoever reaches it fills its memory, and needs no login.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/guards.py",
                "not length.isdigit() or int(length) > MAX_FORM_BYTES",
                "not length.isdigit()",
            ),
        ),
    ),
    Mistake(
        "a form sends a value that nobody changed",
        "A value that was null is empty text from then on.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/letters.py",
                "None if other.value == self.value else _raw(other.value)",
                "_raw(other.value)",
            ),
        ),
    ),
    Mistake(
        "a key with a capital letter is never found",
        "An operator is told that there is no such order.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/index.py", "key.lower().startswith(sought)", "key.startswith(sought)"),),
    ),
    Mistake(
        "a fault that is over may not begin again",
        "An operator at a training kills a service once. From then on they are told that the "
        "fault still goes on, until everything is started anew.",
        CONSOLE,
        (
            swap(
                "harness/src/shop_harness/breaking.py",
                "if name in self._running and not self._running[name].done():",
                "if name in self._running:",
            ),
        ),
    ),
    Mistake(
        "the console takes a figure that a service doesn't know for a number",
        "While a service's database is away its figures are NaN: Flow is an error in just the outage that it is for.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/flow.py",
                "            if not math.isnan(sample.value):\n"
                '                samples.setdefault(sample.name, {})["".join(sample.labels.values())] = sample.value',
                '            samples.setdefault(sample.name, {})["".join(sample.labels.values())] = sample.value',
            ),
        ),
    ),
    Mistake(
        "the console has no dead letters where it doesn't know of any",
        "While a service's database is away an operator reads that it has 0 of them, and looks no further.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/flow.py",
                'letters=samples.get("dead_letters"),',
                'letters=samples.get("dead_letters", {}),',
            ),
        ),
    ),
    Mistake(
        "the last page of orders counts only if it is full",
        "No link leads to the oldest orders.",
        CONSOLE,
        (swap(f"{PAGES}/orders.py", "-(-len(index) // PAGE)", "len(index) // PAGE"),),
    ),
    Mistake(
        "the last page of the mailbox counts only if it is full",
        "No link leads to the oldest e-mails.",
        CONSOLE,
        (
            swap(
                f"{PAGES}/mailbox.py",
                '-(-int(found["messages_count"]) // PAGE)',
                'int(found["messages_count"]) // PAGE',
            ),
        ),
    ),
    Mistake(
        "the second page of a search in the mailbox is one of all e-mails",
        "An operator who looks for one customer's e-mails goes on to everybody's.",
        CONSOLE,
        (
            swap(
                f"{TEMPLATES}/mailbox.html",
                '?page={{ page + 1 }}&amp;q={{ q | urlencode }}">Older',
                '?page={{ page + 1 }}">Older',
            ),
        ),
    ),
    Mistake(
        "a page of orders forgets what was searched and which page it was once an order comes",
        "An operator who reads the orders of a customer has everybody's newest ones a second later.",
        CONSOLE,
        (swap(f"{TEMPLATES}/orders.html", """hx-vals='{{ {"q": q, "page": page} | tojson }}' """, ""),),
    ),
    Mistake(
        "the console doesn't say that Kafka is away",
        "Pages show old orders as if they were the newest, and the console says that it is ready.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/topics.py",
                '                self.problem = f"Kafka does not answer: {type(error).__name__}"\n',
                "",
            ),
        ),
    ),
    Mistake(
        "whoever logs in comes to the orders, whatever they had asked for",
        "At three in the morning an alarm's link to a dead letter leads elsewhere.",
        CONSOLE,
        (swap(f"{TEMPLATES}/login.html", '  <input type="hidden" name="next" value="{{ next }}">\n', ""),),
    ),
    Mistake(
        "whoever logs in comes to the page that they asked for without its query",
        "A link to what was searched leads to the newest orders.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/browser.py", 'return f"{path}?{query}" if query else path', "return path"),),
    ),
    Mistake(
        "a fault from which nobody recovers is watched for ever",
        "An operator waits for an end that never comes, and each service is asked four times a second until a restart.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/breaking.py",
                "        elif seconds > GIVEN_UP_AFTER:\n"
                '            watch.end = f"not recovered within {GIVEN_UP_AFTER:g} s; see Flow and Dead letters"\n',
                "",
            ),
        ),
    ),
    Mistake(
        "a token that a service refuses is a fact that is missing",
        "After an hour each story says that no service answers, and an operator looks for an outage.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/facts.py",
                "        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:\n"
                "            raise NotLoggedInError(url)\n",
                "",
            ),
        ),
    ),
    Mistake(
        "the console is ready whatever it says",
        "One that has met no service and reads no topic gets all requests.",
        CONSOLE,
        (swap(f"{PAGES}/access.py", "503 if reason else 200)", "200)"),),
    ),
    Mistake(
        "the console listens at one address, whatever is set",
        "Nobody reaches it in a container.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/__main__.py",
                "bind(settings.http_host, settings.http_port,",
                'bind("127.0.0.1", settings.http_port,',
            ),
        ),
    ),
    Mistake(
        "the console logs at one level, whatever is set",
        "A knob that does nothing.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/__main__.py", "level=settings.log_level)", 'level="INFO")'),),
    ),
    Mistake(
        "the console reads as much of the topics as by default, whatever is set",
        "Who holds a million orders has ten thousand after a restart.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/teller.py",
                "Follower(settings.kafka, index, settings.kept_orders)",
                "Follower(settings.kafka, index, 10_000)",
            ),
        ),
    ),
    Mistake(
        "poison goes to Kafka without a login",
        "On a cluster that wants one the fault can't begin.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/breaking.py",
                "AIOKafkaProducer(**kafka.client_options())",
                "AIOKafkaProducer(bootstrap_servers=list(kafka.bootstrap_servers))",
            ),
        ),
    ),
    Mistake(
        "an open page of orders is told of each record at once",
        "Under load each browser asks for all its rows hundreds of times a second.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/changes.py", "            await asyncio.sleep(AT_MOST_EVERY)\n", ""),),
    ),
    Mistake(
        "an order's open page looks three times at once after a record",
        "It doesn't show the e-mail that came a second later, and each look asks every service.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/changes.py", "                await asyncio.sleep(pause)\n", ""),),
    ),
    Mistake(
        "a record's value is markup on the operators' page",
        "What a customer typed as their name is a form that sends an operator's password elsewhere.",
        CONSOLE,
        (swap(f"{TEMPLATES}/order_story.html", "{{ one.value }}", "{{ one.value | safe }}"),),
    ),
    Mistake(
        "no value of a page is escaped",
        "What a customer typed as their name is a form that sends an operator's password elsewhere.",
        CONSOLE,
        (swap(f"{CONSOLE_SOURCES}/needs.py", "autoescape=True", "autoescape=False"),),
    ),
    Mistake(
        "an e-mail's pictures are loaded from wherever its writer wants",
        "The writer learns who reads it, where and when.",
        CONSOLE,
        (swap(f"{PAGES}/mailbox.py", "img-src data:; ", "img-src *; "),),
    ),
    Mistake(
        "the pages of a search are counted by all e-mails",
        "Behind the one page of what was found are hundreds of empty ones.",
        CONSOLE,
        (
            swap(
                f"{PAGES}/mailbox.py",
                'max(1, -(-int(found["messages_count"]) // PAGE))',
                'max(1, -(-int(found["total"]) // PAGE))',
            ),
        ),
    ),
    Mistake(
        "the raw records of a story are numbered from one, and its steps link from zero",
        "Each step leads to the record before its own: an operator judges by the wrong event.",
        CONSOLE,
        (
            swap(
                f"{TEMPLATES}/order_story.html",
                '<details id="record-{{ loop.index0 }}">',
                '<details id="record-{{ loop.index }}">',
            ),
        ),
    ),
    Mistake(
        "a service that describes itself with a list in place of an object ends the console's work",
        "One odd document stops the reading of all topics and services, where that one alone should be missing.",
        CONSOLE,
        (
            swap(
                f"{CONSOLE_SOURCES}/catalogue.py",
                "    except (KeyError, TypeError, AttributeError) as error:\n",
                "    except (KeyError, TypeError) as error:\n",
            ),
        ),
    ),
    Mistake(
        "any digit is a number of a version",
        "One spoilt record, with a superscript, and every page of the console fails.",
        CONSOLE,
        (
            swap(
                "console/src/shop_console/seen.py",
                "        return int(text) if text.isascii() and text.isdigit() else 0",
                "        return int(text) if text.isdigit() else 0",
            ),
        ),
    ),
    Mistake(
        "each look prolongs what is known of contracts",
        "Whoever reloads the page to see a build end sees the old state for ever.",
        CONSOLE,
        (
            swap(
                "console/src/shop_console/contracts.py",
                "self._told, self._until = await self._tell(), clock() + KNOWN_FOR",
                "self._told = await self._tell()",
            ),
            swap(
                "console/src/shop_console/contracts.py",
                "        return self._told\n",
                "        self._until = clock() + KNOWN_FOR\n        return self._told\n",
            ),
        ),
    ),
)
