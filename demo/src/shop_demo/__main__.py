"""`python -m shop_demo`: `run` sends a file of orders through the system, `up` leaves it running."""

import asyncio
import errno
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from backing_services.postgres import asyncpg_url
from rich.console import Console
from shop_harness.breaking import Breaking
from shop_harness.evidence import Evidence
from shop_harness.ledgers import Ledgers, at_rest
from shop_harness.services import HAS_PARTNER, SAGA, SERVICES
from shop_harness.system import FOR_A_PERSON, OPERATOR_EMAIL, OPERATOR_PASSWORD, Ports, System, SystemStartError

from shop_demo.customers import Customers, Outcome, Pace, ShopError, place_all
from shop_demo.order_lines import OrderLine, read_lines
from shop_demo.running import LOGS, RunningError, UpFile, up_file
from shop_demo.screen import LiveView, print_summary
from shop_demo.summary import summarize

ORDERS_FILE = Path(__file__).parents[2] / "orders.jsonl"
REST_WITHIN = 60.0
"""Seconds without any progress after which the run is judged as it is."""
LOOK_EVERY = 0.5
RATE = 10
"""Requests a minute that a customer may send, as in production."""
ROOM_BYTES = 300 * 2**20
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPED = 128 + signal.SIGINT

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def run(
    orders: Annotated[int | None, typer.Option(min=1, help="So many orders, repeating the file.")] = None,
    input_: Annotated[Path, typer.Option("--input", help="A file of lines like demo/orders.jsonl.")] = ORDERS_FILE,
    rate: Annotated[float, typer.Option(min=0.1, help="Lines a second.")] = 18,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Start everything, place the orders, wait until all is settled, and hold the ledgers against each other."""
    try:
        lines = read_lines(input_)
    except OSError as error:
        raise _fail(f"can't read {input_}: {error.strerror}") from None
    raise typer.Exit(_finish(_run(lines, orders, rate, as_json=as_json)))


@app.command()
def up() -> None:
    """Start everything and leave it running until Ctrl-C."""
    status = _finish(_up())
    raise typer.Exit(0 if status == STOPPED else status)


def _finish(main: Coroutine[Any, Any, int]) -> int:
    try:
        _check_room()
        return asyncio.run(_until_signal(main))
    except (*FOR_A_PERSON, ShopError, RunningError) as error:
        raise _fail(str(error)) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _fail(f"the disk is full: {error.filename or tempfile.gettempdir()}") from None
    finally:
        main.close()


async def _until_signal(main: Coroutine[Any, Any, int]) -> int:
    """Ctrl-C and SIGTERM cancel the work, and with it everything that was started; a second one changes nothing."""
    loop, work = asyncio.get_running_loop(), asyncio.ensure_future(main)

    def cancel() -> None:
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        typer.echo("stopping", err=True)
        work.cancel()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, cancel)
    try:
        return await work
    except asyncio.CancelledError:
        typer.echo("everything is stopped", err=True)
        return STOPPED


def _check_room() -> None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        raise SystemStartError(f"the disk is full: {folder} has {free // 2**20} MB free, {ROOM_BYTES // 2**20} needed")


def _fail(message: str) -> typer.Exit:
    typer.echo(f"demo: {message}", err=True)
    return typer.Exit(1)


def _console(*, stderr: bool = False) -> Console:
    """Prints texts as they are: what a log or an answer says may have brackets, which are no markup."""
    return Console(stderr=stderr, log_path=False, highlight=False, markup=False)


async def _run(lines: Sequence[OrderLine], orders: int | None, rate: float, *, as_json: bool) -> int:
    console = _console(stderr=as_json)
    started = time.monotonic()
    async with (
        System(Ports.free(), console.log) as system,
        Ledgers(system) as ledgers,
        Customers.of(system) as customers,
    ):
        console.log(f"all processes are up after {time.monotonic() - started:.1f} s", highlight=False)
        with LiveView(console, orders or len(lines)) as view:
            looking = asyncio.create_task(_keep_looking(ledgers, view))
            try:
                outcome = await place_all(customers, lines, orders=orders, pace=Pace(rate), sent=view.line_sent)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
            summary = summarize(outcome, await _at_rest(ledgers, outcome, view))
    if as_json:
        typer.echo(json.dumps(summary.as_json(), indent=2))
    else:
        print_summary(console, summary)
    return 1 if summary.broken else 0


async def _keep_looking(ledgers: Ledgers, view: LiveView) -> None:
    while True:
        view.show(await ledgers.read())
        await asyncio.sleep(LOOK_EVERY)


async def _at_rest(ledgers: Ledgers, outcome: Outcome, view: LiveView) -> Evidence:
    """Until nothing moves any more. What Kafka holds isn't read: so each order, and each e-mail, has to be there."""

    async def read() -> Evidence:
        evidence = await ledgers.read()
        view.show(evidence)
        return evidence

    def is_quiet(evidence: Evidence) -> bool:
        waiting = evidence.expected_mails - evidence.received_mails
        return evidence.is_quiet and not waiting and len(evidence.orders) >= len(outcome.accepted)

    return await at_rest(read, looks=2, stuck_after=REST_WITHIN, every=LOOK_EVERY, is_quiet=is_quiet)


async def _up() -> int:
    console = _console()
    ports = Ports.from_environment()
    given = {"ORDERS_RATE_LIMIT_PER_MINUTE": str(RATE), **os.environ}
    with up_file() as file:
        async with System(ports, console.log, given=given) as system, Breaking(system) as breaking:
            await system.start_console(breaking.settings)
            file.write(_variables(system))
            console.print(_welcome(system.ports) + _where(system, file), soft_wrap=True)
            raise await system.supervisor.failure()


def _variables(system: System) -> dict[str, str]:
    """Those that the services' own processes have."""
    each = (system.environment(service, system.ports[service]) for service in SERVICES)
    return {LOGS: str(system.folder)} | {name: value for one in each for name, value in one.items()}


def _where(system: System, file: UpFile) -> str:
    databases = f"\n{'':<15}".join(f"psql '{asyncpg_url(system.database_url(name))}'" for name in SERVICES)
    return f"""
logs           {system.folder}
databases      {databases}
Kafka          {system.kafka.bootstrap_servers}
operator       {OPERATOR_EMAIL}, password: {OPERATOR_PASSWORD}
variables      {file.file}

make run SERVICE=payments ARGS="dead-letters list"   a command of a service, on this system
make run SERVICE=payments ARGS=doctor                what is wrong with it, and what to do
make logs ORDER=ID                                   what all processes said of one order

Ctrl-C stops everything.
"""


def _welcome(ports: Ports) -> str:
    orders = ports.url("orders")
    later = "".join(f"{name:<15}{ports.url(name)}/docs\n" for name in SERVICES if name not in SAGA)
    partner = f"{'partner':<15}{ports.url('partner')}/_jobs\n" if HAS_PARTNER else ""
    return f"""
console        {ports.url("console")}  as {OPERATOR_EMAIL}, password: {OPERATOR_PASSWORD}
orders         {orders}/docs  {orders}/asyncapi  {orders}/metrics
payments       {ports.url("payments")}/docs
notifications  {ports.url("notifications")}/docs
{later}gateway        {ports.url("gateway")}/_ledger
mail catcher   {ports.url("mail_catcher")}/api/v1/messages
{partner}
Place an order (copy, paste):

{curl_script(ports)}"""


def curl_script(ports: Ports) -> str:
    """Shell commands that place an order and show it and its e-mail; docs/start/run-it.md has the same."""
    api = f"{ports.url('orders')}/api/v1"
    return f"""\
curl -s {api}/users -H 'Content-Type: application/json' \\
  -d '{{"email": "ada@example.com", "name": "Ada", "password": "correct horse"}}'; echo
TOKEN=$(curl -s {api}/tokens -d 'username=ada@example.com' -d 'password=correct horse' \\
  | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
ORDER=$(curl -s {api}/orders -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: $(date +%s)" \\
  -H 'Content-Type: application/json' \\
  -d '{{"items": [{{"sku": "ABC", "quantity": 4}}], "payment_method": "pm_card_ok"}}' \\
  | sed 's/^{{"id":"\\([^"]*\\)".*/\\1/')
for _ in $(seq 100); do
  curl -s {api}/orders/$ORDER -H "Authorization: Bearer $TOKEN" | grep -v '","status":"PENDING",' && break
  sleep 0.2
done
curl -s "{ports.url("mail_catcher")}/api/v1/search?query=to:ada@example.com"; echo
"""


if __name__ == "__main__":
    app()
