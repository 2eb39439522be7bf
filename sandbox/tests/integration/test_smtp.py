import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiosmtplib
import pytest
from mail_catcher import Faults, SmtpServer, Store
from mail_catcher.faults import Fault
from sandbox_process import listen

from ..factories import a_mail
from ..waits import HeldSleep


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def port(store: Store, faults: Faults, held_sleep: HeldSleep) -> AsyncIterator[int]:
    server = SmtpServer(store, faults, sleep=held_sleep)
    listener = listen("127.0.0.1", 0, "MAILBOX_SMTP_PORT")
    await server.start(listener)
    yield listener.getsockname()[1]
    await server.stop()


async def send(port: int, *recipients: str, **headers: str) -> None:
    to = recipients or ("ada@example.com",)
    await aiosmtplib.send(
        a_mail(**headers), hostname="127.0.0.1", port=port, recipients=list(to), start_tls=False, timeout=5
    )


def a_fault(**changes: Any) -> Fault:
    return Fault.model_validate({"action": "status", "times": 1} | changes)


async def test_a_mail_for_anybody_is_caught_as_it_was_sent(port: int, store: Store) -> None:
    await send(port, "ada@example.com", "eve@example.com", Subject="Grüße")

    [message] = store
    assert message.subject == "Grüße"
    assert message.text == "Thank you\nfor your order.\n"
    assert [each.address for each in (*message.to, *message.bcc)] == ["ada@example.com", "eve@example.com"]


async def test_an_address_beyond_ascii_is_caught(port: int, store: Store) -> None:
    await send(port, "zoë@example.com", To="zoë@example.com")

    [message] = store
    assert [each.address for each in message.to] == ["zoë@example.com"]


async def test_many_mails_of_one_connection_are_all_caught(port: int, store: Store) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as client:
        for number in range(20):
            await client.send_message(a_mail(Subject=str(number)))

    assert [message.subject for message in store] == [str(number) for number in reversed(range(20))]


@pytest.mark.parametrize("status", [451, 550])
async def test_a_refused_recipient_gets_nothing_until_the_fault_is_used_up(
    port: int, store: Store, faults: Faults, status: int
) -> None:
    faults.replace([a_fault(status=status, recipient="Ada@example.com")])

    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await send(port, "ada@example.com")

    assert [each.code for each in refused.value.recipients] == [status]
    assert len(store) == 0
    await send(port, "ada@example.com")
    assert len(store) == 1


@pytest.mark.parametrize("action", [{"status": 550}, {"action": "hang"}, {"action": "drop_after_data"}])
async def test_a_fault_spares_other_recipients(port: int, store: Store, faults: Faults, action: dict[str, Any]) -> None:
    faults.replace([a_fault(recipient="bob@example.com", **action)])

    await send(port, "ada@example.com")

    assert len(store) == 1


async def test_a_cut_after_data_leaves_the_mail_caught_and_the_client_without_an_answer(
    port: int, store: Store, faults: Faults
) -> None:
    faults.replace([a_fault(action="drop_after_data")])

    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(port)

    assert len(store) == 1


@pytest.mark.parametrize(("seconds", "hung"), [({}, 60), ({"seconds": 5}, 5)])
async def test_a_hanging_mail_is_caught_when_the_time_is_over(
    port: int, store: Store, faults: Faults, held_sleep: HeldSleep, seconds: dict[str, float], hung: float
) -> None:
    faults.replace([a_fault(action="hang", **seconds)])
    sending = asyncio.create_task(send(port))
    await held_sleep.begun()
    before = len(store)

    held_sleep.release()

    await sending
    assert (before, len(store), held_sleep.asked) == (0, 1, [hung])


async def test_a_client_that_hangs_up_first_has_sent_nothing(
    port: int, store: Store, faults: Faults, held_sleep: HeldSleep
) -> None:
    faults.replace([a_fault(action="hang")])
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port)
    await client.connect()
    sending = asyncio.create_task(client.send_message(a_mail()))
    await held_sleep.begun()

    client.close()

    await held_sleep.ended()
    await asyncio.gather(sending, return_exceptions=True)
    assert len(store) == 0
