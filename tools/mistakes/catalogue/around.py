"""Mistakes in what stands around the services: the console, which operators use, and the sandbox, which judges."""

from tools.mistakes.mistake import CONSOLE, SANDBOX, SHOP, Mistake, swap
from tools.scratch import Edit

PAGES = "console/src/shop_console/pages"
GUARDS = "console/src/shop_console/guards.py"
MAIL_CATCHER = "sandbox/src/mail_catcher/__main__.py"

MISTAKES = (
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
        (swap(GUARDS, "frame-ancestors 'self'", "frame-ancestors *"),),
    ),
    Mistake(
        "browsers guess what an answer is",
        "A text is run as a script.",
        CONSOLE,
        (Edit(GUARDS, r'^ +"X-Content-Type-Options": "nosniff",\n', ""),),
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
        "after an outage of Kafka the console reads a record again",
        "An order's story has a step twice, and rates are too high.",
        CONSOLE,
        (swap("console/src/shop_console/topics.py", "= one.offset + 1", "= one.offset"),),
    ),
    Mistake(
        "the console reads a topic that was made again from where the old one ended",
        "It shows nothing until as many records have come.",
        CONSOLE,
        (swap("console/src/shop_console/topics.py", "known if known <= ends[partition] else first", "known"),),
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
)
