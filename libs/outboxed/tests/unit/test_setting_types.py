"""The types of settings, each with what it takes and what it refuses, in which words."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from outboxed.errors import ConfigurationError
from outboxed.settings import (
    BootstrapServers,
    CaFile,
    Database,
    DatabaseUrl,
    Host,
    HttpUrl,
    MailSender,
    Port,
    PublicKey,
    ServiceSettings,
    load,
)
from outboxed.testing.fixtures import certificate
from pydantic_settings import SettingsConfigDict

__all__ = ["certificate"]

KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAum1ZtrMHdVDGw/cYckBGVigUV/FNCI4Tqx7GzVuE3Is=
-----END PUBLIC KEY-----"""
SECRET = "s3cret-canary"


class Settings(ServiceSettings):
    """One of each type."""

    model_config = SettingsConfigDict(env_prefix="BANK_", frozen=True, extra="ignore")

    http_port: Port = 8000
    database_url: DatabaseUrl = Database.parse("postgresql+asyncpg://bank@db/bank")
    brokers: BootstrapServers = ("kafka:9092",)
    host: Host = "mail"
    gateway: HttpUrl = "http://gateway"
    sender: MailSender = "orders@shop.example"
    ca_file: CaFile | None = None
    key: PublicKey = KEY


def loaded(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> Any:
    monkeypatch.setenv(f"BANK_{name.upper()}", value)
    return getattr(load(Settings), name)


def refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    """The line, without the variable that it begins with."""
    with pytest.raises(ConfigurationError) as error:
        loaded(monkeypatch, name, value)
    variable, _, line = str(error.value).partition(": ")
    assert variable == f"BANK_{name.upper()}"
    assert line.isprintable()
    return line


# --- Kafka's brokers ---


@pytest.mark.parametrize(
    ("text", "brokers"),
    [
        ("a:9092", ("a:9092",)),
        ("a:9092,b:9093", ("a:9092", "b:9093")),
        (" a:9092 , b:9092 ", ("a:9092", "b:9092")),
        ("kafka", ("kafka:9092",)),
        ("kafka_1.internal.:9092", ("kafka_1.internal.:9092",)),
        ("127.0.0.1:1,10.0.0.1:65535", ("127.0.0.1:1", "10.0.0.1:65535")),
        ("[::1]:9092,[2001:db8::1]", ("[::1]:9092", "[2001:db8::1]:9092")),
        ("bücher.example:9092", ("xn--bcher-kva.example:9092",)),
    ],
)
def test_brokers_are_parsed_once_into_one_address_each(
    monkeypatch: pytest.MonkeyPatch, text: str, brokers: tuple[str, ...]
) -> None:
    assert loaded(monkeypatch, "brokers", text) == brokers


# dpkp/kafka-python#2427, dpkp/kafka-python#2606: a wrong address ended in a traceback, or in waiting for ever
@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("host:9,", "address 2 of 2 is empty"),
        (",host:9", "address 1 of 2 is empty"),
        ("host:abc", "has no port from 1 to 65535"),
        ("a:1,host:99999", "address 2 of 2 has no port from 1 to 65535"),
        ("host:0", "has no port from 1 to 65535"),
        ("host:-1", "has no port from 1 to 65535"),
        ("host:٣", "has no port from 1 to 65535"),
        ("host:", "has no port from 1 to 65535"),
        ("[::1]:", "has no port from 1 to 65535"),
        (":9092", "is no host name"),
        (f"{'a' * 300}:9092", "is no host name"),
        (f"{'ü' * 300}:9092", "is no host name"),
        (".".join(["abc"] * 80), "is no host name"),
        ("a..b:9092", "is no host name"),
        ("-a:9092", "is no host name"),
        ("a b:9092", "is no host name"),
        ("a\n:9092", "is no host name"),
        ("127.0.0:9092", "is no IPv4 address"),
        ("256.0.0.1:9092", "is no IPv4 address"),
        ("::1:9092", "must have brackets around an IPv6 address, such as [::1]:9092"),
        ("[::g]:9092", "is no IPv6 address"),
        ("[127.0.0.1]:9092", "is no IPv6 address"),
        ("[::1]9092", "must have brackets around an IPv6 address, such as [::1]:9092"),
        ("PLAINTEXT://host:9", "must be host:port, without a protocol before it"),
        ("a;b:9092", "is no host name"),
    ],
)
def test_what_is_no_broker_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, because: str) -> None:
    line = refused(monkeypatch, "brokers", text)

    assert line == f"must be host:port, several with commas between: {because}"


