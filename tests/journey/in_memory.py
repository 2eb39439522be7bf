"""The shop in memory: the same API, handlers, consumers and tasks, on ports that need nothing outside this process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib import import_module

import httpx
import notifications.consumers
import notifications.tasks
import orders.app
import orders.consumers
import orders.tasks
import payments.consumers
import payments.tasks
from orders import api
from orders.handlers import OrderPolicy
from orders.pricing import PricingService
from orders.rate_limit import RateLimiter
from orders.settings import Settings
from outboxed.storage import Clock
from outboxed.testing.memory import SteadyClock
from outboxed.testing.services import always
from outboxed.testing.tracking import InMemoryParticipant
from payments.gateway import HttpPaymentGateway

from services.notifications.tests.fakes import RecordingMailer, in_memory_notifications
from services.orders.tests.factories import ProductFactory
from services.orders.tests.fakes import PlainPasswords, in_memory_orders
from services.payments.tests.fakes import in_memory_payments
from services.payments.tests.sandbox import Sandbox

from .shop import OTHERS, Shop

GATEWAY_SECONDS = 5


@asynccontextmanager
async def open_shop_in_memory() -> AsyncIterator[Shop]:
    """Nothing runs by itself: a tracked session moves it."""
    clock = SteadyClock()
    databases = in_memory_orders(clock), in_memory_payments(clock), in_memory_notifications(clock)
    async with databases[0]() as uow:
        await uow.products.put([ProductFactory.create(sku="ABC")])
    mailer = RecordingMailer()
    async with AsyncExitStack() as stack:
        sandbox = Sandbox.in_process()
        stack.push_async_callback(sandbox.close)
        gateway = HttpPaymentGateway(sandbox.http, timeout=GATEWAY_SECONDS)
        charges = payments.tasks.task_kinds(gateway, gateway_timeout=GATEWAY_SECONDS)
        emails = notifications.tasks.task_kinds(mailer, smtp_timeout=5)
        parts = [
            InMemoryParticipant("orders", databases[0], orders.consumers.ROUTES, orders.tasks.task_kinds()),
            InMemoryParticipant("payments", databases[1], payments.consumers.ROUTES, charges),
            InMemoryParticipant("notifications", databases[2], notifications.consumers.ROUTES, emails),
            *[await _participant(name, clock, stack) for name in OTHERS],
        ]
        settings = Settings(environment="test")
        app = orders.app.create_app(settings)
        dependencies = api.Dependencies(
            unit_of_work=databases[0],
            policy=OrderPolicy(PricingService(), timedelta(minutes=15)),
            passwords=PlainPasswords(),
            tokens=orders.app.create_token_issuer(settings, clock),
            rate_limiter=RateLimiter(0),
        )
        app.dependency_overrides[api.dependencies] = always(dependencies)
        transport = httpx.ASGITransport(app)
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://orders/api/v1"))

        def kinds(email: str) -> list[str]:
            return [mail.kind.value for mail in mailer.sent if mail.email == email]

        yield Shop(http, sandbox.http, sandbox.ledger, kinds, parts)


async def _participant(service: str, clock: Clock, stack: AsyncExitStack) -> InMemoryParticipant:
    module = import_module(f"services.{service}.tests.participant")
    participant: InMemoryParticipant = await module.participant(clock, stack)
    return participant
