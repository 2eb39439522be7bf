"""A test that every setting does something: it is followed to where it ends, such as a client's own argument."""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, get_args

import aiokafka
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed.process import CommandLine, Service
from outboxed.settings import SaslMechanism, SecurityProtocol, ServiceSettings, load
from outboxed.testing.suites.settings import OUR_KEY

Seen = Callable[[Callable[[], Service[Any]], pytest.MonkeyPatch], Awaitable[object]]
"""Builds the service, and says what is there at a setting's end."""


class _ReachedError(Exception):
    """The end was reached: nothing is connected."""


@dataclass(frozen=True)
class End:
    """What is seen at the end for each value of a setting; the first two differ. `given` is set beside them.

    A number that has limits is followed at these, too: there a unit or a type that is too small shows.
    """

    expected: Mapping[str, object]
    seen: Seen
    given: Mapping[str, str] = field(default_factory=dict)


def at(look: Callable[[Service[Any]], object]) -> Seen:
    """An end that can be looked at without running anything."""

    async def seen(build: Callable[[], Service[Any]], _: pytest.MonkeyPatch) -> object:
        return look(build())

    return seen


async def _reached(use: Awaitable[object]) -> None:
    with pytest.raises(_ReachedError):
        await use


def _recorder(into: list[Any]) -> Any:
    """In place of a client's class: writes down what it is given, and can be subscribed."""

    class Recorder:
        def __init__(self, *_: Any, **options: Any) -> None:
            into.append(options)

        def subscribe(self, *, topics: Any, **_: Any) -> None:
            into.append({"topics": sorted(topics)})
            raise _ReachedError

        async def start(self) -> None:
            raise _ReachedError

    return Recorder


def kafka_client(option: str, look: Callable[[Any], object] = lambda value: value) -> Seen:
    """What the classes of all clients, consumer and producer, are given under the name of an option: the same."""

    async def seen(build: Callable[[], Service[Any]], patch: pytest.MonkeyPatch) -> object:
        consumed: list[Any] = []
        produced: list[Any] = []
        patch.setattr(aiokafka, "AIOKafkaConsumer", _recorder(consumed))
        patch.setattr("outboxed.relay._producer.AIOKafkaProducer", _recorder(produced))
        patch.setattr("outboxed._compat.aiokafka_producer.close_without_flushing", _nothing)
        service = build()
        if service.subscriber is not None:
            await _reached(service.broker.start())
        await _reached(service.relay._producer._started())  # noqa: SLF001 - the relay connects by itself
        first, *others = [look(options[0].get(option)) for options in (produced, consumed) if options]
        assert [first for _ in others] == others
        return first

    return seen


async def _nothing(*_: object, **__: object) -> None:
    pass


def consumer(option: str) -> Seen:
    """What the consumer's class is given under the name of an option."""

    async def seen(build: Callable[[], Service[Any]], patch: pytest.MonkeyPatch) -> object:
        given: list[Any] = []
        patch.setattr(aiokafka, "AIOKafkaConsumer", _recorder(given))
        await _reached(build().broker.start())
        return {**given[0], **given[1]}[option]

    return seen


def database(option: str) -> Seen:
    """What the driver is given by each of the two pools."""

    async def seen(build: Callable[[], Service[Any]], _: pytest.MonkeyPatch) -> object:
        service = build()
        return [await _given(pool.engine, option) for pool in (service.transactions, service.api_transactions)]

    return seen


async def _given(engine: AsyncEngine, option: str) -> object:
    given: dict[str, Any] = {}

    def stop(_: Any, __: Any, ___: Any, options: dict[str, Any]) -> None:
        given.update(options)
        raise _ReachedError

    sa.event.listen(engine.sync_engine, "do_connect", stop)
    await _reached(engine.connect().start())
    return given[option]


async def _bound(build: Callable[[], Service[Any]], patch: pytest.MonkeyPatch) -> object:
    bound: list[object] = []

    def bind(host: str, port: int, **_: object) -> None:
        bound.append((host, port))
        raise _ReachedError

    patch.setattr("outboxed.process._service.bind", bind)
    await _reached(build().run("api"))
    return bound[0]


async def _log_level(build: Callable[[], Service[Any]], patch: pytest.MonkeyPatch) -> object:
    levels: list[str] = []

    def configure(*, level: str, **_: object) -> None:
        levels.append(level)
        raise _ReachedError

    patch.setattr("outboxed.process._cli.configure_logs", configure)
    service = build()
    command = CommandLine(service.name, type(service.settings), lambda _: service)
    with pytest.raises(_ReachedError):
        command.execute(lambda service: service.run("all"), log_level="")
    return levels[0]


def _authorities(context: Any) -> object:
    return context and len(context.get_ca_certs())


