import pytest
from backing_services._test_systems import MARK, NotATestSystemError
from backing_services.choice import (
    Unavailable,
    WrongChoiceError,
    choose_kafka,
    choose_postgres,
    choose_real_kafka,
    report_line,
)
from backing_services.kafka import ApacheKafka, ContainerKafka, GivenKafka, MockKafka
from backing_services.postgres import ContainerPostgres, EmbeddedPostgres, GivenPostgres, asyncpg_url

VARIABLES = [
    "TEST_DATABASE_URL",
    "TEST_KAFKA_BOOTSTRAP_SERVERS",
    "BACKING_POSTGRES",
    "BACKING_KAFKA",
    MARK,
]


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def test_both_are_embedded_by_default() -> None:
    assert isinstance(choose_postgres(), EmbeddedPostgres)
    assert isinstance(choose_kafka(), MockKafka)


@pytest.mark.parametrize(("kind", "expected"), [("embedded", EmbeddedPostgres), ("container", ContainerPostgres)])
def test_postgres_is_what_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, kind: str, expected: type[object]
) -> None:
    monkeypatch.setenv("BACKING_POSTGRES", kind)

    assert isinstance(choose_postgres(), expected)


@pytest.mark.parametrize(
    ("kind", "expected"), [("embedded", MockKafka), ("process", ApacheKafka), ("container", ContainerKafka)]
)
def test_kafka_is_what_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, kind: str, expected: type[object]
) -> None:
    monkeypatch.setenv("BACKING_KAFKA", kind)

    assert isinstance(choose_kafka(), expected)


def test_a_misspelt_kind_is_an_error_that_names_the_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKING_KAFKA", "docker")

    with pytest.raises(WrongChoiceError, match="BACKING_KAFKA=docker: choose one of embedded, process, container"):
        choose_kafka()
    assert "refused: BACKING_KAFKA=docker" in report_line()


@pytest.mark.parametrize("name", ["ssl", "sslmode"])
def test_a_given_database_is_used_if_it_is_one_for_tests(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", f"postgresql://app:secret@db.example:6432/orders_test?{name}=require")

    server = choose_postgres()

    assert isinstance(server, GivenPostgres)
    assert server.url("other_test") == "postgresql+asyncpg://app:secret@db.example:6432/other_test?ssl=require"
    assert asyncpg_url(server.url("x")) == "postgresql://app:secret@db.example:6432/x?sslmode=require"
    assert server.name == "given db.example:6432"


def test_a_given_database_is_refused_if_nothing_marks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://app:secret@db.example/orders")

    with pytest.raises(NotATestSystemError):
        choose_postgres()


def test_a_given_kafka_is_used_only_if_it_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    with pytest.raises(NotATestSystemError):
        choose_kafka()

    monkeypatch.setenv(MARK, "kafka.example:9092")

    assert isinstance(choose_kafka(), GivenKafka)
    assert isinstance(choose_real_kafka(), GivenKafka)


async def test_a_given_server_makes_and_drops_databases_like_any_other() -> None:
    with EmbeddedPostgres(port=0) as running:
        await running.create_database("orders_test")
        given = GivenPostgres(running.url("orders_test"))
        given.start()

        await given.clone("template1", "other_test")

        assert await running.database_exists("other_test")
        given.close()


@pytest.mark.usefixtures("cache")
def test_a_real_kafka_that_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")

    choice = choose_real_kafka()

    assert isinstance(choice, Unavailable)
    assert choice.what == "kafka"
    assert "no Docker engine answers" in choice.why
