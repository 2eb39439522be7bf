import asyncio
import ssl
from pathlib import Path

import aiosmtplib
import httpx
import pytest
from backing_services.waiting import eventually

from ..factories import a_charge, a_mail
from ..programs import PATIENCE, ended, running


async def post_charge(port: int, key: str, payment_method: str, limit: float = PATIENCE) -> httpx.Response:
    timeout = httpx.Timeout(PATIENCE, read=limit)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=timeout, trust_env=False) as http:
        headers = {"Idempotency-Key": key}
        return await http.post("/v1/charges", json=a_charge(payment_method=payment_method), headers=headers)


async def test_the_gateway_keeps_its_ledger_through_a_kill(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    async with running("payment_gateway", GATEWAY_LEDGER_PATH=ledger) as gateway:
        charged = await post_charge(gateway.ports[0], "key-1", "pm_card_ok")
        gateway.process.kill()
        await gateway.process.wait()

    async with running("payment_gateway", GATEWAY_LEDGER_PATH=ledger) as gateway:
        again = await post_charge(gateway.ports[0], "key-1", "pm_card_ok")

    assert again.json() == charged.json()


async def test_sigterm_ends_the_gateway_at_once_and_gives_the_answer_that_it_withheld(tmp_path: Path) -> None:
    async with running("payment_gateway", GATEWAY_LEDGER_PATH=str(tmp_path / "ledger")) as gateway:
        port = gateway.ports[0]
        with pytest.raises(httpx.ReadTimeout):
            await post_charge(port, "key-1", "pm_card_timeout_after_charge", limit=0.2)
        withheld = asyncio.create_task(post_charge(port, "key-2", "pm_card_timeout_after_charge"))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

            async def both_charged() -> bool:
                return len((await http.get("/_ledger")).json()["entries"]) == 2

            await eventually(both_charged)

        assert await gateway.stop() == 0
        assert (await withheld).status_code == 201


async def test_sigterm_ends_the_gateway_at_once_though_a_request_is_not_whole(tmp_path: Path) -> None:
    async with running("payment_gateway", GATEWAY_LEDGER_PATH=str(tmp_path / "ledger")) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports[0])
        writer.write(b"POST /v1/charges HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"  # the app waits for the body

        assert await gateway.stop() == 0
        writer.close()


async def test_sigterm_ends_the_mail_catcher_at_once_though_a_client_is_connected() -> None:
    async with running("mail_catcher") as mail_catcher:
        smtp_port, http_port = mail_catcher.ports
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}", trust_env=False) as http:
            await http.put("/_faults", json={"faults": [{"action": "hang", "times": 1}]})
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=smtp_port)
        await client.connect()
        sending = asyncio.create_task(client.send_message(a_mail()))

        assert await mail_catcher.stop() == 0
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await sending


async def test_the_mail_catcher_keeps_as_many_mails_as_it_is_told() -> None:
    async with running("mail_catcher", MAILBOX_MAX_MESSAGES="2") as mail_catcher:
        smtp_port, http_port = mail_catcher.ports
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=smtp_port) as client:
            for _ in range(3):
                await client.send_message(a_mail())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}", trust_env=False) as http:
            assert (await http.get("/api/v1/messages")).json()["total"] == 2


async def test_the_mail_catcher_has_the_certificate_and_the_login_that_it_is_given(
    certificate: tuple[Path, Path],
) -> None:
    login = {"MAILBOX_SMTP_USERNAME": "shop", "MAILBOX_SMTP_PASSWORD": "secret"}
    tls = {"MAILBOX_TLS_CERTIFICATE": str(certificate[0]), "MAILBOX_TLS_KEY": str(certificate[1])}
    async with running("mail_catcher", **login, **tls) as mail_catcher:
        trusting = ssl.create_default_context(cafile=certificate[0])
        client = aiosmtplib.SMTP(hostname="localhost", port=mail_catcher.ports[0], tls_context=trusting, start_tls=True)
        async with client:
            with pytest.raises(aiosmtplib.SMTPSenderRefused):
                await client.send_message(a_mail())
            await client.login("shop", "secret")
            await client.send_message(a_mail())


async def test_a_busy_port_is_one_clear_line_and_exit_status_1(tmp_path: Path) -> None:
    async with running("payment_gateway", GATEWAY_LEDGER_PATH=str(tmp_path / "ledger")) as gateway:
        port = gateway.ports[0]

        charging, catching = await asyncio.gather(
            ended("payment_gateway", GATEWAY_PORT=str(port)), ended("mail_catcher", MAILBOX_HTTP_PORT=str(port))
        )

    said = f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another"
    assert charging == (1, f"{said} GATEWAY_PORT\n")
    assert catching == (1, f"{said} MAILBOX_HTTP_PORT\n")


@pytest.mark.parametrize(
    ("module", "environment", "named"),
    [
        ("payment_gateway", {"GATEWAY_PORT": "http"}, "GATEWAY_PORT: "),
        ("payment_gateway", {"GATEWAY_HOST": "a" * 64}, "no host name"),
        ("payment_gateway", {"GATEWAY_LEDGER_PATH": "/dev/null/ledger"}, "GATEWAY_LEDGER_PATH"),
        ("mail_catcher", {"MAILBOX_SMTP_USERNAME": "shop"}, "MAILBOX_SMTP_PASSWORD"),
        ("mail_catcher", {"MAILBOX_TLS_CERTIFICATE": "/no", "MAILBOX_TLS_KEY": "/no"}, "MAILBOX_TLS_CERTIFICATE"),
    ],
)
async def test_a_wrong_setting_is_one_line_that_names_the_variable(
    module: str, environment: dict[str, str], named: str
) -> None:
    status, said = await ended(module, **environment)

    assert status == 1
    assert named in said
    assert said.count("\n") == 1


async def test_the_partner_does_jobs_until_sigterm_ends_it() -> None:
    async with running("partner") as partner:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{partner.ports[0]}", trust_env=False) as http:
            done = await http.put("/v1/jobs/key-1", json={"step": "DISPATCHED", "details": {}})

        assert done.json() == {"id": "job_1"}
        assert await partner.stop() == 0
