"""What Kafka's batches become, whatever they claim to be."""

import gzip
from typing import Any

import pytest
from outboxed import _batches
from outboxed._batches import MAX_KEPT_BYTES, MAX_RECORD_BYTES
from outboxed._compat.aiokafka import LenientRecords
from outboxed._zstd import zstd
from outboxed.messages import NOT_READ

from ..batches import CODECS, HEAD, batch, framed, record

MIB = 2**20


def read(*batches: bytes) -> list[Any]:
    records = LenientRecords(b"".join(batches))
    found = []
    while records.has_next():
        found += list(records.next_batch())
    return found


def not_read(one: Any) -> str:
    [text] = [value.decode() for name, value in one.headers if name == NOT_READ]
    return str(text)


@pytest.mark.parametrize("codec", CODECS)
def test_records_of_every_codec_are_read_in_order(codec: str) -> None:
    headers = [(b"ce_id", b"1"), (b"null", None)]
    sent = [record(0, b"first"), record(1, None, None), record(2, b"x" * 400_000, b"k", headers), record(3, b"last")]

    found = read(batch(sent, codec, first=7), batch([record(0, b"next")], codec, first=20))

    assert [(one.offset, one.key, one.value) for one in found] == [
        (7, b"key", b"first"),
        (8, None, None),
        (9, b"k", b"x" * 400_000),
        (10, b"key", b"last"),
        (20, b"key", b"next"),
    ]
    assert list(found[2].headers) == [("ce_id", b"1"), ("null", None)]
    assert (found[0].timestamp, found[0].timestamp_type) == (1000, 0)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_may_be_of_several_frames(codec: str) -> None:
    """As some clients write it: a frame ends where their buffer does, also in the middle of a record."""
    whole = b"".join(record(number, b"v" * 100 + b"%d" % number) for number in range(9))
    frames = [batch([part], codec)[HEAD.size :] for part in (whole[:150], whole[150:600], whole[600:])]

    found = read(framed(b"".join(frames), CODECS[codec], count=9))

    assert [one.value for one in found] == [b"v" * 100 + b"%d" % number for number in range(9)]


