"""`python -m shop_console`: `run` serves the console, `story` tells one order in the terminal."""

import asyncio
import json
import os
import sys
from typing import Annotated

import anyio
import httpx
import typer
from outboxed.errors import ConfigurationError
from outboxed.process import Role, bind, configure_logs, http_role, run_roles
from outboxed.settings import load
from rich.console import Console

from shop_console.breaking import Breaker
from shop_console.browser import create_app
from shop_console.settings import PREFIX, Settings
from shop_console.teller import Teller
from shop_console.terminal import show

URL = "http://127.0.0.1:8010"
EMAIL, PASSWORD = "operator@shop.example", "operator of the harness"
PIPED_WIDTH = 200
TIMEOUT_SECONDS = 30.0
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def run() -> None:
    """Serve the console until SIGTERM."""
    try:
        settings = load(Settings)
        configure_logs(service="console", level=settings.log_level)
        raise typer.Exit(asyncio.run(_serve(settings)))
    except ConfigurationError as error:
        raise _fail(str(error)) from None


@app.command()
def story(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print all facts as one JSON document.")] = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a sequence diagram in Mermaid.")] = False,
) -> None:
    """Tell what became of an order, by the running console (CONSOLE_URL, CONSOLE_EMAIL, CONSOLE_PASSWORD)."""
    url = os.environ.get(f"{PREFIX}URL", URL).rstrip("/")
    name = "story.mmd" if as_mermaid else "story.json"
    answer = asyncio.run(_asked(url, f"/orders/{order}/{name}"))
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise _fail(f"nobody knows the order {order}")
    if answer.is_error:
        raise _fail(f"{url} answered {answer.status_code}")
    if as_mermaid:
        sys.stdout.write(answer.text)
    elif as_json:
        sys.stdout.write(json.dumps(answer.json(), indent=2) + "\n")
    else:
        console = Console(highlight=False)
        show(answer.json(), console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH))


async def _serve(settings: Settings) -> int:
    listener = bind(settings.http_host, settings.http_port, setting=f"{PREFIX}HTTP_PORT")
    async with httpx.AsyncClient(trust_env=False) as http:
        teller = Teller.of(settings, http)

        async def follow(stop: anyio.Event) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(teller.run)
                await stop.wait()
                group.cancel_scope.cancel()

        breaker = Breaker.of(teller)
        try:
            return await run_roles([http_role(create_app(teller, breaker), listener), Role("follower", follow)])
        finally:
            if breaker is not None:
                await breaker.close()


async def _asked(url: str, path: str) -> httpx.Response:
    form = {
        "email": os.environ.get(f"{PREFIX}EMAIL", EMAIL),
        "password": os.environ.get(f"{PREFIX}PASSWORD", PASSWORD),
    }
    try:
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False) as http:
            entered = await http.post("/login", data=form)
            if entered.status_code != httpx.codes.SEE_OTHER:
                raise _fail(f"{url} refuses the login of {form['email']}: set {PREFIX}EMAIL and {PREFIX}PASSWORD")
            return await http.get(path)
    except httpx.HTTPError as error:
        raise _fail(
            f"no console answers at {url} ({type(error).__name__}): start it with `make up`, or set {PREFIX}URL"
        ) from None


def _fail(message: str) -> typer.Exit:
    typer.echo(f"console: {message}", err=True)
    return typer.Exit(2)


if __name__ == "__main__":
    app()
