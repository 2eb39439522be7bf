"""Mailpit's search language, as far as tests need it: `to:`, `from:`, `cc:`, `bcc:`, `reply-to:`, `addressed:`,
`subject:`, `message-id:`, plain words, "quoted phrases" and `-` or `!` for not; all of it must hold.

Every term is a case-insensitive substring, as in Mailpit.
"""  # noqa: D205 - one sentence that doesn't fit on one line

import re
from collections.abc import Callable
from dataclasses import dataclass

from mail_catcher.message import Address, Message

_TERMS = re.compile(r'(?:"[^"]*"|[^\s"])+')


def _shown(addresses: tuple[Address, ...]) -> str:
    return "\n".join(f"{each.name} {each.address}" for each in addresses)


def _sender(message: Message) -> tuple[Address, ...]:
    return (message.sender,) if message.sender else ()


def _everyone(message: Message) -> tuple[Address, ...]:
    return (*_sender(message), *message.to, *message.cc, *message.bcc, *message.reply_to)


def _everything(message: Message) -> str:
    return "\n".join((_shown(_everyone(message)), message.subject, message.text, message.html))


_FIELDS: dict[str, Callable[[Message], str]] = {
    "to": lambda message: _shown(message.to),
    "from": lambda message: _shown(_sender(message)),
    "cc": lambda message: _shown(message.cc),
    "bcc": lambda message: _shown(message.bcc),
    "reply-to": lambda message: _shown(message.reply_to),
    "addressed": lambda message: _shown(_everyone(message)),
    "subject": lambda message: message.subject,
    "message-id": lambda message: message.message_id,
}


@dataclass(frozen=True, slots=True)
class Term:
    read: Callable[[Message], str]
    sought: str
    wanted: bool

    def holds(self, message: Message) -> bool:
        return (self.sought in self.read(message).lower()) is self.wanted


def parse(query: str) -> list[Term]:
    return [term for term in map(_term, _TERMS.findall(query.lower())) if term.sought]


def _term(word: str) -> Term:
    wanted = not (len(word) > 1 and word[0] in "-!")
    word = word if wanted else word[1:]
    name, colon, value = word.partition(":")
    if colon and name in _FIELDS:
        return Term(_FIELDS[name], value.replace('"', "").strip("<>"), wanted)
    return Term(_everything, word.replace('"', ""), wanted)