def test_of_a_large_batch_that_cannot_be_read_the_beginning_is_kept() -> None:
    raw = framed(b"no gzip" * (MAX_RECORD_BYTES // 7 + 1), CODECS["gzip"], count=3)

    [last] = read(raw)

    assert last.value == raw[:MAX_RECORD_BYTES]
    assert f"its batch of {len(raw)} bytes" in not_read(last)


@pytest.mark.parametrize("codec", CODECS)
def test_a_record_above_the_limit_is_cut_and_its_neighbours_are_whole(codec: str) -> None:
    headers = [(b"ce_type", b"moved"), (b"long", b"h" * MAX_KEPT_BYTES), (b"ce_id", b"1")]
    large = record(1, b"v" * (2 * MIB), b"k" * (MAX_KEPT_BYTES + 1), headers)

    before, cut, after = read(batch([record(0, b"before"), large, record(2, b"after")], codec, first=5))

    assert [(one.offset, one.value) for one in (before, after)] == [(5, b"before"), (7, b"after")]
    assert (cut.offset, cut.key, cut.value) == (6, b"k" * MAX_KEPT_BYTES, b"v" * MAX_KEPT_BYTES)
    assert cut.headers[0] == ("ce_type", b"moved")
    assert len(cut.headers) == 2
    assert not_read(cut) == (
        f"the record has {len(large) - 4} bytes, {MAX_RECORD_BYTES} are the limit: "
        f"the first {MAX_KEPT_BYTES} of each part are kept"
    )


def test_a_record_of_just_the_limit_is_whole() -> None:
    below = MAX_RECORD_BYTES - 100
    around = len(record(0, b"v" * below)) - below - 3
    whole, cut = b"v" * (MAX_RECORD_BYTES - around), b"v" * (MAX_RECORD_BYTES - around + 1)

    first, second = read(batch([record(0, whole), record(1, cut)], "gzip"))

    assert first.value == whole
    assert not_read(second)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (framed(b"no gzip", 1, count=3), "can't be decompressed"),
        (framed(b"no snappy", 2, count=3), "can't be decompressed"),
        (framed(b"\xff\xff\xff\x7fsnappy", 2, count=3), "a block of snappy can't become what it claims"),
        (framed(b"\x82SNAPPY\x00" + b"\0" * 8 + b"\xff\xff\xff\xff\x01", 2, count=3), "can't be decompressed"),
        (framed(b"no lz4 at all, whatever it says", 3, count=3), "can't be decompressed"),
        (framed(b"no zstd", 4, count=3), "can't be decompressed"),
        (framed(b"", 7, count=3), "the number 7"),
        (framed(gzip.compress(record(0, b"whole"), mtime=0)[:-12], 1, count=3), "ends in the middle of a record"),
        (batch([record(0, b"only")], "zstd", count=3), "ends in the middle of a record"),
        (framed(gzip.compress(b"\xff" * 20, mtime=0), 1, count=3), "a number has no end"),
        (framed(b"\x08\0\0\0\x7f", 0, count=3), "not what its length says"),
        (framed(b"\x08\0\0\0\x7f" * 9, 0, count=3), "not what its length says"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_can_not_be_read_is_one_record_with_the_batch_as_it_came(raw: bytes, reason: str) -> None:
    *_, last = read(raw)

    assert (last.offset, last.key, last.value) == (2, None, raw)
    assert f"the rest of its batch of {len(raw)} bytes can't be read" in not_read(last)
    assert reason in not_read(last)


@pytest.mark.parametrize("broken", [b"\x08\0\0\0\x7f", b"\x7f\0", b""], ids=["record", "length", "end"])
def test_what_precedes_the_unreadable_is_handed_over(broken: bytes) -> None:
    raw = batch([record(0, b"v" * 300_000), record(1, b"second"), broken], "zstd")

    *before, last = read(raw)

    assert [(one.offset, one.value) for one in before] == [(0, b"v" * 300_000), (1, b"second")]
    assert (last.offset, last.value) == (2, raw)


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_becomes_more_than_the_limit_ends_there(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batches, "MAX_BATCH_BYTES", MIB)
    raw = batch([record(number, b"v" * 300_000) for number in range(9)], codec)

    *whole, last = read(raw)

    if codec in {"none", "snappy"}:  # these are in memory as a whole before
        assert len(whole) == 9 - 1
    else:
        assert 3 <= len(whole) <= 5
        assert last.value == raw
        assert f"more than {MIB} bytes" in not_read(last)


def test_a_part_that_is_longer_than_its_record_ends_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batches, "MAX_RECORD_BYTES", 10)
    lying = bytearray(record(0, b"v" * 50))
    lying[0] = 40 << 1

    [last] = read(framed(bytes(lying) + b"\0" * 20, 0, count=1))

    assert "longer than the record" in not_read(last)


def test_a_window_of_zstd_beyond_what_every_decoder_supports_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    running = zstd.ZstdCompressor(options=options)
    raw = running.compress(record(0, b"v" * 100)) + running.flush()

    [last] = read(framed(raw, 4, count=1))

    assert "can't be decompressed" in not_read(last)


def test_a_batch_as_it_is_may_be_large_as_a_whole() -> None:
    raw = batch([record(number, b"v" * 600_000) for number in range(3)])

    assert [len(one.value) for one in read(raw)] == [600_000] * 3


def test_a_reader_may_leave_in_the_middle() -> None:
    records = iter(LenientRecords(batch([record(0, b"first"), record(1, b"second")], "zstd")).next_batch())

    next(records)
    records.close()


def test_the_shipped_limits() -> None:
    assert (MAX_RECORD_BYTES, MAX_KEPT_BYTES, _batches.MAX_BATCH_BYTES) == (MIB, MIB // 16, 512 * MIB)
