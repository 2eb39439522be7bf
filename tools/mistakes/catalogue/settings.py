"""Knobs that do nothing, and defaults that are for development."""

from tools.mistakes.levels import tests
from tools.mistakes.mistake import NOTIFICATIONS, ORDERS, OUTBOXED, PAYMENTS, Mistake, swap
from tools.scratch import Edit

PROCESS = "libs/outboxed/src/outboxed/settings/_process.py"
SERVICE = "libs/outboxed/src/outboxed/settings/_service.py"
KAFKA = "libs/outboxed/src/outboxed/settings/_kafka.py"
CONSUMER = "libs/outboxed/src/outboxed/consuming/_kafka.py"
ORDERS_APP, PAYMENTS_APP = "services/orders/src/orders/app.py", "services/payments/src/payments/app.py"
JOINED_TASKS = "libs/outboxed/src/outboxed/joining/_tasks.py"
NOTIFICATIONS_APP = "services/notifications/src/notifications/app.py"


def unused(field: str, *, of: str = PROCESS) -> Mistake:
    """A setting of Kafka that is read and not passed on."""
    return Mistake(
        f"{field} is read and not passed on",
        "A knob that does nothing.",
        OUTBOXED,
        (Edit(of, rf"            {field.removeprefix('kafka_')}=self\.{field}[^\n]*,\n", ""),),
    )


