"""Messages in Mailpit's JSON, its capital letters included."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from mail_catcher.message import Address, Attachment, Message
from mail_catcher.store import Store


def page(store: Store, matching: Iterable[Message], start: int, limit: int) -> dict[str, Any]:
    found = list(matching)
    shown = list(islice(found, start, start + limit))
    return {
        "total": len(store),
        "unread": store.unread,
        "count": len(shown),
        "messages_count": len(found),
        "messages_unread": sum(not store.is_read(message) for message in found),
        "start": start,
        "tags": [],
        "messages": [_summary(message, read=store.is_read(message)) for message in shown],
    }


def _summary(message: Message, *, read: bool) -> dict[str, Any]:
    return _common(message) | {
        "Read": read,
        "Created": _time(message.created),
        "Attachments": len(message.attachments),
        "Snippet": message.snippet,
    }


def detail(message: Message) -> dict[str, Any]:
    return _common(message) | {
        "ReturnPath": message.return_path,
        "Date": _time(message.date or message.created),
        "Text": message.text,
        "HTML": message.html,
        "Inline": [_attachment(each) for each in message.inline],
        "Attachments": [_attachment(each) for each in message.attachments],
    }


def _common(message: Message) -> dict[str, Any]:
    return {
        "ID": message.id,
        "MessageID": message.message_id,
        "From": message.sender and _address(message.sender),
        "To": [_address(each) for each in message.to],
        "Cc": [_address(each) for each in message.cc],
        "Bcc": [_address(each) for each in message.bcc],
        "ReplyTo": [_address(each) for each in message.reply_to],
        "Subject": message.subject,
        "Size": message.size,
        "Tags": [],
    }


def _address(address: Address) -> dict[str, str]:
    return {"Name": address.name, "Address": address.address}


def _attachment(attachment: Attachment) -> dict[str, Any]:
    return {
        "PartID": attachment.part_id,
        "FileName": attachment.file_name,
        "ContentType": attachment.content_type,
        "ContentID": attachment.content_id,
        "Size": attachment.size,
    }


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
