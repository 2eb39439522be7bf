"""Kafka's batches of records, read a piece at a time: a small batch may claim to be gigabytes.

Nothing here is aiokafka's. Source: Kafka's protocol, the record batch of magic 2
(https://kafka.apache.org/documentation/#recordbatch), and KIP-57 and KIP-110 for lz4 and zstd.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import cramjam
from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

from outboxed._zstd import zstd
from outboxed.messages import NOT_READ

MAX_RECORD_BYTES = 1024 * 1024
"""A larger record is cut. No producer of an outbox sends one: see MAX_VALUE_BYTES."""
MAX_KEPT_BYTES = 64 * 1024
"""Of the key, of the value and of the headers of a record that is cut, each."""
MAX_BATCH_BYTES = 512 * 1024 * 1024
"""What a batch may become. To decompress it must take no longer than a group's session."""
PIECE_BYTES = 256 * 1024
_INPUT_BYTES, _OUTPUT_BYTES = 16 * 1024, 64 * 1024
_ZSTD_WINDOW_LOG = 23
"""8 MiB, which every decoder should support (RFC 8878, section 3.1.1.1.2); Kafka's own level 3 needs 2 MiB."""
_SNAPPY_RATIO = 22
"""An element of three bytes becomes 64 bytes at most."""
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEAD = 16

