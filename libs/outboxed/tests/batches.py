"""Batches as they are on the wire, in every codec, built a record at a time: they may become far more than they are."""

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cramjam
from aiokafka.record.util import calc_crc32c, encode_varint
from lz4.frame import LZ4FrameCompressor  # type: ignore[import-untyped]
from outboxed._zstd import zstd

HEAD = struct.Struct(">qiibIhiqqqhii")
AFTER_LENGTH, CHECKED_FROM = 12, 21
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "xerial": 2, "lz4": 3, "zstd": 4}
Headers = Sequence[tuple[bytes, bytes | None]]


def varint(number: int) -> bytes:
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)


def sized(part: bytes | None) -> bytes:
    return varint(-1) if part is None else varint(len(part)) + part


def record(delta: int, value: bytes | None, key: bytes | None = b"key", headers: Headers = ()) -> bytes:
    body = b"\0" + varint(0) + varint(delta) + sized(key) + sized(value) + varint(len(headers))
    body += b"".join(sized(name) + sized(content) for name, content in headers)
    return varint(len(body)) + body


def batch(records: Iterable[bytes], codec: str = "none", *, first: int = 0, count: int | None = None) -> bytes:
    """Records by `record`; a head that says `count` may lie."""
    counted = 0

    def counting() -> Iterable[bytes]:
        nonlocal counted
        for one in records:
            counted += 1
            yield one

    return framed(_COMPRESS[codec](counting()), CODECS[codec], first=first, count=counted if count is None else count)


def framed(data: bytes, codec: int, *, first: int = 0, count: int) -> bytes:
    """A batch around its data."""
    length = HEAD.size - AFTER_LENGTH + len(data)
    head = HEAD.pack(first, length, 0, 2, 0, codec, count - 1, 1000, 2000, -1, -1, -1, count)
    checksum = struct.pack(">I", calc_crc32c(head[CHECKED_FROM:] + data))
    return head[: CHECKED_FROM - 4] + checksum + head[CHECKED_FROM:] + data


def _gzip(chunks: Iterable[bytes]) -> bytes:
    running = zlib.compressobj(wbits=31)
    return b"".join([*map(running.compress, chunks), running.flush()])


def _zstd(chunks: Iterable[bytes]) -> bytes:
    running = zstd.ZstdCompressor()
    return b"".join([*map(running.compress, chunks), running.flush()])


def _lz4(chunks: Iterable[bytes]) -> bytes:
    running = LZ4FrameCompressor(block_linked=False)
    return b"".join([running.begin(), *map(running.compress, chunks), running.flush()])


def _snappy(chunks: Iterable[bytes]) -> bytes:
    return bytes(cramjam.snappy.compress_raw(b"".join(chunks)))


def _xerial(chunks: Iterable[bytes]) -> bytes:
    blocks = [_snappy((chunk,)) for chunk in chunks]
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">I", len(one)) + one for one in blocks)


_COMPRESS: dict[str, Callable[[Iterable[bytes]], bytes]] = {
    "none": b"".join,
    "gzip": _gzip,
    "snappy": _snappy,
    "xerial": _xerial,
    "lz4": _lz4,
    "zstd": _zstd,
}


class ToSend:
    """Bytes of a batch as aiokafka's `send_batch` takes them."""

    def __init__(self, producer: Any, raw: bytes, count: int) -> None:
        self.batch = producer.create_batch()
        for _ in range(count):
            self.batch.append(key=b"key", value=b"", timestamp=0)
        self.batch.close()
        self.batch._build = lambda: bytearray(raw)  # noqa: SLF001 - aiokafka sends no batch that it didn't build
