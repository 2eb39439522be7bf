from email.message import EmailMessage

import pytest
from mail_catcher.message import Address, Message, read_message

from ..factories import a_mail


def read(mail: EmailMessage, *recipients: str) -> Message:
    return read_message(mail.as_bytes(), "bounce@shop.example", recipients or ("ada@example.com",))


def test_a_mail_is_read_with_both_bodies_and_its_headers() -> None:
    mail = a_mail(Reply_To="help@shop.example", Cc="Bob <bob@example.com>", Date="Mon, 02 Nov 2026 10:00:00 +0100")

    message = read(mail)

    assert message.message_id == "confirmation.order-1@shop.example"
    assert message.sender == Address("Shop", "shop@shop.example")
    assert message.to == (Address("Ada", "ada@example.com"),)
    assert message.cc == (Address("Bob", "bob@example.com"),)
    assert message.reply_to == (Address("", "help@shop.example"),)
    assert message.return_path == "bounce@shop.example"
    assert message.text == "Thank you\nfor your order.\n"
    assert message.html == "<p>Thank you</p>\n"
    assert message.date is not None
    assert message.date.isoformat() == "2026-11-02T10:00:00+01:00"
    assert message.size == len(mail.as_bytes())


def test_words_beyond_ascii_are_decoded() -> None:
    message = read(a_mail(Subject="Grüße ✓", To="Zoë <zoe@example.com>"))

    assert message.subject == "Grüße ✓"
    assert message.to == (Address("Zoë", "zoe@example.com"),)


def test_a_recipient_that_no_header_names_is_a_blind_copy() -> None:
    message = read(a_mail(To="ada@example.com"), "ADA@example.com", "eve@example.com")

    assert message.bcc == (Address("", "eve@example.com"),)


def test_a_snippet_is_the_beginning_of_the_text_on_one_line() -> None:
    mail = a_mail()
    mail.clear_content()
    mail.set_content("one\n\n  two " + "x" * 300)

    assert read(mail).snippet == "one two " + "x" * 242


def test_attachments_and_inline_parts_are_told_apart() -> None:
    mail = a_mail()
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="invoice.pdf")
    mail.add_attachment(b"GIF", maintype="image", subtype="gif", disposition="inline", cid="<logo>")

    message = read(mail)

    assert [(each.file_name, each.content_type, each.size) for each in message.attachments] == [
        ("invoice.pdf", "application/pdf", 4)
    ]
    assert [each.content_id for each in message.inline] == ["logo"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no header at all",
        b"From: \r\nTo: ,,,\r\nDate: yesterday\r\n\r\n",
        b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--y\r\n",
        b"Subject: =?utf-8?q?broken\r\nFrom: <<a@b>\r\n\r\n",
    ],
)
def test_whatever_comes_is_caught(content: bytes) -> None:
    message = read_message(content, "a@example.com", ["b@example.com"])

    assert message.bcc == (Address("", "b@example.com"),)
    assert message.date is None