@pytest.mark.parametrize("text", ["", "a:1", "http://a", "a/b", "[::1]", "a" * 64])
def test_what_is_no_host_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert refused(monkeypatch, "host", text).startswith("is no ")


@pytest.mark.parametrize("text", ["http://a", "https://a.example:8443/v1", "http://[::1]:8090", "http://127.0.0.1"])
def test_a_url_for_calls_over_http_is_taken(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert loaded(monkeypatch, "gateway", text) == text


@pytest.mark.parametrize(
    "text",
    ["", "gateway:8090", "ftp://a", "http://", "http://a:abc", "http://a:99999", "http://[::1", f"http://{'a' * 64}"],
)
def test_what_is_no_url_for_calls_over_http_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert refused(monkeypatch, "gateway", text) == "must be a URL such as https://host or http://host:8090"


# --- the database ---


def test_a_url_is_parsed_into_all_that_libpqs_variables_could_change(monkeypatch: pytest.MonkeyPatch) -> None:
    database = loaded(monkeypatch, "database_url", "postgresql+asyncpg://ada:pw@db.example/bank")

    options = database.connect_options(timezone="UTC", application_name="bank")

    assert options == {
        "host": ["db.example"],
        "port": [5432],
        "user": "ada",
        "password": "pw",
        "database": "bank",
        "ssl": "prefer",
        "direct_tls": False,
        "gsslib": "gssapi",
        "krbsrvname": "postgres",
        "target_session_attrs": "any",
        "timeout": 5,
        "server_settings": {"timezone": "UTC", "application_name": "bank"},
    }


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("ada@db/bank", {"password": ""}),
        ("ada:p%40%2F%3A%25%23%3F%20w@db/bank", {"password": "p@/:%#? w"}),
        ("ada%40org:pw@db/b%2Fb", {"user": "ada@org", "database": "b/b"}),
        ("ada@[2001:db8::1]:6432/bank", {"host": ["2001:db8::1"], "port": [6432]}),
        ("ada@/bank?host=/run/postgresql", {"host": ["/run/postgresql"], "port": [5432], "ssl": False}),
        ("ada@/bank?host=/run&port=5433&sslmode=require", {"host": ["/run"], "port": [5433], "ssl": False}),
        ("ada@/bank?host=a:1&host=[::1]:2", {"host": ["a", "::1"], "port": [1, 2]}),
        ("ada@/bank?host=a,b&port=1,2", {"host": ["a", "b"], "port": [1, 2]}),
        ("ada@/bank?host=a,b&port=1", {"host": ["a", "b"], "port": [1, 1]}),
        ("ada@db/bank?sslmode=disable", {"ssl": False}),
        ("ada@db/bank?sslmode=allow", {"ssl": "allow"}),
        ("ada@db/bank?ssl=prefer", {"ssl": "prefer"}),
        ("ada@db/bank?connect_timeout=7", {"timeout": 7}),
        ("ada@db/bank?application_name=till", {"server_settings": {"application_name": "till"}}),
        ("ada@db/bank?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
    ],
)
def test_a_urls_parts_and_parameters_become_asyncpgs(
    monkeypatch: pytest.MonkeyPatch, rest: str, expected: dict[str, object]
) -> None:
    options = loaded(monkeypatch, "database_url", f"postgresql+asyncpg://{rest}").connect_options()

    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    "rest", ["ada:p%40@db:5432/bank", "ada@/bank?host=%2Frun&port=5433", "ada@/bank?host=a%2C%3A%3A1&port=1%2C2"]
)
def test_what_sqlalchemy_gets_leads_to_the_same_place(rest: str) -> None:
    database = Database.parse(f"postgresql+asyncpg://{rest}")

    again = Database.parse(database.url.render_as_string(hide_password=False))

    assert (again, str(again.url)) == (database, str(database.url))


