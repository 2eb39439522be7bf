"""outboxed alone brings three libraries, and each part of it says which extra it needs."""

import pytest

from ..only_installed import Programs, installed_by, requirements

NOTHING: frozenset[str] = frozenset()
CORE = """
from outboxed import Inbox, Outbox
import outboxed.__main__
from outboxed.messages import Event
from outboxed.relay import Relay
from outboxed.settings import Database, KafkaSettings
from outboxed.storage import SqlUnitOfWork, tables
"""
PARTS = {
    "asyncpg": ("from outboxed.storage import create_engine",),
    "migrations": ("from outboxed.storage import migrate", "from outboxed.storage import schema"),
    "telemetry": ("import outboxed.telemetry", "from outboxed.tasks import TaskKind"),
    "faststream": ("from outboxed.consuming import Route",),
    "http": ("from outboxed.web import TokenVerifier",),
    "service": ("from outboxed.process import create_service", "from outboxed.settings import ServiceSettings, load"),
}
HEAVY = ("alembic", "anyio", "asyncpg", "fastapi", "faststream", "opentelemetry", "prometheus_client", "structlog")
RELAY = """
import runpy, types
from outboxed import Outbox
shop = types.ModuleType("shop")
shop.outbox = Outbox()
sys.modules["shop"] = shop
sys.argv = ["", "relay", "shop:outbox", "--database", "postgresql://localhost/shop", "--kafka", "localhost"]
runpy.run_module("outboxed", run_name="__main__")
"""


def attempt(code: str) -> str:
    return f"try:\n    {code}\nexcept ImportError as error:\n    print(f'{{type(error).__name__}}: {{error}}')\n"


def test_outboxed_alone_asks_for_three_libraries() -> None:
    assert {name for name, _ in requirements("outboxed")} == {"aiokafka", "pydantic", "sqlalchemy"}


def test_the_outbox_the_inbox_and_their_relay_need_no_extra(programs: Programs) -> None:
    done = programs.run_with(NOTHING, CORE)

    assert done.stderr == ""


def test_they_import_nothing_of_an_extra_where_it_is_installed(programs: Programs) -> None:
    done = programs.run_with(frozenset({"service"}), f"{CORE}\nprint(*set(sys.modules) & set({HEAVY!r}))")

    assert (done.stdout.split(), done.stderr) == ([], "")


@pytest.mark.parametrize("extra", PARTS)
def test_a_part_needs_its_extra_and_no_other(programs: Programs, extra: str) -> None:
    done = programs.run_with(frozenset({extra}), "\n".join(PARTS[extra]))

    assert done.stderr == ""


def test_a_missing_extra_is_one_line_that_names_it(programs: Programs) -> None:
    parts = {code: extra for extra, codes in PARTS.items() for code in codes}
    done = programs.run_with(NOTHING, "".join(map(attempt, parts)))

    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert [line for line in lines if not line.startswith("MissingExtraError: outboxed.")] == []
    wanted = [f'which isn\'t installed: pip install "outboxed[{extra}]"' for extra in parts.values()]
    assert [line.rpartition(", ")[2] for line in lines] == wanted


def test_the_relay_of_a_url_names_the_driver_that_is_missing(programs: Programs) -> None:
    done = programs.run_with(NOTHING, RELAY)

    [line] = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("outboxed: outboxed.storage.create_engine needs asyncpg")
    assert line.endswith('pip install "outboxed[asyncpg]"')


def test_the_extra_service_brings_all_others_but_that_for_tests() -> None:
    whole = installed_by("outboxed", frozenset({"service"}))

    assert [extra for extra in (*PARTS, "cli") if not installed_by("outboxed", frozenset({extra})) <= whole] == []
