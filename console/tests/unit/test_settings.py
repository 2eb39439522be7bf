"""What a wrong setting is told by, and that each setting does something: it is followed to where it ends."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, get_args

import httpx
import pytest
import trustme
from aiokafka import TopicPartition
from outboxed.errors import ConfigurationError
from outboxed.settings import SaslMechanism, SecurityProtocol, load
from shop_console import __main__ as command
from shop_console import breaking, topics
from shop_console.breaking import Breaker
from shop_console.browser import create_app
from shop_console.catalogue import Catalogue
from shop_console.settings import Settings
from shop_console.teller import Teller
from shop_console.topics import RECORDS_OF_AN_ORDER, look_up

from ..factories import BEGAN, CATALOGUE, KEY, seen

PRODUCTION = {"ENVIRONMENT": "production", "KAFKA_SECURITY_PROTOCOL": "SSL"}
SERVICES = '{"orders": "http://127.0.0.1:8000"}'


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "CONSOLE_SERVICES: Field required"),
        ({"SERVICES": "{}"}, "CONSOLE_SERVICES: Dictionary should have at least 1 item"),
        ({"SERVICES": "orders"}, "CONSOLE_SERVICES: must be JSON"),
        ({"SERVICES": SERVICES, "HOSTS": "console"}, "CONSOLE_HOSTS: must be JSON"),
        ({"SERVICES": '{"orders": "ftp://x"}'}, "CONSOLE_SERVICES: "),
        ({"SERVICES": SERVICES, "TOKENS_FROM": "login"}, "CONSOLE_TOKENS_FROM: login is none of CONSOLE_SERVICES"),
        ({"SERVICES": SERVICES, "HTTP_PORT": "x"}, "CONSOLE_HTTP_PORT: "),
        ({"SERVICES": SERVICES, "KAFKA_TOPIC_PREFIX": "a b"}, "CONSOLE_KAFKA_TOPIC_PREFIX: "),
        (
            {"SERVICES": SERVICES, **PRODUCTION, "BREAKING_URL": "http://127.0.0.1:1"},
            "CONSOLE_BREAKING_URL must not be set in production",
        ),
        (
            {"SERVICES": SERVICES, "ENVIRONMENT": "production"},
            "CONSOLE_KAFKA_SECURITY_PROTOCOL must be SSL or SASL_SSL in production, not PLAINTEXT",
        ),
        ({"SERVICES": SERVICES, "/PACT_BROKER_BASE_URL": "broker"}, "PACT_BROKER_BASE_URL: must be a URL"),
        (
            {"SERVICES": SERVICES, "/PACT_BROKER_BASE_URL": "https://ci:secret@broker.example"},
            "PACT_BROKER_BASE_URL: must hold no password: use PACT_BROKER_USERNAME and",
        ),
        ({"SERVICES": SERVICES, "/PACT_BROKER_USERNAME": "ci"}, "PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD belong"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_name(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name.removeprefix("/") if name.startswith("/") else f"CONSOLE_{name}", value)

    with pytest.raises(ConfigurationError) as error:
        load(Settings)

    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_services_are_addresses_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSOLE_SERVICES", SERVICES)

    assert load(Settings).services == {"orders": "http://127.0.0.1:8000"}


# --- each setting at its end ---

Seen = Callable[[pytest.MonkeyPatch], Awaitable[object]]
"""Says what is there at a setting's end, by the environment as it is."""


@dataclass(frozen=True)
class End:
    """What is seen at the end for each value of a setting; the first two differ. `given` is set beside them."""

    expected: Mapping[str, object]
    seen: Seen
    given: Mapping[str, str] = field(default_factory=dict)


class ReachedError(Exception):
    """The end was reached: nothing is served or connected."""


Use = Callable[[Teller, Breaker | None], Awaitable[object]]
FAULTS: Mapping[str, str] = {"kill": "Kill"}


@asynccontextmanager
async def told(requests: list[httpx.Request]) -> AsyncIterator[tuple[Teller, Breaker | None]]:
    """What the process makes of its settings, before somebody who writes down what they are asked."""

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        token = {"access_token": "t", "expires_in": 600}
        return httpx.Response(200, json=token if request.url.path.endswith("/tokens") else FAULTS)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        teller = Teller.of(load(Settings), http)
        breaker = Breaker.of(teller)
        yield teller, breaker
        if breaker is not None:
            await breaker.close()


def asked(use: Use, look: Callable[[httpx.Request], object]) -> Seen:
    """Something of all the requests that the console makes where it is used so."""

    async def seen(_: pytest.MonkeyPatch) -> object:
        requests: list[httpx.Request] = []
        async with told(requests) as (teller, breaker):
            await use(teller, breaker)
        return {look(request) for request in requests}

    return seen