@pytest.mark.parametrize(
    ("query", "verifies", "checks_the_name"),
    [
        ("sslmode=require", ssl.CERT_NONE, False),
        ("ssl=require", ssl.CERT_NONE, False),
        ("sslmode=require&sslrootcert={ca}", ssl.CERT_REQUIRED, False),
        ("sslmode=verify-ca&sslrootcert={ca}", ssl.CERT_REQUIRED, False),
        ("sslmode=verify-full", ssl.CERT_REQUIRED, True),
        ("sslmode=verify-full&sslrootcert={ca}&sslcert={ca}&sslkey={key}", ssl.CERT_REQUIRED, True),
    ],
)
def test_an_sslmode_means_what_libpq_says(
    monkeypatch: pytest.MonkeyPatch,
    certificate: tuple[Path, Path],
    query: str,
    verifies: ssl.VerifyMode,
    checks_the_name: bool,
) -> None:
    ca, key = certificate
    url = f"postgresql+asyncpg://ada@db/bank?{query.format(ca=ca, key=key)}"

    context = loaded(monkeypatch, "database_url", url).encryption

    assert (context.verify_mode, context.check_hostname) == (verifies, checks_the_name)


@pytest.mark.parametrize("hosts", ["host=/run&host=db", "host=db&host=/run", "host=/run,db", "host=db"])
def test_a_host_is_asked_for_its_certificate_whatever_sockets_there_are_beside_it(hosts: str) -> None:
    """Else the password and all rows go over the network in the clear after a fail-over."""
    context: Any = Database.parse(f"postgresql+asyncpg://ada@/bank?{hosts}&sslmode=verify-full").encryption

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_sizes_of_statement_caches_reach_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+asyncpg://ada@db/bank?prepared_statement_cache_size=0&statement_cache_size=10"

    caches = loaded(monkeypatch, "database_url", url).statement_caches

    assert caches == {"prepared_statement_cache_size": 0, "statement_cache_size": 10}


@pytest.mark.parametrize(
    ("query", "pooler"),
    [("", None), ("pooler=transaction", "transaction"), ("pooler=transaction&statement_cache_size=0", "transaction")],
)
def test_a_pooler_is_named_in_the_url_and_the_server_hears_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, query: str, pooler: str | None
) -> None:
    database = loaded(monkeypatch, "database_url", f"postgresql+asyncpg://ada@db/bank?{query}")

    assert database.pooler == pooler
    assert "pooler" not in {*database.connect_options(), *database.url.query}


