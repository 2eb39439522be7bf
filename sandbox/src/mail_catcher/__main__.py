"""`python -m mail_catcher`: catch and serve until SIGTERM, SMTP and HTTP in one event loop."""

import asyncio
import logging
import ssl

from sandbox_process import listen, load_settings, run, serve_http

from mail_catcher.api import create_app
from mail_catcher.faults import Faults
from mail_catcher.settings import Settings
from mail_catcher.smtp import SmtpServer
from mail_catcher.store import Store


def main() -> None:
    settings = load_settings(Settings)
    tls = _certificate(settings)
    smtp_listener = listen(settings.smtp_host, settings.smtp_port, "MAILBOX_SMTP_PORT")
    http_listener = listen(settings.http_host, settings.http_port, "MAILBOX_HTTP_PORT")

    async def serve(stop: asyncio.Event) -> None:
        store, faults = Store(settings.max_messages), Faults()
        smtp = SmtpServer(store, faults, tls=tls, login=settings.login)
        smtp_host, smtp_port, *_ = smtp_listener.getsockname()
        http_host, http_port, *_ = http_listener.getsockname()
        await smtp.start(smtp_listener)
        log = logging.getLogger("mail_catcher")
        log.info("smtp://%s:%d, http://%s:%d", smtp_host, smtp_port, http_host, http_port)
        await serve_http(create_app(store, faults), http_listener, stop)
        await smtp.stop()

    run(serve)


def _certificate(settings: Settings) -> ssl.SSLContext | None:
    try:
        return settings.tls()
    except OSError as error:
        raise SystemExit(f"MAILBOX_TLS_CERTIFICATE, MAILBOX_TLS_KEY: {error}") from None


if __name__ == "__main__":
    main()
