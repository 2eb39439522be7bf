"""`python -m partner`: serve until SIGTERM."""

import asyncio
import logging

from sandbox_process import listen, load_settings, run, serve_http

from partner.api import Jobs, create_app
from partner.settings import Settings


def main() -> None:
    settings = load_settings(Settings)
    listener = listen(settings.host, settings.port, "PARTNER_PORT")

    async def serve(stop: asyncio.Event) -> None:
        host, port, *_ = listener.getsockname()
        logging.getLogger("partner").info("http://%s:%d", host, port)
        await serve_http(create_app(Jobs()), listener, stop)

    run(serve)


if __name__ == "__main__":
    main()