MISTAKES = (
    unused("kafka_session_timeout_ms", of=SERVICE),
    unused("kafka_fetch_max_wait_ms", of=SERVICE),
    unused("kafka_sasl_mechanism"),
    unused("kafka_sasl_username"),
    unused("kafka_ssl_ca_file"),
    unused("kafka_topic_prefix"),
    unused("kafka_security_protocol"),
    Mistake(
        "the consumer's session time-out is the client's own",
        "A knob that does nothing.",
        OUTBOXED,
        (swap(CONSUMER, "        session_timeout_ms=kafka.session_timeout_ms,\n", ""),),
    ),
    Mistake(
        "the consumer's wait for a fetch is the client's own",
        "A knob that does nothing.",
        OUTBOXED,
        (swap(CONSUMER, "        fetch_max_wait_ms=kafka.fetch_max_wait_ms,\n", ""),),
    ),
    Mistake(
        "the consumer has no login",
        "It starts here, and never where Kafka asks for one.",
        OUTBOXED,
        (swap(CONSUMER, "        security=kafka.faststream_security(),\n", ""),),
    ),
    Mistake(
        "the authorities of the settings are not asked",
        "A cluster with its own authority can't be reached.",
        OUTBOXED,
        (swap(KAFKA, "ssl.create_default_context(cafile=self.ssl_ca_file)", "ssl.create_default_context()"),),
    ),
    Mistake(
        "a password of its own is ignored",
        "The service logs in with the URL's.",
        OUTBOXED,
        (swap(SERVICE, 'return {**values, "database_url": replace(database, password=password)}', "return values"),),
    ),
    Mistake(
        "production takes passwords that everybody knows",
        "Whoever reads this repository is in.",
        OUTBOXED,
        (
            Edit(
                SERVICE,
                r"        for name in sorted\(self\.development_only\):\n.*?\n(        return self\n\n    @static)",
                r"\1",
            ),
        ),
    ),
    Mistake(
        "production talks to Kafka in the clear",
        "Names and addresses can be read on the way.",
        OUTBOXED,
        (swap(PROCESS, ' and self.kafka_security_protocol in {"PLAINTEXT", "SASL_PLAINTEXT"}:', " and False:"),),
    ),
    Mistake(
        "production takes the key that signs tokens in development",
        "Anybody can be an operator.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/settings.py",
                'frozenset({"database_url", "jwt_private_key"})',
                'frozenset({"database_url"})',
            ),
        ),
    ),
    Mistake(
        "production accepts tokens that were signed in development",
        "Anybody can be an operator.",
        PAYMENTS,
        (
            swap(
                "services/payments/src/payments/settings.py",
                'frozenset({"database_url", "jwt_public_keys"})',
                'frozenset({"database_url"})',
            ),
        ),
    ),
    Mistake(
        "a mail server's password goes over the wire as it is",
        "It can be read on the way.",
        NOTIFICATIONS,
        (
            swap(
                "services/notifications/src/notifications/settings.py",
                "self.smtp_username and not self.smtp_starttls:",
                "False:",
            ),
        ),
    ),
    Mistake(
        "tokens live an hour, whatever is set",
        "A knob that does nothing.",
        ORDERS,
        (swap(ORDERS_APP, "timedelta(seconds=settings.jwt_lifetime_seconds)", "timedelta(seconds=3600)"),),
    ),
    Mistake(
        "an order has 15 minutes to be paid, whatever is set",
        "A knob that does nothing.",
        ORDERS,
        (swap(ORDERS_APP, "timedelta(seconds=settings.payment_deadline_seconds)", "timedelta(seconds=900)"),),
    ),
    Mistake(
        "ten logins a minute, whatever is set",
        "A knob that does nothing.",
        ORDERS,
        (swap(ORDERS_APP, "RateLimiter(settings.rate_limit_per_minute)", "RateLimiter(10)"),),
    ),
    Mistake(
        "the next key's tokens are refused",
        "Nobody can log in while a key is replaced.",
        ORDERS,
        (swap(ORDERS_APP, "[tokens.public_key, *settings.jwt_public_keys]", "[tokens.public_key]"),),
    ),
    Mistake(
        "the gateway has two seconds, whatever is set",
        "A knob that does nothing.",
        PAYMENTS,
        (
            swap(
                PAYMENTS_APP,
                "HttpPaymentGateway(client, timeout=settings.gateway_timeout_seconds)",
                "HttpPaymentGateway(client, timeout=2)",
            ),
        ),
    ),
    Mistake(
        "a charge's lease is as long as by default, whatever is set",
        "With a slow gateway another worker charges, too.",
        PAYMENTS,
        (swap(PAYMENTS_APP, "gateway_timeout=settings.gateway_timeout_seconds)", "gateway_timeout=2)"),),
    ),
    Mistake(
        "e-mails go to port 1025, whatever is set",
        "A knob that does nothing.",
        NOTIFICATIONS,
        (swap(NOTIFICATIONS_APP, "port=settings.smtp_port", "port=1025"),),
    ),
    Mistake(
        "e-mails are sent without TLS, whatever is set",
        "They can be read on the way.",
        NOTIFICATIONS,
        (swap(NOTIFICATIONS_APP, "starttls=settings.smtp_starttls", "starttls=False"),),
    ),
    Mistake(
        "e-mails are sent without a login, whatever is set",
        "A server that asks for one refuses all of them.",
        NOTIFICATIONS,
        (swap(NOTIFICATIONS_APP, "username=settings.smtp_username", 'username=""'),),
    ),
    Mistake(
        "the sender is the shop's own, whatever is set",
        "A knob that does nothing.",
        NOTIFICATIONS,
        (swap(NOTIFICATIONS_APP, "sender=settings.smtp_sender", 'sender="Shop <orders@shop.example>"'),),
    ),
    Mistake(
        "every Message-ID is of shop.example, whatever is set",
        "Two shops have the same ids.",
        NOTIFICATIONS,
        (swap(NOTIFICATIONS_APP, "domain=settings.smtp_domain", 'domain="shop.example"'),),
    ),
    Mistake(
        "a mail server has five seconds, whatever is set",
        "A knob that does nothing.",
        NOTIFICATIONS,
        (swap(NOTIFICATIONS_APP, "timeout=settings.smtp_timeout_seconds,", "timeout=5,"),),
    ),
    Mistake(
        "an e-mail's lease is as long as by default, whatever is set",
        "With a slow server another worker sends it, too.",
        NOTIFICATIONS,
        (swap(NOTIFICATIONS_APP, "smtp_timeout=settings.smtp_timeout_seconds)", "smtp_timeout=5)"),),
    ),
    Mistake(
        "the limit of a project's own calls is not passed on",
        "A knob that does nothing.",
        OUTBOXED,
        (swap(JOINED_TASKS, "                    limit=limit,\n", ""),),
    ),
    Mistake(
        "the concurrency of a project's own calls is not passed on",
        "A knob that does nothing.",
        OUTBOXED,
        (swap(JOINED_TASKS, "                    concurrency=concurrency,\n", ""),),
    ),
    Mistake(
        "the concurrency of a project's own deadlines is not passed on",
        "A knob that does nothing.",
        OUTBOXED,
        (swap(JOINED_TASKS, "_at_deadline(due), concurrency=concurrency)", "_at_deadline(due))"),),
    ),
    Mistake(
        "the time for which an inbox remembers is always two weeks",
        "Where Kafka keeps records for a month, old ones are handled again.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/joining/_inbox.py", '"handled_at", keep)', '"handled_at", KEEP)'),),
    ),
    Mistake(
        "the options of a relay's client are not passed on",
        "A cluster that asks for a login can't be reached.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/joining/_outbox.py", "_Servers(addresses, options)", "_Servers(addresses)"),),
    ),
    Mistake(
        "the letters of a project are listed without regard to their status",
        "What was discarded can't be found.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/__main__.py",
                'names = ("status", "source", "key", "type_", "limit")',
                'names = ("source", "key", "type_", "limit")',
            ),
        ),
    ),
    Mistake(
        "a token says that it lives as long as is set, and lives an hour",
        "A client is thrown out, or a stolen token works on.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/tokens.py",
                "int((now + self._lifetime).timestamp())",
                "int((now + timedelta(hours=1)).timestamp())",
            ),
        ),
    ),
    Mistake(
        "the consumer logs in by another mechanism than is set",
        "It is refused where Kafka knows one alone.",
        OUTBOXED,
        (swap(KAFKA, '"SCRAM-SHA-512": SASLScram512}', '"SCRAM-SHA-512": SASLScram256}'),),
        check=tests("services/orders/tests/unit/test_settings.py"),
    ),
    Mistake(
        "where TLS is asked for and no login, the consumer talks in the clear",
        "Names and addresses can be read on the way.",
        OUTBOXED,
        (swap(KAFKA, "BaseSecurity(ssl_context=context, use_ssl=True) if context else None", "None"),),
        check=tests("services/orders/tests/unit/test_settings.py"),
    ),
    Mistake(
        "an operator's address is not looked at",
        "Nobody can log in with it, and the command says that all is well.",
        ORDERS,
        (swap("services/orders/src/orders/__main__.py", '        _check("--email", email, Email)\n', ""),),
    ),
    Mistake(
        "a process listens to the whole network unless somebody sets it",
        "Whoever is in the same network reads and writes on a developer's machine.",
        OUTBOXED,
        (swap(PROCESS, 'http_host: Host = "127.0.0.1"', 'http_host: Host = "0.0.0.0"'),),
        check=tests("tests/unit/test_canvas.py"),
    ),
    Mistake(
        "logins are not limited unless somebody sets it",
        "A weak password is found in an hour.",
        ORDERS,
        (swap("services/orders/src/orders/settings.py", "Field(ge=0)] = 10", "Field(ge=0)] = 0"),),
        check=tests("tests/unit/test_canvas.py"),
    ),
    Mistake(
        "tokens live a day unless somebody sets it",
        "A stolen one works until the next morning.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/settings.py", "Field(ge=60, le=DAY)] = 3600", "Field(ge=60, le=DAY)] = DAY"
            ),
        ),
        check=tests("tests/unit/test_canvas.py"),
    ),
    Mistake(
        "tokens may live as long as somebody sets",
        "One that was stolen is good for a year.",
        ORDERS,
        (swap("services/orders/src/orders/settings.py", "Field(ge=60, le=DAY)", "Field(ge=60)"),),
    ),
    Mistake(
        "a URL with a socket and a host needs no encryption for the host",
        "With sslmode=verify-full the password and all rows go over the network in the clear after a fail-over.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/settings/_database.py",
                'over_network = any(not host.startswith("/") for host, _ in addresses)',
                'over_network = all(not host.startswith("/") for host, _ in addresses)',
            ),
        ),
    ),
)