FORM = "must be a URL such as postgresql+asyncpg://user:password@host:5432/database"
TIMEOUT = "has the parameter connect_timeout, which must be a number from 1 to 300"
MODES = "disable, allow, prefer, require, verify-ca or verify-full"


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ("db/bank", FORM),
        (f"ada:{SECRET}@/bank", FORM),
        (f"ada:{SECRET}@db", FORM),
        (f"ada:{SECRET}@db:abc/bank", FORM),
        (f"ada:{SECRET}@a:1,b:2/bank", FORM),
        (f"ada:{SECRET}@db:99999/bank", f"{FORM}; its address has no port from 1 to 65535"),
        (f"ada:{SECRET}@{'a' * 300}/bank", f"{FORM}; its address is no host name"),
        (f"ada:{SECRET}@/bank?host=a:b", f"{FORM}; its address has no port from 1 to 65535"),
        (f"ada:{SECRET}@db/bank?host=a", "has a host, and so must not have the parameters host and port"),
        (f"ada:{SECRET}@/bank?host=a,b,c&port=1,2", "has another number of ports than of hosts"),
        (f"ada:{SECRET}@db/bank?ssl=nonsense", f"has the parameter sslmode or ssl, which must be {MODES}"),
        (f"ada:{SECRET}@db/bank?sslmode={SECRET}", f"has the parameter sslmode or ssl, which must be {MODES}"),
        (f"ada:{SECRET}@/bank?host=/run&sslmode=no", f"has the parameter sslmode or ssl, which must be {MODES}"),
        (f"ada:{SECRET}@db/bank?ssl=require&sslmode=require", "has the parameters sslmode and ssl, which are one"),
        (f"ada:{SECRET}@db/bank?sslmode=require&sslmode=prefer", "has the parameter sslmode twice"),
        (
            f"ada:{SECRET}@db/bank?sslrootcert=/ca.pem",
            "has the parameter sslrootcert, which needs an sslmode of require, verify-ca or verify-full",
        ),
        (f"ada:{SECRET}@db/bank?sslmode=verify-ca", "has sslmode=verify-ca, which needs the parameter sslrootcert"),
        (
            f"ada:{SECRET}@db/bank?sslmode=require&sslrootcert=/no/such",
            "has the parameter sslrootcert, whose file can't be read: No such file or directory",
        ),
        (
            f"ada:{SECRET}@db/bank?sslmode=require&sslkey={__file__}",
            "has the parameter sslkey, which needs sslcert",
        ),
        (
            f"ada:{SECRET}@db/bank?sslmode=require&sslcert={__file__}",
            "has the parameters sslcert and sslkey, which are no certificate with its key",
        ),
        (f"ada:{SECRET}@db/bank?connect_timeout=0", TIMEOUT),
        (f"ada:{SECRET}@db/bank?pooler=pgbouncer", "has the parameter pooler, which must be transaction"),
        (
            f"ada:{SECRET}@db/bank?pooler=transaction&statement_cache_size=10",
            "has the parameter pooler, with which statement_cache_size must be 0",
        ),
        (f"ada:{SECRET}@db/bank?connect_timeout=x", TIMEOUT),
        (
            f"ada:{SECRET}@db/bank?prepared_statement_cache_size=x",
            "has the parameter prepared_statement_cache_size, which must be a number from 0 to 100000",
        ),
        (
            f"ada:{SECRET}@db/bank?target_session_attrs=read-only",
            "has the parameter target_session_attrs, which must be any, primary or read-write",
        ),
    ],
)
def test_a_wrong_url_is_one_line_without_its_password(monkeypatch: pytest.MonkeyPatch, rest: str, line: str) -> None:
    told = refused(monkeypatch, "database_url", f"postgresql+asyncpg://{rest}")

    assert told == line
    assert SECRET not in told


@pytest.mark.parametrize(
    "name",
    ["options", "passfile", "service", "sslcrl", "channel_binding", "gssencmode", "keepalives", "user", "password"],
)
def test_a_parameter_without_a_meaning_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    told = refused(monkeypatch, "database_url", f"postgresql+asyncpg://ada:{SECRET}@db/bank?{name}={SECRET}")

    assert told.startswith(f"has the parameter {name}, which has no meaning here; it may have application_name, ")
    assert SECRET not in told


def test_a_parameter_that_is_not_even_a_name_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refused(monkeypatch, "database_url", f"postgresql+asyncpg://ada@db/bank?{SECRET}=1")

    assert told.startswith("has a parameter, which has no meaning here")


def test_a_database_that_is_printed_shows_no_password() -> None:
    database = Database.parse(f"postgresql+asyncpg://ada:{SECRET}@a.example/bank")

    assert database.address == "a.example:5432/bank"
    assert SECRET not in f"{database!r} {database.url!r} {database.address}"