_HEAD = struct.Struct(">qiibIhiqqqhii")
_CODEC_AT = 22
_CODEC = 0x07
_LOG_APPEND_TIME = 0x08
_MAX_VARINT_BITS = 70
_ROOM = bytes(_MAX_VARINT_BITS // 7)


class UnreadableBatchError(Exception):
    """The rest of a batch can't be read; the message says why."""


@dataclass(frozen=True)
class CutRecord:
    """What is kept of a record that wasn't read whole, in the form of aiokafka's records."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


def pieces_of(batch: memoryview) -> Iterator[memoryview | CutRecord]:
    """The records of a batch, in order: as uncompressed batches of about PIECE_BYTES, and those that were cut.

    Raises UnreadableBatchError where the rest isn't what it claims to be, or is larger than MAX_BATCH_BYTES.
    """
    if batch[_CODEC_AT] & _CODEC == _NONE and len(batch) <= MAX_RECORD_BYTES:
        yield _with_room(batch)  # it has nothing that is too large: no need to look
        return
    head = _Head.of(batch)
    plain = _Stream(_decompressed(head.codec, batch[_HEAD.size :]))
    piece = _Piece(head)
    try:
        for _ in range(head.records):
            raw_length, length = plain.varint()
            if length > MAX_RECORD_BYTES:
                yield from piece.taken()
                yield _cut(plain, length, head)
                continue
            piece.add(raw_length + plain.read(length))
            if piece.is_full:
                yield from piece.taken()
    except UnreadableBatchError:
        yield from piece.taken()  # what precedes the unreadable
        raise
    yield from piece.taken()


def unreadable(batch: memoryview, reason: str) -> CutRecord:
    """A record in place of what can't be read, at the batch's last offset. Its value is the batch as it came."""
    head = _Head.of(batch)
    kept = bytes(batch[:MAX_RECORD_BYTES])
    text = f"the rest of its batch of {len(batch)} bytes can't be read: {reason}"
    offset, kind = head.first_offset + head.last_offset_delta, head.timestamp_type
    return CutRecord(offset, head.last_timestamp, kind, None, kept, [(NOT_READ, text.encode())])


@dataclass(frozen=True)
class _Head:
    fields: tuple[int, ...]

    @classmethod
    def of(cls, batch: memoryview) -> "_Head":
        return cls(_HEAD.unpack_from(batch))

    @property
    def first_offset(self) -> int:
        return self.fields[0]

    @property
    def attributes(self) -> int:
        return self.fields[5]

    @property
    def codec(self) -> int:
        return self.attributes & _CODEC

    @property
    def timestamp_type(self) -> int:
        return int(bool(self.attributes & _LOG_APPEND_TIME))

    @property
    def last_offset_delta(self) -> int:
        return self.fields[6]

    @property
    def first_timestamp(self) -> int:
        return self.fields[7]

    @property
    def last_timestamp(self) -> int:
        return self.fields[8]

    @property
    def records(self) -> int:
        return self.fields[12]

    def uncompressed(self, records: bytearray, count: int) -> memoryview:
        """A batch of these records. Its checksum is that of the whole, which was checked before."""
        fields = list(self.fields)
        fields[1] = _HEAD.size - struct.calcsize(">qi") + len(records)
        fields[5] &= ~_CODEC
        fields[12] = count
        return _with_room(_HEAD.pack(*fields) + records)


def _with_room(batch: bytes | memoryview) -> memoryview:
    """A copy with room behind it for a number that a parser begins to read at its end."""
    return memoryview(b"".join((batch, _ROOM)))[: -len(_ROOM)]


class _Piece:
    """Records that go on together."""

    def __init__(self, head: _Head) -> None:
        self._head = head
        self._records = bytearray()
        self._count = 0

    @property
    def is_full(self) -> bool:
        return len(self._records) >= PIECE_BYTES

    def add(self, record: bytes) -> None:
        self._records += record
        self._count += 1

    def taken(self) -> Iterator[memoryview]:
        if self._count:
            piece = self._head.uncompressed(self._records, self._count)
            self._records, self._count = bytearray(), 0
            yield piece


def _cut(plain: "_Stream", length: int, head: _Head) -> CutRecord:
    """Read past a record that is too large, and keep the beginning of each of its parts."""
    end = plain.at + length
    plain.skip(1)  # attributes, of which there are none
    timestamp, offset = plain.varint()[1], plain.varint()[1]
    key = plain.cut(plain.varint()[1])
    value = plain.cut(plain.varint()[1])
    headers, kept = [], 0
    for _ in range(plain.varint()[1]):
        name, content = plain.cut(plain.varint()[1]) or b"", plain.cut(plain.varint()[1])
        kept += len(name) + len(content or b"")
        if kept > MAX_KEPT_BYTES or plain.at > end:
            break
        headers.append((name.decode(errors="backslashreplace"), content))
    if plain.at > end:
        raise UnreadableBatchError("a part of a record is longer than the record")
    plain.skip(end - plain.at)
    text = (
        f"the record has {length} bytes, {MAX_RECORD_BYTES} are the limit: "
        f"the first {MAX_KEPT_BYTES} of each part are kept"
    )
    return CutRecord(
        offset=head.first_offset + offset,
        timestamp=head.last_timestamp if head.timestamp_type else head.first_timestamp + timestamp,
        timestamp_type=head.timestamp_type,
        key=key,
        value=value,
        headers=[*headers, (NOT_READ, text.encode())],
    )


class _Stream:
    """Bytes that come in chunks. Raises UnreadableBatchError at their end, and after MAX_BATCH_BYTES."""

    def __init__(self, chunks: Iterator[bytes | memoryview]) -> None:
        self._chunks = chunks
        self._chunk: bytes | memoryview = b""
        self._next = 0
        self.at = 0

    def _take(self, most: int) -> bytes | memoryview:
        """Between one and `most` bytes."""
        while self._next == len(self._chunk):
            if self.at > MAX_BATCH_BYTES:
                raise UnreadableBatchError(f"it becomes more than {MAX_BATCH_BYTES} bytes")
            chunk = next(self._chunks, None)
            if chunk is None:
                raise UnreadableBatchError("it ends in the middle of a record")
            self._chunk, self._next = chunk, 0
        taken = self._chunk[self._next : self._next + most]
        self._next += len(taken)
        self.at += len(taken)
        return taken

    def read(self, size: int) -> bytes:
        taken = self._take(size) if size > 0 else b""
        if len(taken) == size:
            return bytes(taken)
        whole = bytearray(taken)
        while len(whole) < size:
            whole += self._take(size - len(whole))
        return bytes(whole)

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._take(size))

    def cut(self, size: int) -> bytes | None:
        """The beginning of a part of this size; None for a null, whose size is -1."""
        if size < 0:
            return None
        kept = self.read(min(size, MAX_KEPT_BYTES))
        self.skip(size - len(kept))
        return kept

    def varint(self) -> tuple[bytes, int]:
        """A signed number as it is written, and its value."""
        raw, value, shift = bytearray(), 0, 0
        while shift < _MAX_VARINT_BITS:
            byte = self._take(1)[0]
            raw.append(byte)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - its highest bit says that more follow
                return bytes(raw), (value >> 1) ^ -(value & 1)
            shift += 7
        raise UnreadableBatchError("a number has no end")


class _Decompressor(Protocol):
    """What the decompressors of the standard library have in common since bz2."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib, whose own interface is older."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = len(found) < max_length and not self._zlib.unconsumed_tail
        return found


def _zstd() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


_STREAMED: dict[int, Callable[[], _Decompressor]] = {1: _Gzip, 3: LZ4FrameDecompressor, 4: _zstd}
_NONE, _SNAPPY = 0, 2


def _decompressed(codec: int, data: memoryview) -> Iterator[bytes | memoryview]:
    try:
        if codec == _NONE:
            yield data
        elif codec == _SNAPPY:
            yield from _snappy(data)
        elif codec in _STREAMED:
            yield from _streamed(_STREAMED[codec], data)
        else:
            raise UnreadableBatchError(f"its compression has the number {codec}, which nobody knows")
    except (zlib.error, zstd.ZstdError, cramjam.DecompressionError, RuntimeError, struct.error) as error:
        # lz4 raises RuntimeError; the server's words are the library's, and hold nothing of the data
        raise UnreadableBatchError(f"it can't be decompressed: {error}") from None


def _streamed(decompressor: Callable[[], _Decompressor], data: memoryview) -> Iterator[bytes]:
    """All frames, one after another; never more than _OUTPUT_BYTES at once."""
    running = decompressor()
    waiting = bytearray()
    while waiting or data:
        if not waiting:
            waiting, data = bytearray(data[:_INPUT_BYTES]), data[_INPUT_BYTES:]
        found = running.decompress(bytes(waiting), _OUTPUT_BYTES)
        waiting.clear()
        while True:
            if found:
                yield found
            if running.eof:
                waiting += running.unused_data or b""
                running = decompressor()
                break
            if running.needs_input:
                break
            found = running.decompress(b"", _OUTPUT_BYTES)


def _snappy(data: memoryview) -> Iterator[bytes]:
    """One block, or the blocks of the Java client, which come with their sizes."""
    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        yield _snappy_block(data)
        return
    data = data[_XERIAL_HEAD:]
    while data:
        (size,) = struct.unpack_from(">I", data)
        yield _snappy_block(data[4 : 4 + size])
        data = data[4 + size :]


def _snappy_block(block: memoryview) -> bytes:
    """The block begins with what it will become, and the library believes it."""
    raw = bytes(block)
    if cramjam.snappy.decompress_raw_len(raw) > _SNAPPY_RATIO * len(raw):
        raise UnreadableBatchError("a block of snappy can't become what it claims")
    return bytes(cramjam.snappy.decompress_raw(raw))
