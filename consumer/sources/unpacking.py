"""Unpack a compressed batch within a bound: a batch of 1 MB may unpack to 1 GB.

Each codec is read in steps, so memory never exceeds the bound by more than one step. Snappy has no streams: there, the
stated size of each block is compared with the bound before it is unpacked.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

import lz4.frame
import snappy
import zstandard

MAX_UNPACKED_BYTES = 33_554_432
"""Most bytes that a batch may unpack to: 256 times what is fetched of a partition at once (MAX_PARTITION_FETCH_BYTES).

Batches of JSON unpack to 5 to 30 times their size, so those within Kafka's usual limit of 1 MB have room."""
MIN_STEP_BYTES = 16_384
MAX_STEP_BYTES = 1_048_576

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
"""The codecs by their numbers in the attributes of a batch."""
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
"""The mark and two versions of 4 bytes; blocks follow."""

Bytes = bytes | bytearray | memoryview


class BatchTooLarge(ValueError):
    """A batch unpacks to more than the limit; the text says what that is."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the batch unpacks to more than {limit} bytes")


def unpack(codec: int, data: Bytes, limit: int = MAX_UNPACKED_BYTES) -> bytearray:
    """Return an unpacked batch. Raises BatchTooLarge, or any error of the codec for damaged data."""
    unpacked = bytearray()
    for part in _CODECS[codec](bytes(data), limit):
        if len(unpacked) + len(part) > limit:
            raise BatchTooLarge(limit)
        unpacked += part
    return unpacked


def _step_of(data: bytes) -> int:
    """Return how many bytes to unpack at once: small batches take small buffers."""
    return min(MAX_STEP_BYTES, max(MIN_STEP_BYTES, 8 * len(data)))


def _gzip(data: bytes, _limit: int) -> Iterator[bytes]:
    step = _step_of(data)
    while data:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            part = member.decompress(data, step)
            data = member.unconsumed_tail
            if not (part or data or member.eof):
                raise EOFError("the compressed data ends too early")
            yield part
        data = member.unused_data.lstrip(b"\0")  # further members may follow, and be padded with zeros


def _lz4(data: bytes, _limit: int) -> Iterator[bytes]:
    step, frame = _step_of(data), lz4.frame.LZ4FrameDecompressor()
    yield frame.decompress(data, max_length=step)
    while not frame.eof:
        if frame.needs_input:
            raise EOFError("the compressed data ends too early")
        yield frame.decompress(b"", max_length=step)


def _zstd(data: bytes, _limit: int) -> Iterator[bytes]:
    step = _step_of(data)
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        while part := reader.read(step):
            yield part


def _snappy(data: bytes, limit: int) -> Iterator[bytes]:
    for block in _xerial_blocks(data) if data.startswith(_XERIAL) else [data]:
        if _stated_size(block) > limit:
            raise BatchTooLarge(limit)
        yield snappy.decompress(block)


def _xerial_blocks(data: bytes) -> Iterator[bytes]:
    """Yield the blocks of the framing that Java's snappy library writes, each behind its length."""
    at = _XERIAL_HEADER_BYTES
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        block = data[at + 4 : at + 4 + size]
        if len(block) < size:
            raise EOFError("the compressed data ends too early")
        yield block
        at += 4 + size


def _stated_size(block: bytes) -> int:
    """Return the unpacked size at the beginning of a snappy block, a varint of 32 bits."""
    size = 0
    for index, octet in enumerate(block[:5]):
        size |= (octet & 0x7F) << (7 * index)
        if octet < 0x80:
            return size
    raise ValueError("the block of snappy does not begin with its size")


_CODECS: dict[int, Callable[[bytes, int], Iterator[bytes]]] = {GZIP: _gzip, SNAPPY: _snappy, LZ4: _lz4, ZSTD: _zstd}
