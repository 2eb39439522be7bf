import pytest
from backing_services._test_systems import MARK, NotATestSystemError, refuse_unless_test_system

PRODUCTION = "postgresql+asyncpg://app:secret@db.example:5432/orders"


@pytest.fixture(autouse=True)
def no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MARK, raising=False)


@pytest.mark.parametrize("name", ["orders_test", "test", "test-orders", "orders_test_gw0_17", "Orders.Tests", "test1"])
def test_a_database_with_the_word_test_in_its_name_is_a_test_system(name: str) -> None:
    refuse_unless_test_system(f"postgresql://app@db.example/{name}")


@pytest.mark.parametrize("name", ["orders", "contest", "latest_orders", "testament", "", "protest"])
def test_any_other_database_is_refused(name: str) -> None:
    with pytest.raises(NotATestSystemError, match="with the word 'test' in it"):
        refuse_unless_test_system(f"postgresql://app@test.example/{name}?application_name=test")


@pytest.mark.parametrize("mark", [PRODUCTION, "db.example:5432/orders", "kafka.example:9092 db.example:5432/orders"])
def test_a_database_marked_by_its_exact_address_is_a_test_system(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    monkeypatch.setenv(MARK, mark)

    refuse_unless_test_system(PRODUCTION)


def test_a_mark_for_another_database_of_the_same_server_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "db.example:5432/order")

    with pytest.raises(NotATestSystemError):
        refuse_unless_test_system(PRODUCTION)


def test_the_refusal_says_what_to_do_and_does_not_show_the_password() -> None:
    with pytest.raises(NotATestSystemError) as refusal:
        refuse_unless_test_system(PRODUCTION)

    assert f"set {MARK}=db.example:5432/orders" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_kafka_cluster_is_refused_until_its_exact_address_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotATestSystemError, match=f"set {MARK}=kafka-test:9092"):
        refuse_unless_test_system("kafka-test:9092")

    monkeypatch.setenv(MARK, "kafka-test:9092")

    refuse_unless_test_system("kafka-test:9092")
