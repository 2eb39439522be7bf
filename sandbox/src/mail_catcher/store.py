"""The messages that were caught, in memory; the oldest give way to new ones. Each is read when it is asked for."""

from collections import OrderedDict
from collections.abc import Iterator

from mail_catcher.message import Message, RawMessage


class Store:
    def __init__(self, max_messages: int = 10_000) -> None:
        self._max_messages = max_messages
        self._messages: OrderedDict[str, Message | RawMessage] = OrderedDict()
        self._read: set[str] = set()

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        """Newest first."""
        return (self._message(message_id) for message_id in reversed(self._messages))

    @property
    def unread(self) -> int:
        return len(self._messages) - len(self._read)

    def add(self, message: Message | RawMessage) -> None:
        self._messages[message.id] = message
        if len(self._messages) > self._max_messages:
            dropped, _ = self._messages.popitem(last=False)
            self._read.discard(dropped)

    def get(self, message_id: str) -> Message | None:
        """Find by database ID; `latest` is the newest."""
        if message_id == "latest":
            return next(iter(self), None)
        return self._message(message_id) if message_id in self._messages else None

    def _message(self, message_id: str) -> Message:
        message = self._messages[message_id]
        if isinstance(message, RawMessage):
            message = self._messages[message_id] = message.read()
        return message

    def mark_read(self, message: Message) -> None:
        self._read.add(message.id)

    def is_read(self, message: Message) -> bool:
        return message.id in self._read

    def delete(self, message_id: str) -> None:
        self._messages.pop(message_id, None)
        self._read.discard(message_id)

    def clear(self) -> None:
        self._messages.clear()
        self._read.clear()
