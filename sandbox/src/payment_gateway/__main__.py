"""`python -m payment_gateway`: serve until SIGTERM."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from sandbox_process import listen, load_settings, run, serve_http

from payment_gateway.api import create_app
from payment_gateway.ledger import Ledger
from payment_gateway.settings import Settings


def main() -> None:
    settings = load_settings(Settings)
    listener = listen(settings.host, settings.port, "GATEWAY_PORT")
    ledger = _open(settings.ledger_path)

    async def serve(stop: asyncio.Event) -> None:
        host, port, *_ = listener.getsockname()
        logging.getLogger("payment_gateway").info("http://%s:%d, ledger %s", host, port, settings.ledger_path)
        await serve_http(create_app(ledger, stopping=stop), listener, stop)

    with closing(ledger):
        run(serve)


def _open(path: Path) -> Ledger:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Ledger(path)
    except (OSError, sqlite3.Error) as error:
        raise SystemExit(f"cannot open the ledger {path}: {error}; choose another GATEWAY_LEDGER_PATH") from None


if __name__ == "__main__":
    main()
