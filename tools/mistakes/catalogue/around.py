"""Mistakes in what stands around the services: what they call and send to, and what runs and judges them."""

from tools.mistakes.mistake import DEMO, HARNESS, SANDBOX, SHOP, Mistake, swap
from tools.scratch import Edit

MAIL_CATCHER = "sandbox/src/mail_catcher/__main__.py"
HARNESS_SOURCES = "harness/src/shop_harness"

MISTAKES = (
    Mistake(
        "the mail catcher asks for no login, whatever is set",
        "A service without its login sends e-mails here, and none in production.",
        SANDBOX,
        (swap(MAIL_CATCHER, "tls=tls, login=settings.login", "tls=tls"),),
    ),
    Mistake(
        "the mail catcher speaks no TLS, whatever is set",
        "A service that trusts nobody sends e-mails here.",
        SANDBOX,
        (swap(MAIL_CATCHER, "tls=tls, login=settings.login", "login=settings.login"),),
    ),
    Mistake(
        "the mail catcher keeps ten thousand e-mails, whatever is set",
        "A run of a day fills the memory, or forgets what it is judged by.",
        SANDBOX,
        (swap(MAIL_CATCHER, "Store(settings.max_messages)", "Store()"),),
    ),
    Mistake(
        "the gateway's stand-in listens to the whole network",
        "Anybody changes what the tests are judged by.",
        SHOP,
        (swap("sandbox/src/payment_gateway/settings.py", 'host: str = "127.0.0.1"', 'host: str = "0.0.0.0"'),),
    ),
    Mistake(
        "the tests' PostgreSQL listens to the whole network",
        "It asks nobody for a password.",
        SHOP,
        (
            swap(
                "libs/backing_services/src/backing_services/postgres/embedded.py",
                '"listen_addresses": "127.0.0.1" if',
                '"listen_addresses": "*" if',
            ),
        ),
    ),
    Mistake(
        "two gateways on one ledger look before they are alone",
        "A key is charged twice by what is there to judge that.",
        SANDBOX,
        (swap("sandbox/src/payment_gateway/ledger.py", "BEGIN IMMEDIATE", "BEGIN"),),
    ),
    Mistake(
        "the ledger's journal is in memory",
        "A kill leaves half of a write in the ledger by which all is judged.",
        SANDBOX,
        (swap("sandbox/src/payment_gateway/ledger.py", "journal_mode = WAL", "journal_mode = MEMORY"),),
    ),
    Mistake(
        "customers ask again without a cap of their pause",
        "Nobody asks any more when the shop is back.",
        HARNESS,
        (swap(f"{HARNESS_SOURCES}/customers.py", "min(self.cap, self.first", "max(self.cap, self.first"),),
    ),
    Mistake(
        "the demo's members are none",
        "No order of the demo has a member's discount.",
        DEMO,
        (swap("demo/src/shop_demo/customers.py", "        if line.is_member:\n", "        if not line.is_member:\n"),),
    ),
    Mistake(
        "what the gateway decided by half stays in its ledger",
        "A charge is there that nobody was told of.",
        SANDBOX,
        (
            swap(
                "sandbox/src/payment_gateway/ledger.py",
                'self._connection.execute("ROLLBACK")',
                'self._connection.execute("COMMIT")',
            ),
        ),
    ),
    Mistake(
        "a fault of one mailbox is that of an address written in the same way alone",
        "A test of a refused address sends its e-mail, and passes.",
        SANDBOX,
        (
            swap(
                "sandbox/src/mail_catcher/faults.py",
                '(fault.recipient or "").lower() in present',
                '(fault.recipient or "") in present',
            ),
        ),
    ),
    Mistake(
        "a partner that says it failed has done the job",
        "A service that gives up is tested against a partner that did not.",
        SANDBOX,
        (
            Edit(
                "sandbox/src/partner/api.py",
                r"(    if fault is not None and fault\.action [^\n]*\n[^\n]*\n)(    job = needs\.do\(key, body\)\n)",
                r"\2\1",
            ),
        ),
    ),
    Mistake(
        "a time-out of no seconds lasts half a minute",
        "A test that wants none waits, and calls the service slow.",
        SANDBOX,
        (
            swap(
                "sandbox/src/payment_gateway/api.py",
                "_SECONDS_WITHHELD if fault.seconds is None else fault.seconds",
                "fault.seconds or _SECONDS_WITHHELD",
            ),
        ),
    ),
    Mistake(
        "a shop is at rest while a record waits",
        "A run is judged before it has ended.",
        HARNESS,
        (
            swap(
                f"{HARNESS_SOURCES}/evidence.py",
                "self.open_work == 0 and not any(self.lag.values()) and",
                "self.open_work == 0 and",
            ),
        ),
    ),
    Mistake(
        "an e-mail that comes is no progress",
        "A run is judged as stuck while its e-mails arrive.",
        HARNESS,
        (swap(f"{HARNESS_SOURCES}/evidence.py", "(self.mails, self.kept,", "(self.kept,"),),
    ),
    Mistake(
        "a customer whose answer is lost doesn't ask again",
        "A crash in the middle of an answer looks like an order that was never wanted.",
        HARNESS,
        (swap(f"{HARNESS_SOURCES}/customers.py", "except httpx.TransportError:", "except httpx.ConnectError:"),),
    ),
    Mistake(
        "a customer who cancels doesn't say who it is",
        "No order is cancelled, and the rules of a cancellation look at nothing.",
        HARNESS,
        (
            swap(
                f"{HARNESS_SOURCES}/customers.py",
                'f"/orders/{order_id}/cancel", headers=headers',
                'f"/orders/{order_id}/cancel"',
            ),
        ),
    ),
    Mistake(
        "whoever says anything of a membership is a member in the demo",
        "Guests pay five per cent less, and the sums of the demo are others.",
        DEMO,
        (
            swap(
                "demo/src/shop_demo/order_lines.py",
                'content.pop("member", None) is True',
                'bool(content.pop("member", None))',
            ),
        ),
    ),
    Mistake(
        "the demo counts no cancelled order",
        "Its last line says that all went well for everybody.",
        DEMO,
        (swap("demo/src/shop_demo/summary.py", 'statuses["CANCELLED"]', 'statuses["CANCELED"]'),),
    ),
    Mistake(
        "the demo's refused lines are those that were sent again",
        "A shop that refuses everything looks well.",
        DEMO,
        (swap("demo/src/shop_demo/summary.py", "rejected=len(outcome.rejected)", "rejected=outcome.replayed"),),
    ),
    Mistake(
        "the ledger of e-mails is its first page",
        "A run of thousands of orders is told that e-mails never came which came, "
        "and doesn't see those that came twice.",
        HARNESS,
        (
            swap(
                f"{HARNESS_SOURCES}/ledgers.py",
                "        if len(messages) < MAIL_PAGE:\n            return mails\n",
                "        return mails\n",
            ),
        ),
    ),
    Mistake(
        "the mail catcher of a run forgets what came first",
        "`make faults` with thousands of orders counts e-mails as lost that its own ledger has dropped.",
        HARNESS,
        (swap(f"{HARNESS_SOURCES}/system.py", 'MAIL_CATCHER_ROOM = "1000000"', 'MAIL_CATCHER_ROOM = "1000"'),),
    ),
    Mistake(
        "PostgreSQL of a run may lose what it has committed",
        "A crash of PostgreSQL in `make up` or in the faults loses orders that were "
        "answered with 201; the shop is blamed.",
        DEMO,
        (
            swap(
                f"{HARNESS_SOURCES}/system.py",
                "EmbeddedPostgres(durable=True, port=0)",
                "EmbeddedPostgres(port=0)",
            ),
        ),
    ),
    Mistake(
        "an e-mail was caught when somebody first looked at it",
        "The story of an order shows e-mails minutes after they were sent; whoever measures by "
        "the mail catcher measures when somebody looked.",
        SANDBOX,
        (
            swap(
                "sandbox/src/mail_catcher/message.py",
                "replace(message, id=self.id, created=self.created)",
                "replace(message, id=self.id)",
            ),
        ),
    ),
    Mistake(
        "an e-mail that gave way still counts as read",
        "A tester's mailbox says that it has fewer unread e-mails than it has, and less than none in the end.",
        SANDBOX,
        (
            swap(
                "sandbox/src/mail_catcher/store.py",
                "            dropped, _ = self._messages.popitem(last=False)\n"
                "            self._read.discard(dropped)\n",
                "            self._messages.popitem(last=False)\n",
            ),
        ),
    ),
    Mistake(
        "a mailbox that was emptied remembers what was read",
        "The next test's mailbox begins with a negative number of unread e-mails.",
        SANDBOX,
        (
            swap(
                "sandbox/src/mail_catcher/store.py",
                "        self._messages.clear()\n        self._read.clear()\n",
                "        self._messages.clear()\n",
            ),
        ),
    ),
    Mistake(
        "an order that was sent twice was accepted the second time",
        "The demo's latencies are better than what a customer waited.",
        DEMO,
        (
            swap(
                "demo/src/shop_demo/customers.py",
                "outcome.accepted.setdefault(order_id, Placed(order_id, email, datetime.now(UTC)))",
                "outcome.accepted[order_id] = Placed(order_id, email, datetime.now(UTC))",
            ),
        ),
    ),
    Mistake(
        "a run counts tasks of deadlines as work that is left",
        "The deadline of each confirmed order waits for a quarter of an hour: the demo gives "
        "up after a minute, and says that tasks are left.",
        HARNESS,
        (swap(f"{HARNESS_SOURCES}/ledgers.py", " from tasks where kind <> 'payment_deadline'", " from tasks"),),
    ),
    Mistake(
        "a customer who is asked to come again gives up",
        "A run with many customers from one address loses orders at the limit of logins, and the shop is blamed.",
        HARNESS,
        (
            swap(
                f"{HARNESS_SOURCES}/customers.py",
                "frozenset({429, 500, 502, 503, 504})",
                "frozenset({500, 502, 503, 504})",
            ),
        ),
    ),
    Mistake(
        "a program of the sandbox waits for its clients at its end",
        "Ctrl-C of `make up` hangs as long as a browser holds an answer, until the supervisor kills the gateway.",
        SANDBOX,
        (
            swap(
                "sandbox/src/sandbox_process/process.py",
                ", access_log=False, timeout_graceful_shutdown=1\n",
                ", access_log=False\n",
            ),
        ),
    ),
    Mistake(
        "the demo sends lines that are all refused for ever",
        "`make demo` with a file of somebody's own never ends, and never says what is wrong with it.",
        DEMO,
        (swap("demo/src/shop_demo/customers.py", " and refused_since < len(lines):", ":"),),
    ),
    Mistake(
        "ledgers are judged at the first quiet look",
        "An e-mail too many comes a moment later, and no run ever sees one.",
        HARNESS,
        (swap(f"{HARNESS_SOURCES}/ledgers.py", "(is_quiet(evidence) and same >= looks)", "is_quiet(evidence)"),),
    ),
    Mistake(
        "an e-mail that was deleted still counts as read",
        "A tester who deletes what they have read is told of fewer unread e-mails than there are.",
        SANDBOX,
        (
            swap(
                "sandbox/src/mail_catcher/store.py",
                "        self._messages.pop(message_id, None)\n        self._read.discard(message_id)\n",
                "        self._messages.pop(message_id, None)\n",
            ),
        ),
    ),
    Mistake(
        "a line with a key of its own keeps it in each round",
        "From the second round on it places no order, and the demo never reaches its number.",
        DEMO,
        (
            swap(
                "demo/src/shop_demo/order_lines.py",
                "return name if round_ == 0 else",
                "return name if round_ == 0 or self.idempotency_key else",
            ),
        ),
    ),
    Mistake(
        "the shell's variables win over the system's for a command",
        "An operator is made in another database than the system's, and can't log in.",
        HARNESS,
        (
            swap(
                "harness/src/shop_harness/system.py",
                "        env={**os.environ, **environment},",
                "        env={**environment, **os.environ},",
            ),
        ),
    ),
)