# --- who e-mails are from ---


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("orders@shop.example", "orders@shop.example"),
        ("Shop <orders@shop.example>", "Shop <orders@shop.example>"),
        ('"Shop, Inc." <orders@shop.example>', '"Shop, Inc." <orders@shop.example>'),
        ("Shöp <orders+a@shop.example>", "Shöp <orders+a@shop.example>"),
        ("Shop <bestellung@bücher.example>", "Shop <bestellung@xn--bcher-kva.example>"),
        ("Shop <a@straße.example>", "Shop <a@xn--strae-oqa.example>"),
    ],
)
def test_a_sender_is_sent_as_one_address_that_every_mail_server_takes(
    monkeypatch: pytest.MonkeyPatch, text: str, header: str
) -> None:
    assert loaded(monkeypatch, "sender", text) == header


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "<>",
        "Shop",
        "Shop <>",
        "Shop, Inc. <orders@shop.example>",
        "a@shop.example, b@shop.example",
        "a@shop.example b@shop.example",
        "Team: a@shop.example;",
        "orders@",
        "@shop.example",
        "a@b@shop.example",
        "Shop <orders@shop..example>",
        "Shop <örders@shop.example>",
        "Shop <orders@shop.example>\nBcc: eve@example.com",
        f"{'a' * 65}@shop.example",
        f"orders@{'a' * 64}.example",
        "Shop <orders@[127.0.0.1]>",
        "Shop <orders@shop.example",
        "Shop\x1b[2J <orders@shop.example>",
    ],
)
def test_a_sender_that_is_not_one_address_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    told = refused(monkeypatch, "sender", text)

    assert told.startswith('must be one address, such as shop@shop.example or "Shop, Inc." <shop@shop.example>')


# --- files and keys ---


def test_a_file_of_authorities_is_taken(monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]) -> None:
    assert loaded(monkeypatch, "ca_file", str(certificate[0])) == str(certificate[0])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", "can't be read: Is a directory"),
        ("/no/such", "can't be read: No such file or directory"),
        (str(Path(__file__).parent), "can't be read: Is a directory"),
        (__file__, "holds no certificate in PEM"),
    ],
)
def test_a_file_without_authorities_is_refused(monkeypatch: pytest.MonkeyPatch, path: str, line: str) -> None:
    assert refused(monkeypatch, "ca_file", path) == line


@pytest.mark.parametrize("text", [KEY, KEY.replace("\n", "\\n")])
def test_a_public_key_is_taken_with_either_line_end(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert loaded(monkeypatch, "key", text) == text


@pytest.mark.parametrize("text", ["", "x", KEY[:60], KEY.replace("MCow", "MCox")])
def test_what_is_no_public_key_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert refused(monkeypatch, "key", text) == "is no Ed25519 public key in PEM"


@pytest.mark.parametrize("prefix", ["a b", "a/", "ä", "a" * 101])
def test_a_prefix_that_no_topic_may_have_is_refused(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    assert refused(monkeypatch, "kafka_topic_prefix", prefix)


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("SSL_CERT_FILE", "/no/such", "SSL_CERT_FILE: can't be read: No such file or directory"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE: holds no certificate in PEM"),
        ("SSL_CERT_DIR", "/no/such", "SSL_CERT_DIR: is no folder"),
    ],
)
def test_authorities_of_the_environment_matter_only_to_who_verifies_by_them(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], variable: str, value: str, line: str
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(variable, value)
    assert loaded(monkeypatch, "log_level", "INFO") == "INFO"
    url = "postgresql+asyncpg://ada@db/bank?sslmode=verify-full"

    assert refused(monkeypatch, "database_url", url) == line
    monkeypatch.setenv("BANK_DATABASE_URL", f"{url}&sslrootcert={certificate[0]}")
    with pytest.raises(ConfigurationError, match=f"^{line}$"):
        loaded(monkeypatch, "kafka_security_protocol", "SSL")
    assert loaded(monkeypatch, "kafka_ssl_ca_file", str(certificate[0])) == str(certificate[0])
