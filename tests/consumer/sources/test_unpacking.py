"""Compressed batches are unpacked within a bound, whatever the codec, and damage is an error."""

import contextlib
import gzip
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import lz4.frame
import pytest
import snappy
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from kafka.codec import snappy_encode

from consumer.sources.unpacking import GZIP, LZ4, MAX_UNPACKED_BYTES, SNAPPY, ZSTD, BatchTooLarge, unpack

ROOT = Path(__file__).resolve().parents[3]
MEBIBYTE = 1_048_576
XERIAL_HEADER = b"\x82SNAPPY\x00" + bytes(8)
BLOCK = snappy.compress(bytes(MEBIBYTE))

CODECS = {
    "gzip": (GZIP, gzip.compress),
    "snappy": (SNAPPY, snappy.compress),
    "snappy in Java's framing": (SNAPPY, snappy_encode),
    "lz4": (LZ4, lz4.frame.compress),
    "lz4 without its size": (LZ4, lambda data: lz4.frame.compress(data, store_size=False)),
    "zstd": (ZSTD, zstandard.ZstdCompressor().compress),
    "zstd as a stream": (ZSTD, lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data)),
}

each_codec = pytest.mark.parametrize(("codec", "pack"), CODECS.values(), ids=CODECS)


@each_codec
@given(data=st.binary(max_size=300), times=st.sampled_from([1, 1, 100, 5_000]))
def test_packed_data_is_unpacked(codec, pack, data, times):
    assert unpack(codec, memoryview(pack(data * times))) == data * times


def test_several_gzip_members_and_padding_are_read():
    assert unpack(GZIP, gzip.compress(b"a" * 9) + gzip.compress(b"b") + b"\0\0") == b"a" * 9 + b"b"


@each_codec
def test_exactly_the_limit_is_allowed_and_one_byte_more_is_not(codec, pack):
    packed = pack(b"x" * 100_000)
    assert len(unpack(codec, packed, 100_000)) == 100_000
    with pytest.raises(BatchTooLarge, match="more than 99999 bytes"):
        unpack(codec, packed, 99_999)


@each_codec
def test_decompression_bomb_takes_bounded_memory(codec, pack):
    packed, limit = pack(bytes(50_000_000)), 4_000_000
    tracemalloc.start()
    try:
        with pytest.raises(BatchTooLarge):
            unpack(codec, packed, limit)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * limit + len(packed)


BOMBS = {
    "gzip": (GZIP, lambda: gzip.compress(bytes(MEBIBYTE)) * 1_024),
    "snappy": (SNAPPY, lambda: XERIAL_HEADER + (struct.pack(">I", len(BLOCK)) + BLOCK) * 1_024),
    "lz4": (LZ4, lambda: lz4.frame.compress(bytes(1_024 * MEBIBYTE))),
    "zstd": (ZSTD, lambda: zstandard.ZstdCompressor().compress(bytes(MEBIBYTE)) * 1_024),
}
"""Batches that unpack to 1 GiB."""
UNDER_A_LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from consumer.sources.unpacking import BatchTooLarge, unpack
try:
    unpack(int(sys.argv[1]), sys.stdin.buffer.read())
except BatchTooLarge as error:
    print(error)
"""


@pytest.mark.integration
@pytest.mark.parametrize(("codec", "bomb"), BOMBS.values(), ids=BOMBS)
def test_process_of_one_gibibyte_survives_a_batch_of_one_gibibyte(codec, bomb):
    command = [sys.executable, "-c", UNDER_A_LIMIT, str(codec)]
    done = subprocess.run(command, input=bomb(), capture_output=True, check=False, cwd=ROOT)
    assert (done.stdout, done.stderr) == (b"the batch unpacks to more than 33554432 bytes\n", b"")


@each_codec
def test_batch_of_one_megabyte_may_unpack_to_thirty(codec, pack):
    data = b'{"segment_id": "LA_001", "predicted_speed": 50.0}' * 630_000
    assert 30_000_000 < len(data) < MAX_UNPACKED_BYTES
    assert len(unpack(codec, pack(data))) == len(data)


@each_codec
def test_cut_data_is_an_error_or_shorter(codec, pack):
    data = bytes(range(256)) * 40
    packed = pack(data)
    for end in range(1, len(packed), 7):
        found = b""
        with contextlib.suppress(EOFError, ValueError, RuntimeError, snappy.UncompressError):
            found = unpack(codec, packed[:end])
        assert len(found) < len(data) or end > len(packed) - 9, "a checksum may be missing at the end"


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x80000000, 100])
def test_wrong_length_in_java_framing_is_an_error(size):
    with pytest.raises(EOFError):
        unpack(SNAPPY, XERIAL_HEADER + struct.pack(">I", size) + b"\x01\x00a")


def test_snappy_with_a_huge_stated_size_is_not_unpacked():
    with pytest.raises(BatchTooLarge):
        unpack(SNAPPY, b"\xff\xff\xff\xff\x0f" + b"\x00a")
    with pytest.raises(ValueError, match="does not begin with its size"):
        unpack(SNAPPY, b"\xff" * 8)
