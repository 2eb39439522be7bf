import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import pytest
from mail_catcher import Faults, SmtpServer, Store
from mail_catcher.settings import Settings
from sandbox_process import listen

from ..factories import a_mail


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def port(store: Store, certificate: tuple[Path, Path], request: pytest.FixtureRequest) -> AsyncIterator[int]:
    login = getattr(request, "param", {})
    settings = Settings(tls_certificate=certificate[0], tls_key=certificate[1], **login)
    server = SmtpServer(store, Faults(), tls=settings.tls(), login=settings.login)
    listener = listen("127.0.0.1", 0, "MAILBOX_SMTP_PORT")
    await server.start(listener)
    yield listener.getsockname()[1]
    await server.stop()


def client(port: int, certificate: tuple[Path, Path], **options: object) -> aiosmtplib.SMTP:
    trusting = ssl.create_default_context(cafile=certificate[0])
    return aiosmtplib.SMTP(hostname="localhost", port=port, tls_context=trusting, **options)  # type: ignore[arg-type]  # a test's options


LOGIN = pytest.mark.parametrize("port", [{"smtp_username": "shop", "smtp_password": "secret"}], indirect=True)


async def test_a_mail_over_tls_is_caught(port: int, certificate: tuple[Path, Path], store: Store) -> None:
    async with client(port, certificate, start_tls=True) as smtp:
        await smtp.send_message(a_mail())

    assert len(store) == 1


async def test_tls_is_not_required_without_a_login(port: int, certificate: tuple[Path, Path], store: Store) -> None:
    async with client(port, certificate, start_tls=False, username="any", password="login") as smtp:
        await smtp.send_message(a_mail())

    assert len(store) == 1


@LOGIN
async def test_the_right_login_is_let_in(port: int, certificate: tuple[Path, Path], store: Store) -> None:
    async with client(port, certificate, start_tls=True, username="shop", password="secret") as smtp:
        await smtp.send_message(a_mail())

    assert len(store) == 1


@LOGIN
@pytest.mark.parametrize(("username", "password"), [("shop", "wrong"), ("other", "secret"), ("shöp", "secret")])
async def test_a_wrong_login_is_refused(
    port: int, certificate: tuple[Path, Path], username: str, password: str
) -> None:
    smtp = client(port, certificate, start_tls=True, username=username, password=password)

    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await smtp.connect()


@LOGIN
@pytest.mark.parametrize("start_tls", [True, False])
async def test_nobody_sends_without_the_login(
    port: int, certificate: tuple[Path, Path], store: Store, *, start_tls: bool
) -> None:
    async with client(port, certificate, start_tls=start_tls) as smtp:
        with pytest.raises(aiosmtplib.SMTPSenderRefused) as refused:
            await smtp.send_message(a_mail())

    assert refused.value.code == 530
    assert len(store) == 0