hosts = partial(asked, look=lambda request: request.url.host)
logins = partial(asked, look=lambda request: request.headers["Authorization"])


async def visit(teller: Teller, method: str, address: str, **form: str) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(teller))
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as browser:
        return await browser.request(method, address, data=form)


async def log_in(teller: Teller, _: Breaker | None) -> httpx.Response:
    return await visit(teller, "POST", "/login", email="op@example.com", password="secret")


async def story(teller: Teller, _: Breaker | None) -> None:
    await teller.sources.about(KEY, Catalogue(), [], token="t")


async def fault(_: Teller, breaker: Breaker | None, *, name: str = "kill") -> None:
    assert breaker is not None
    await breaker.begin(name, by="op@example.com")


async def story_and_gateways_fault(teller: Teller, breaker: Breaker | None) -> None:
    await story(teller, breaker)
    await fault(teller, breaker, name="slow-gateway")


async def contracts(teller: Teller, _: Breaker | None) -> str:
    return (await teller.contracts.told()).problem


async def cookie_is_secure(teller: Teller, breaker: Breaker | None) -> bool:
    return "secure" in (await log_in(teller, breaker)).headers["Set-Cookie"].lower()


async def status(teller: Teller, _: Breaker | None) -> int:
    return (await visit(teller, "GET", "/health/live")).status_code


def result(use: Use) -> Seen:
    async def seen(_: pytest.MonkeyPatch) -> object:
        async with told([]) as (teller, breaker):
            return await use(teller, breaker)

    return seen


def started(look: Callable[[str, str, int], object]) -> Seen:
    """What the command that serves the console does with its log level, and with its host and port."""

    async def seen(patch: pytest.MonkeyPatch) -> object:
        levels: list[str] = []
        bound: list[tuple[str, int]] = []

        def configure(*, level: str, **_: object) -> None:
            levels.append(level)

        def bind(host: str, port: int, **_: object) -> None:
            bound.append((host, port))
            raise ReachedError

        patch.setattr(command, "configure_logs", configure)
        patch.setattr(command, "bind", bind)
        with pytest.raises(ReachedError):
            await asyncio.to_thread(command.run)  # it has a loop of its own
        [level], [(host, port)] = levels, bound
        return look(level, host, port)

    return seen


ENDS_AT = 10_000


class Client:
    """In place of a client of Kafka: writes down what it is given, and ends where records would come or go."""

    made: list["Client"]

    def __init__(self, *names: str, **options: Any) -> None:
        self.names, self.options, self.sought = list(names), options, -1
        self.made.append(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(name, 0) for name in self.names}

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, ENDS_AT)

    async def offsets_for_times(self, _: object) -> None:
        raise ReachedError

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought = offset
        raise ReachedError

    async def send_and_wait(self, name: str, *_: object, **__: object) -> None:
        self.names.append(name)
        raise ReachedError


async def clients(patch: pytest.MonkeyPatch) -> Sequence[Client]:
    """Those that follow the topics, look an older order up, and poison a topic."""
    patch.setenv("CONSOLE_BREAKING_URL", "http://breaking")
    patch.setattr(Client, "made", [], raising=False)
    patch.setattr(topics, "AIOKafkaConsumer", Client)
    patch.setattr(breaking, "AIOKafkaProducer", Client)
    async with told([]) as (teller, breaker):
        teller.catalogue = CATALOGUE
        teller.follower.follow(["orders"])
        for use in (
            teller.follower.run(),
            look_up(teller.kafka, ["orders"], KEY, since=BEGAN),
            fault(teller, breaker, name="poison-orders"),
        ):
            with pytest.raises(ReachedError):
                await use
    return Client.made


def each_client(look: Callable[[Client], object]) -> Seen:
    """What is the same of all clients."""

    async def seen(patch: pytest.MonkeyPatch) -> object:
        first, *others = [look(client) for client in await clients(patch)]
        assert others == [first, first]
        return first

    return seen


def option(name: str) -> Seen:
    return each_client(lambda client: client.options.get(name))


async def kept(patch: pytest.MonkeyPatch) -> object:
    """How many orders are held, and behind how many records of a topic's end the reading begins."""
    async with told([]) as (teller, _):
        for number in range(10):
            teller.index.add(seen(key=str(number)))
    follower, *_others = await clients(patch)
    return len(teller.index), ENDS_AT - follower.sought - 1


