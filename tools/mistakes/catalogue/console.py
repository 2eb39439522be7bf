"""Mistakes in the console: who gets in, what an operator sees and waits for, and what the log keeps."""

from tools.mistakes.mistake import CONSOLE, Mistake, swap
from tools.scratch import Edit

CONSOLE_SOURCES = "console/src/shop_console"
PAGES = f"{CONSOLE_SOURCES}/pages"

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
)