DATABASE = "postgresql+asyncpg://role:secret@db:5433/service"
IN_THE_CLEAR = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "ada"}
SASL = partial(End, given=IN_THE_CLEAR)
COMMON_ENDS: Mapping[str, End] = {
    "log_level": End({"DEBUG": "DEBUG", "ERROR": "ERROR"}, _log_level),
    "http_host": End(
        {"127.0.0.1": ("127.0.0.1", 8099), "127.0.0.2": ("127.0.0.2", 8099)}, _bound, {"HTTP_PORT": "8099"}
    ),
    "http_port": End({port: ("127.0.0.1", int(port)) for port in ("0", "8099", "65535")}, _bound),
    "database_url": End(
        {DATABASE: [["db"], ["db"]], DATABASE.replace("@db", "@two"): [["two"], ["two"]]}, database("host")
    ),
    "database_password": End(
        {"": ["secret", "secret"], "p@ss/w:rd": ["p@ss/w:rd", "p@ss/w:rd"]},
        database("password"),
        {"DATABASE_URL": DATABASE},
    ),
    "kafka_bootstrap_servers": End(
        {"a:9092": ["a:9092"], "a:9092,b:9093": ["a:9092", "b:9093"]}, kafka_client("bootstrap_servers")
    ),
    "kafka_security_protocol": End(
        {name: name for name in get_args(SecurityProtocol)},
        kafka_client("security_protocol", lambda value: value or "PLAINTEXT"),
        {"KAFKA_SASL_USERNAME": "ada"},
    ),
    "kafka_sasl_mechanism": SASL({name: name for name in get_args(SaslMechanism)}, kafka_client("sasl_mechanism")),
    "kafka_sasl_username": SASL({"ada": "ada", "bob": "bob"}, kafka_client("sasl_plain_username")),
    "kafka_sasl_password": SASL({"one": "one", "two": "two"}, kafka_client("sasl_plain_password")),
}
"""The ends of what every service has. `kafka_topic_prefix` and `kafka_ssl_ca_file` are in SettingsWorkSuite."""
CONSUMER_ENDS: Mapping[str, End] = {
    "kafka_session_timeout_ms": End({"1000": 1000, "300000": 300_000}, consumer("session_timeout_ms")),
    "kafka_fetch_max_wait_ms": End({"1": 1, "5000": 5000}, consumer("fetch_max_wait_ms")),
}
"""The ends of what only a service has that reads events."""


def _limits(settings: type[ServiceSettings], name: str) -> set[float]:
    """The least and the largest value of a number, as far as they are allowed themselves."""
    told = settings.model_fields[name].metadata if name in settings.model_fields else ()
    least = [float(each.ge) for each in told if hasattr(each, "ge")]
    largest = [float(each.le) for each in told if hasattr(each, "le")]
    return {*sorted(least)[-1:], *sorted(largest)[:1]}


def accepted_keys(*always: str) -> End:
    """`jwt_public_keys`: the keys whose tokens are accepted, beside those that always are."""

    def keys(service: Service[Any]) -> object:
        verifier: Any = service.token_verifier
        return len(verifier._public_keys)  # noqa: SLF001 - they have no other use

    one, two = json.dumps([OUR_KEY]), json.dumps([OUR_KEY, OUR_KEY])
    return End({one: 1 + len(always), two: 2 + len(always)}, at(keys))


OWN_TESTS = ("kafka_topic_prefix", "kafka_ssl_ca_file")


class SettingsWorkSuite:
    """`ends` has the service's own settings; a setting without an end fails, with its name.

    `elsewhere` has those whose effect another test shows: its file, from the folder of the subclass's file, and name,
    such as `../integration/test_command_line.py::test_an_operator_is_made_once`. SettingsSuite holds `environment`.
    """

    settings: ClassVar[type[ServiceSettings]]
    build: ClassVar[Any]
    """The composition root's function: it makes a Service of settings."""
    ends: ClassVar[Mapping[str, End]]
    elsewhere: ClassVar[Mapping[str, str]] = {}

    def test_each_setting_is_followed_to_its_end(self) -> None:
        followed = {*COMMON_ENDS, *CONSUMER_ENDS, *self.ends, *self.elsewhere, "environment", *OWN_TESTS}

        assert set(self.settings.model_fields) - followed == set(), "give each an End: what does it change?"
        assert followed - set(self.settings.model_fields) == set()

    def test_a_number_is_followed_at_its_limits(self) -> None:
        for name, end in {**COMMON_ENDS, **CONSUMER_ENDS, **self.ends}.items():
            if limits := _limits(self.settings, name):
                assert limits - {float(value) for value in end.expected} == set(), name

    def test_the_other_tests_are_there(self) -> None:
        folder = Path(inspect.getfile(type(self))).parent
        for test in self.elsewhere.values():
            file, _, name = test.partition("::")
            assert f"def {name}(" in (folder / file).read_text(), test

    async def test_another_value_of_a_setting_is_another_value_at_its_end(
        self, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
    ) -> None:
        reads = self._build().subscriber is not None
        for name, end in {**COMMON_ENDS, **(CONSUMER_ENDS if reads else {}), **self.ends}.items():
            first, second, *_ = end.expected.values()
            assert first != second, name
            for value, expected in end.expected.items():
                with subtests.test(self.settings.variable(name), value=value), monkeypatch.context() as patch:
                    self._set(patch, {**end.given, name: value})
                    assert await end.seen(self._build, patch) == expected

    async def test_the_prefix_of_topics_reaches_the_consumer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set(monkeypatch, {"kafka_topic_prefix": "blue-"})
        service = self._build()

        if service.subscriber is not None:
            topics = await consumer("topics")(self._build, monkeypatch)
            assert topics == [f"blue-{topic}" for topic in service.consumer.topics]

    async def test_the_authorities_of_kafka_reach_its_clients(
        self, monkeypatch: pytest.MonkeyPatch, ca_file: Path
    ) -> None:
        self._set(monkeypatch, {"kafka_security_protocol": "SSL", "kafka_ssl_ca_file": str(ca_file)})

        assert await kafka_client("ssl_context", _authorities)(self._build, monkeypatch) == 1

    @pytest.fixture
    def ca_file(self, tmp_path: Path) -> Path:
        """An authority that nobody else knows."""
        import trustme  # noqa: PLC0415 - comes with pytest-backing-services

        file = tmp_path / "ca.pem"
        trustme.CA().cert_pem.write_to_path(str(file))
        return file

    def _set(self, patch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            patch.setenv(self.settings.variable(name), value)

    def _build(self) -> Service[Any]:
        service: Service[Any] = self.build(load(self.settings))
        return service