SASL = partial(End, given={"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "ada"})
PACTS = {"CONTRACTS": str(Path(__file__).parents[3] / "contracts" / "pacts")}
BROKER = {**PACTS, "PACT_BROKER_BASE_URL": "http://broker"}
BREAKING = {"BREAKING_URL": "http://breaking"}


def basic(user: str, password: str) -> set[str]:
    return {f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


ENDS: Mapping[str, End] = {
    "environment": End(
        {"development": False, "production": True}, result(cookie_is_secure), {"KAFKA_SECURITY_PROTOCOL": "SSL"}
    ),
    "log_level": End({"DEBUG": "DEBUG", "ERROR": "ERROR"}, started(lambda level, *_: level)),
    "http_host": End({"127.0.0.2": "127.0.0.2", "127.0.0.3": "127.0.0.3"}, started(lambda _, host, __: host)),
    "http_port": End({"8098": 8098, "8099": 8099}, started(lambda _, __, port: port)),
    "hosts": End({'["localhost"]': 200, '["elsewhere"]': 400}, result(status)),
    "services": End({'{"orders": "http://one"}': {"one"}, '{"orders": "http://two"}': {"two"}}, hosts(log_in)),
    "tokens_from": End(
        {"orders": {"one"}, "people": {"two"}},
        hosts(log_in),
        {"SERVICES": '{"orders": "http://one", "people": "http://two"}'},
    ),
    "gateway_url": End(
        {"http://one": {"breaking", "one"}, "http://two": {"breaking", "two"}},
        hosts(story_and_gateways_fault),
        BREAKING,
    ),
    "mailbox_url": End({"http://one": {"one"}, "http://two": {"two"}}, hosts(story)),
    "breaking_url": End({"http://one": {"one"}, "http://two": {"two"}}, hosts(fault)),
    "breaking_secret": End({"one": {"Bearer one"}, "two": {"Bearer two"}}, logins(fault), BREAKING),
    "contracts": End(
        {folder: f"CONSOLE_CONTRACTS: there is no folder {folder}" for folder in ("/nowhere/1", "/nowhere/2")},
        result(contracts),
    ),
    "pact_broker_base_url": End({"http://one": {"one"}, "http://two": {"two"}}, hosts(contracts), PACTS),
    "pact_broker_token": End({"one": {"Bearer one"}, "two": {"Bearer two"}}, logins(contracts), BROKER),
    "pact_broker_username": End(
        {"ada": basic("ada", "x"), "bob": basic("bob", "x")}, logins(contracts), {**BROKER, "PACT_BROKER_PASSWORD": "x"}
    ),
    "pact_broker_password": End(
        {"one": basic("ada", "one"), "two": basic("ada", "two")},
        logins(contracts),
        {**BROKER, "PACT_BROKER_USERNAME": "ada"},
    ),
    "kept_orders": End({"3": (3, 3 * RECORDS_OF_AN_ORDER), "5": (5, 5 * RECORDS_OF_AN_ORDER)}, kept),
    "kafka_bootstrap_servers": End(
        {"a:9092": ["a:9092"], "a:9092,b:9093": ["a:9092", "b:9093"]}, option("bootstrap_servers")
    ),
    "kafka_security_protocol": End(
        {name: name for name in get_args(SecurityProtocol)}, option("security_protocol"), {"KAFKA_SASL_USERNAME": "ada"}
    ),
    "kafka_sasl_mechanism": SASL({name: name for name in get_args(SaslMechanism)}, option("sasl_mechanism")),
    "kafka_sasl_username": SASL({"ada": "ada", "bob": "bob"}, option("sasl_plain_username")),
    "kafka_sasl_password": SASL({"one": "one", "two": "two"}, option("sasl_plain_password")),
    "kafka_topic_prefix": End({"": ["orders"], "blue-": ["blue-orders"]}, each_client(lambda client: client.names)),
}
"""`kafka_ssl_ca_file` needs a file, and has a test of its own."""


def set_to(patch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    """These and no others: a pipeline may have the Pact Broker's own."""
    for name in Settings.model_fields:
        patch.delenv(Settings.variable(name), raising=False)
    for name, value in {"SERVICES": SERVICES, **values}.items():
        patch.setenv(Settings.variable(name), value)


def test_each_setting_is_followed_to_its_end() -> None:
    assert set(Settings.model_fields) - ENDS.keys() == {"kafka_ssl_ca_file"}, "give each an End: what does it change?"
    assert ENDS.keys() <= set(Settings.model_fields)
    for name, end in ENDS.items():
        first, second, *_ = end.expected.values()
        assert first != second, name


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, end in ENDS.items() for value in end.expected])
async def test_another_value_of_a_setting_is_another_value_at_its_end(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    end = ENDS[name]
    set_to(monkeypatch, {**end.given, name: value})

    assert await end.seen(monkeypatch) == end.expected[value]


async def test_the_authorities_of_kafka_reach_its_clients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    set_to(monkeypatch, {"kafka_security_protocol": "SSL", "kafka_ssl_ca_file": str(file)})

    assert await each_client(lambda client: len(client.options["ssl_context"].get_ca_certs()))(monkeypatch) == 1
