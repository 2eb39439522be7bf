"""Mistakes in who may do what, and in what comes of doing it a second time."""

from tools.mistakes.mistake import NOTIFICATIONS, ORDERS, OUTBOXED, PAYMENTS, Mistake, swap
from tools.scratch import Edit

API = "services/orders/src/orders/api.py"
STORAGE = "services/orders/src/orders/storage.py"
HANDLERS = "services/orders/src/orders/handlers.py"
IDEMPOTENCY = "services/orders/src/orders/idempotency.py"
AUTHENTICATION = "libs/outboxed/src/outboxed/web/_authentication.py"

MISTAKES = (
    Mistake(
        "an idempotency key is looked up without its user",
        "Once two users share a key: a 500, or the other's answer.",
        ORDERS,
        (swap(STORAGE, '        idempotency_keys.c.user_id == sa.bindparam("of_user"),\n', ""),),
    ),
    Mistake(
        "a key's second answer takes the place of the first",
        "Of twins each places an order.",
        ORDERS,
        (swap(STORAGE, ", set_=fresh, where=forgotten)", ", set_=fresh)"),),
    ),
    Mistake(
        "a key is never forgotten",
        "A client that counts its keys anew is answered with an order of last year.",
        ORDERS,
        (swap(STORAGE, '        idempotency_keys.c.created_at > sa.bindparam("forgotten"),\n', ""),),
    ),
    Mistake(
        "a key that was forgotten can't be used again",
        "A client that counts its keys anew gets an error for a day.",
        ORDERS,
        (swap(STORAGE, "sa.literal(IDEMPOTENCY_KEPT)\n", "sa.literal(2 * IDEMPOTENCY_KEPT)\n"),),
    ),
    Mistake(
        "a twin that was slower is answered with an error",
        "A customer who pressed twice is told that the order failed.",
        ORDERS,
        (
            Edit(
                IDEMPOTENCY,
                r"            return await self\._answer_once\(unit_of_work, work\)\n\n",
                "            raise\n\n",
            ),
        ),
    ),
    Mistake(
        "another body under a used key gets the old answer",
        "A customer takes another order for this one.",
        ORDERS,
        (swap(IDEMPOTENCY, "if stored is not None and stored.request_hash != self._request_hash:", "if False:"),),
    ),
    Mistake(
        "what a request is known by leaves its payment method out",
        "A second try with another card is answered with the first one.",
        ORDERS,
        (swap(IDEMPOTENCY, 'model_dump(mode="json")', 'model_dump(mode="json", exclude={"payment_method"})'),),
    ),
    Mistake(
        "an old key keeps its old answer's time",
        "It is pruned while it is in use.",
        ORDERS,
        (
            swap(
                STORAGE,
                '(*_ANSWER, "created_at")}\n',
                "_ANSWER}\n",
            ),
        ),
    ),
    Mistake(
        "any customer may read any order",
        "Names and addresses of all customers are open.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/queries.py",
                "if found is None or user_id not in {None, found.customer.id}:",
                "if found is None:",
            ),
        ),
    ),
    Mistake(
        "any customer may cancel any order",
        "A stranger ends the shop's day.",
        ORDERS,
        (swap(HANDLERS, "if order is None or user_id not in {None, order.customer.id}:", "if order is None:"),),
    ),
    Mistake(
        "any customer may read any account",
        "Names and addresses of all customers are open.",
        ORDERS,
        (swap(API, 'if _only_own(caller) not in {None, wanted}:\n        raise not_found("user")\n', "pass\n"),),
    ),
    Mistake(
        "any customer may make themselves a member",
        "Everybody has five per cent off.",
        ORDERS,
        (swap(API, "body: MembershipRequest, _: Operator,", "body: MembershipRequest, _: Caller,"),),
    ),
    Mistake(
        "the list has everybody's orders",
        "Each customer sees all.",
        ORDERS,
        (
            swap(
                STORAGE,
                "conditions: list[sa.ColumnElement[bool]] = [orders.c.user_id == user_id]",
                "conditions: list[sa.ColumnElement[bool]] = [sa.true()]",
            ),
        ),
    ),
    Mistake(
        "a page begins with the last order of the page before",
        "One order is shown twice.",
        ORDERS,
        (swap(STORAGE, "conditions.append(position < sa.tuple_", "conditions.append(position <= sa.tuple_"),),
    ),
    Mistake(
        "pages are divided by time alone",
        "Of two orders of one moment one is never shown.",
        ORDERS,
        (
            swap(
                STORAGE,
                "conditions.append(position < sa.tuple_(sa.literal(after.placed_at), sa.literal(after.order_id)))",
                "conditions.append(orders.c.placed_at < after.placed_at)",
            ),
        ),
    ),
    Mistake(
        "a list never says that more follows",
        "A customer sees twenty orders of a hundred.",
        ORDERS,
        (swap("services/orders/src/orders/queries.py", "limit=limit + 1", "limit=limit"),),
    ),
    Mistake(
        "any customer may read any payment",
        "Who paid what is open.",
        PAYMENTS,
        (swap("services/payments/src/payments/api.py", 'with_role("operator")', 'with_role("customer")'),),
    ),
    Mistake(
        "any customer may read any notification",
        "Who was told what is open.",
        NOTIFICATIONS,
        (swap("services/notifications/src/notifications/api.py", 'with_role("operator")', 'with_role("customer")'),),
    ),
    Mistake(
        "a deactivated user can log in",
        "Whoever was shut out is in again.",
        ORDERS,
        (swap(HANDLERS, "return user if correct and user.is_active else None", "return user if correct else None"),),
    ),
    Mistake(
        "an unknown address is answered sooner than a wrong password",
        "Anybody can find out who has an account.",
        ORDERS,
        (swap(HANDLERS, "        await passwords.hash(password)\n        return None\n", "        return None\n"),),
    ),
    Mistake(
        "an address is another one in another case",
        "A customer can't log in, and has two accounts.",
        ORDERS,
        (
            swap(
                STORAGE,
                "self.select(sa.func.lower(users.c.email) == email.lower())",
                "self.select(users.c.email == email)",
            ),
        ),
    ),
    Mistake(
        "an address that is taken ends in an error of the database",
        "A customer reads 500.",
        ORDERS,
        (
            swap(
                STORAGE,
                ".values(_user_row(user)).on_conflict_do_nothing(index_elements=by_email)",
                ".values(_user_row(user))",
            ),
        ),
    ),
    Mistake(
        "all calls of an address share one limit",
        "A login fails because of a registration.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/rate_limit.py",
                "self._limiter.hit(self._limit, operation, address)",
                "self._limiter.hit(self._limit, address)",
            ),
        ),
    ),
    Mistake(
        "all addresses share one limit",
        "One guest shuts everybody out.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/rate_limit.py",
                "self._limiter.hit(self._limit, operation, address)",
                "self._limiter.hit(self._limit, operation)",
            ),
        ),
    ),
    Mistake(
        "logins are not limited",
        "Passwords can be guessed all night.",
        ORDERS,
        (swap(API, 'await needs.rate_limiter.check("create_token", _address(request))', "pass"),),
    ),
    Mistake(
        "a token never ends",
        "One that was stolen is good for ever.",
        ORDERS,
        (Edit("services/orders/src/orders/tokens.py", r' +"exp": int\([^\n]+\n', ""),),
    ),
    Mistake(
        "a token without an end is accepted",
        "One that was stolen is good for ever.",
        OUTBOXED,
        (swap(AUTHENTICATION, '{"require": ["exp", "iat", "sub", "jti"]', '{"require": ["iat", "sub", "jti"]'),),
    ),
    Mistake(
        "a token for another audience is accepted",
        "Another system's tokens open the shop.",
        OUTBOXED,
        (
            swap(AUTHENTICATION, "                    audience=self._audience,\n", ""),
            swap(AUTHENTICATION, '"verify_iat": False}', '"verify_iat": False, "verify_aud": False}'),
        ),
    ),
    Mistake(
        "a token of another issuer is accepted",
        "Another system's tokens open the shop.",
        OUTBOXED,
        (swap(AUTHENTICATION, "                    issuer=self._issuer,\n", ""),),
    ),
    Mistake(
        "a token of any role is accepted",
        "A role that a newer release gives out may do things that nobody thought of.",
        OUTBOXED,
        (swap(AUTHENTICATION, "if known.role not in self._roles:", "if not known.role:"),),
    ),
    Mistake(
        "only the first key is asked",
        "Tokens end while a key is replaced.",
        OUTBOXED,
        (swap(AUTHENTICATION, "for key in self._public_keys:", "for key in self._public_keys[:1]:"),),
    ),
    Mistake(
        "registrations are not limited",
        "Whoever has a list of addresses learns which of them have an account.",
        ORDERS,
        (swap(API, '    await needs.rate_limiter.check("register_user", _address(request))\n', ""),),
    ),
    Mistake(
        "so many guesses a second, not a minute",
        "A weak password is found in an hour.",
        ORDERS,
        (swap("services/orders/src/orders/rate_limit.py", "/minute", "/second"),),
    ),
    Mistake(
        "so many logins an hour, not a minute",
        "Whoever mistypes a password waits for an hour.",
        ORDERS,
        (swap("services/orders/src/orders/rate_limit.py", "/minute", "/hour"),),
    ),
    Mistake(
        "a refusal for too many calls doesn't say when to come again",
        "Clients come again at once.",
        ORDERS,
        (swap("services/orders/src/orders/rate_limit.py", ', headers={"Retry-After": "60"})', ")"),),
    ),
    Mistake(
        "an answer with a token may be kept on its way",
        "Whoever shares a cache shares the token.",
        ORDERS,
        (swap(API, '    response.headers["Cache-Control"] = "no-store"\n', ""),),
    ),
    Mistake(
        "all tokens of a user have one id",
        "Nobody can tell which one was stolen.",
        ORDERS,
        (
            swap("services/orders/src/orders/tokens.py", '"jti": str(uuid4())', '"jti": str(user.id)'),
            swap("services/orders/src/orders/tokens.py", "from uuid import uuid4\n", ""),
        ),
    ),
    Mistake(
        "a client's address is what it writes in a header",
        "Whoever guesses passwords has as many addresses as they like.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/_compat/uvicorn.py", "        proxy_headers=False,\n", ""),),
    ),
    Mistake(
        "anybody may list and show dead letters",
        "They hold customers' data.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/web/_dead_letters.py",
                ', responses={404: {"model": ErrorResponse}}, dependencies=[Depends(by)])',
                ', responses={404: {"model": ErrorResponse}})',
            ),
        ),
    ),
    Mistake(
        "a list of dead letters is of the open ones, whatever status is asked for",
        "Who looks for what was replayed doesn't find it.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/web/_dead_letters.py",
                "letters.list(status=status, limit=limit)",
                "letters.list(limit=limit)",
            ),
        ),
    ),
    Mistake(
        "a list of dead letters has a hundred, whatever is asked for",
        "Nobody sees the others.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/web/_dead_letters.py",
                "letters.list(status=status, limit=limit)",
                "letters.list(status=status)",
            ),
        ),
    ),
    Mistake(
        "a password is hashed before the limit is asked",
        "Whoever is refused still costs a third of a second of a processor, and 64 MiB.",
        ORDERS,
        (
            Edit(
                API,
                r"(    await needs\.rate_limiter\.check\(\"register_user\"[^\n]*\n)(    password_hash =[^\n]*\n)",
                r"\2\1",
            ),
        ),
    ),
    Mistake(
        "a password is looked at inside the transaction",
        "A few logins hold all connections of the API.",
        ORDERS,
        (
            swap(
                HANDLERS,
                """        user = await uow.users.find_by_email(email)
    if user is None:
        await passwords.hash(password)
        return None
    correct = await passwords.verify(user.password_hash, password)
""",
                """        user = await uow.users.find_by_email(email)
        if user is None:
            await passwords.hash(password)
            return None
        correct = await passwords.verify(user.password_hash, password)
""",
            ),
        ),
    ),
    Mistake(
        "the limit's minute begins with the first call",
        "Whoever knows it guesses twice as often.",
        ORDERS,
        (swap("services/orders/src/orders/rate_limit.py", "MovingWindowRateLimiter", "FixedWindowRateLimiter"),),
    ),
    Mistake(
        "whoever waits for a password waits on",
        "Hundreds of guesses wait in each process, and each deployment cuts them off.",
        ORDERS,
        (swap("services/orders/src/orders/passwords.py", "WAIT_SECONDS = 0.8", "WAIT_SECONDS = 60"),),
    ),
    Mistake(
        "a token is good for an hour after its end",
        "Whoever was shut out is in for an hour more.",
        OUTBOXED,
        (swap(AUTHENTICATION, "issuer=self._issuer,\n", "issuer=self._issuer,\n                    leeway=3600,\n"),),
    ),
    Mistake(
        "a cache keeps one form of a page's file for all",
        "Who can't unpack it sees an empty page.",
        OUTBOXED,
        (swap("libs/outboxed/src/outboxed/web/_pages.py", ', "Vary": "Accept-Encoding"', ""),),
    ),
    Mistake(
        "an address with a NUL reaches the database",
        "Anybody can have a login answered with 500, and ring the alarm for it.",
        ORDERS,
        (Edit(API, r"email = form\.username\.replace\([^\n]*\n", "email = form.username\n"),),
    ),
    Mistake(
        "a cursor that somebody made up is an error of ours",
        "Anybody can have a list answered with 500, and ring the alarm for it.",
        ORDERS,
        (swap(API, "(ValueError, OverflowError, binascii.Error)", "(ValueError, binascii.Error)"),),
    ),
    Mistake(
        "what is no clear yes makes a member",
        "A form that sends a text for a tick gives five per cent off.",
        ORDERS,
        (swap("services/orders/src/orders/schemas.py", "Annotated[bool, Field(strict=True)]", "bool"),),
    ),
    Mistake(
        "an unknown product is named at another one's place",
        "A form marks what is right as wrong.",
        ORDERS,
        (swap(API, "{_index(body, sku)}", "{error.skus.index(sku)}"),),
    ),
    Mistake(
        "whoever has no account any more is told that something is missing",
        "The app shows an error, and no login.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/api.py",
                'raise unauthenticated("the token\'s user does not exist") from None',
                'raise not_found("user") from None',
            ),
        ),
    ),
    Mistake(
        "a password hash that is damaged is a wrong password",
        "After a bad restore nobody can log in, and no line of the log says why.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/passwords.py",
                "except argon2.exceptions.VerifyMismatchError:",
                "except argon2.exceptions.Argon2Error:",
            ),
        ),
    ),
    Mistake(
        "a name keeps the blanks that were typed around it",
        "A letter begins with a blank, and two accounts look alike.",
        ORDERS,
        (swap("services/orders/src/orders/addressing.py", "strip_whitespace=True, ", ""),),
    ),
    Mistake(
        "an e-mail address may have a character more than any mail server takes",
        "Its customer never hears of an order.",
        ORDERS,
        (swap("services/orders/src/orders/addressing.py", "max_length=254", "max_length=255"),),
    ),
    Mistake(
        "a page has a hundred orders where nobody says how many",
        "An app on a phone loads five times as much.",
        ORDERS,
        (swap("services/orders/src/orders/api.py", "le=100)] = 20", "le=100)] = 100"),),
    ),
    Mistake(
        "the cursor of a page has whole seconds",
        "A customer's orders of the same second as the last one of a page are on no page.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/api.py",
                'f"{order.placed_at.isoformat()} {order.id}"',
                "f\"{order.placed_at.isoformat(timespec='seconds')} {order.id}\"",
            ),
        ),
    ),
    Mistake(
        "an operator may ask for a letter whose number no column holds",
        "A mistyped number is answered with 500, and rings the alarm for errors of ours.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/web/_dead_letters.py",
                "LetterId = Annotated[int, Path(ge=1, le=2**63 - 1)]",
                "LetterId = Annotated[int, Path(ge=1)]",
            ),
        ),
    ),
    Mistake(
        "browsers keep the files of /docs for a year",
        "After an upgrade people see a page of the new release with scripts of the old one, and it stays empty.",
        OUTBOXED,
        (
            swap(
                "libs/outboxed/src/outboxed/web/_pages.py",
                'KEPT_BY_BROWSERS = "max-age=3600"',
                'KEPT_BY_BROWSERS = "max-age=31536000, immutable"',
            ),
        ),
    ),
    Mistake(
        "a page of orders has fifty at most",
        "A client that asks for a hundred, as the document has said all along, is refused.",
        ORDERS,
        (swap(API, "Query(ge=1, le=100)]", "Query(ge=1, le=50)]"),),
    ),
    Mistake(
        "an Idempotency-Key is at most as long as a UUID",
        "Clients with longer keys can't place an order any more.",
        ORDERS,
        (swap(API, "min_length=1, max_length=255,", "min_length=1, max_length=36,"),),
    ),
    Mistake(
        "a page begins at a millisecond",
        "Orders of the same millisecond as the last of a page are missing from the list.",
        ORDERS,
        (
            swap(
                API,
                "{order.placed_at.isoformat()} {order.id}",
                "{order.placed_at.isoformat(timespec='milliseconds')} {order.id}",
            ),
        ),
    ),
    Mistake(
        "who is guessing passwords says by a header who it is",
        "Whoever sends another address each time guesses without a limit.",
        ORDERS,
        (
            swap(
                API,
                "    return request.client.host if",
                '    if name := request.headers.get("x-forwarded-for"):\n        return name\n'
                "    return request.client.host if",
            ),
        ),
    ),
    Mistake(
        "whoever hangs up gives the turn back while the hash goes on",
        "A few clients that hang up take 64 MiB each at once, and the container is killed.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/passwords.py",
                "        running.add_done_callback(lambda _: self._turns.release())\n"
                "        return await asyncio.shield(running)\n",
                "        try:\n            return await running\n        finally:\n            self._turns.release()\n",
            ),
        ),
    ),
    Mistake(
        "a token's lifetime is told without its days",
        "With a lifetime of 24 hours clients hear 0 seconds, and log in before each call.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/tokens.py",
                "int(self._lifetime.total_seconds()))",
                "self._lifetime.seconds)",
            ),
        ),
    ),
)
