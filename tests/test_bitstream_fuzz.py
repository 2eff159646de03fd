"""Hostile streams: the only outcomes are the packets that were written, or a BitstreamError.

Damage keeps the checksums of the original, and must never deliver a changed packet or end well. Forgery makes the
checksums good, and must never end in another exception, in a hang or in memory that the file does not pay for.
"""

import io
import random
import struct
import tracemalloc
from dataclasses import replace

import google_crc32c
import pytest
from test_bitstream import HEADER, Pipe, drain, make_packets, write

from nvc.bitstream import BitstreamError, DamagedStream, Limits, Reader

MAX_READ = 1 << 20  # bytes that a reader may ask for at once
MUTANTS = 3000
SEEDS = range(4)


class Watched(io.BytesIO):
    """A file that counts what is asked of it; a reader that loops runs out of reads."""

    def __init__(self, data):
        super().__init__(data)
        self.reads_left = 200 + len(data)

    def read(self, size=-1):
        assert 0 <= size <= MAX_READ
        self.reads_left -= 1
        assert self.reads_left, "the reader does not end"
        return super().read(size)


class WatchedPipe(Watched):
    def seekable(self):
        return False

    def seek(self, *_):
        raise AssertionError("sought in a pipe")

    tell = seek


def offsets(data):
    """Where each packet starts, and where the index does."""
    infos = list(Reader(io.BytesIO(data)).scan())
    return [i.offset for i in infos] + [infos[-1].end]


def flip(rng, data, other, at):
    bad = bytearray(data)
    for _ in range(rng.choice((1, 2, 3, 8))):
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    return bytes(bad)


def overwrite(rng, data, other, at):
    i = rng.randrange(len(data))
    value = rng.choice((bytes(8), b"\xff" * 8, rng.randbytes(8)))[: rng.randint(1, 8)]
    return data[:i] + value + data[i + len(value) :]


def truncate(rng, data, other, at):
    return data[: rng.randrange(len(data))]


def insert(rng, data, other, at):
    i = rng.randrange(len(data) + 1)
    return data[:i] + rng.choice((bytes(1), b"\xff", b"\r", rng.randbytes(12), data[:i], data)) + data[i:]


def delete(rng, data, other, at):
    i, j = sorted(rng.sample(range(len(data) + 1), 2))
    return data[:i] + data[j:]


def splice(rng, data, other, at):
    """The start of one stream and the end of another with the same parameters, cut at packets or anywhere."""
    cuts = rng.choice((at, range(len(data))))
    i = rng.choice(cuts)
    return data[:i] + other[rng.choice((i, rng.choice(cuts))) :]


def duplicate(rng, data, other, at):
    i, j = sorted(rng.sample(at, 2))
    return data[:j] + data[i:]


def drop(rng, data, other, at):
    i, j = sorted(rng.sample(at, 2))
    return data[:i] + data[j:]


def swap(rng, data, other, at):
    i, j, k = sorted(rng.sample(at, 3))
    return data[:i] + data[j:k] + data[i:j] + data[k:]


def noise(rng, data, other, at):
    """Random bytes behind a sound signature, or behind a sound header."""
    return data[: rng.choice((8, 128))] + rng.randbytes(rng.randrange(400))


def text_mode(rng, data, other, at):
    return rng.choice((data.replace(b"\r\n", b"\n"), data.replace(b"\n", b"\r\n"), bytes(b & 127 for b in data)))


DAMAGE = (flip, overwrite, truncate, insert, delete, splice, duplicate, drop, swap, noise, text_mode)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda f: f.__name__)
def test_damage(damage):
    originals = []
    for n, keyint in ((3, 2), (12, 5), (30, 1), (40, 100)):
        pair = [make_packets(n, keyint, seed) for seed in (0, 0)]
        pair[1] = [replace(p, payload=bytes(b ^ 1 for b in p.payload)) for p in pair[1]]
        for close, sink in ((True, io.BytesIO), (True, Pipe)):
            data, other = (write(p, sink(), close=close) for p in pair)
            originals.append((pair, data, other, offsets(data)))
    rng = random.Random(damage.__name__)
    for _ in range(MUTANTS // len(DAMAGE)):
        pair, data, other, at = rng.choice(originals)
        bad = damage(rng, data, other, at)
        for file in (Watched, WatchedPipe):
            check_damaged(bad, file(bad), pair, (data, other), rng)


def check_damaged(bad, file, pair, sound, rng):
    try:
        reader = Reader(file, Limits(max_payload=1 << 16))
    except BitstreamError:
        assert bad not in sound
        return
    got, error = drain(reader)
    assert got in (pair[0][: len(got)], pair[1][: len(got)])
    assert (error is None) == (bad in sound)
    if isinstance(error, DamagedStream):
        assert error.frame == len(got)
    if not file.seekable():
        return
    for n in rng.sample(range(len(pair[0])), 3):
        try:
            k = reader.seek_frame(n)
        except (BitstreamError, ValueError):
            continue
        assert k <= n
        got, _ = drain(reader)
        assert got in (pair[0][k : k + len(got)], pair[1][k : k + len(got)])


def crc(data, chain=0):
    return google_crc32c.extend(chain, bytes(data))


def wild(rng, bits):
    """An integer at an edge of its type, small, or anywhere."""
    top = (1 << bits) - 1
    return rng.choice((0, 1, top, top >> 1, (top >> 1) + 1, rng.randrange(300) & top, rng.getrandbits(bits)))


def forge(rng):
    """A stream with every checksum right and, here and there, a field that lies."""

    def lie(bits, truth, odds=0.1):
        return wild(rng, bits) if rng.random() < odds else truth

    head = bytearray(HEADER.pack())
    while rng.random() < 0.3:
        i, size = rng.randrange(8, 124), rng.choice((1, 2, 4, 8))
        head[i : i + size] = wild(rng, 8 * size).to_bytes(size, "little")
    fixed = bytes(head[:108])
    body, entries, chain, pts = bytearray(), [], crc(fixed), struct.unpack_from("<q", fixed, 56)[0]
    n, delta = rng.randrange(12), 0
    for i in range(n):
        payload = rng.randbytes(rng.randrange(20))
        kind, step = int(rng.random() < 0.6 and i > 0), delta
        size = bytes([lie(8, len(payload), 0.02)]) + bytes(rng.choice((0, 0, 0, 0, 2)))
        head_of = bytes([lie(8, 64 + 30, 0.02)]) + size
        if not kind or rng.random() < 0.5:
            step = lie(24, 1)
            head_of = bytes([lie(8, 30, 0.02), lie(8, kind, 0.02)]) + step.to_bytes(3, "little") + size
        pts, delta = pts + step, step
        if not kind or rng.random() < 0.1:
            entries.append((lie(32, i), lie(32, chain), lie(64, pts & (1 << 64) - 1), lie(64, 128 + len(body))))
        chain = crc(struct.pack("<IQ", i, pts & (1 << 64) - 1) + head_of + payload, chain)
        body += head_of + struct.pack("<I", chain) + payload
    at = 128 + len(body)
    index = struct.pack("<3I", lie(32, 255, 0.02), lie(32, len(entries)), chain)
    index += b"".join(struct.pack("<IIQQ", *e) for e in entries)
    trailer = struct.pack("<3QI", lie(64, at), lie(64, n), lie(64, pts & (1 << 64) - 1), lie(32, 0, 0.02))
    head[108:124] = struct.pack("<QQ", lie(64, 0), rng.choice((0, at, lie(64, at))))
    head[124:] = struct.pack("<I", crc(head[:124]))
    end = struct.pack("<I", crc(trailer)) + b"\x8eEND\r\n\x1a\n"
    return bytes(head + body) + index + struct.pack("<I", crc(index)) + trailer + end


@pytest.mark.parametrize("seed", SEEDS)
def test_forgery(seed):
    rng = random.Random(seed)
    opened = sought = 0
    tracemalloc.start()
    for _ in range(MUTANTS // len(SEEDS)):
        bad = forge(rng)
        for file in (Watched(bad), WatchedPipe(bad)):
            try:
                reader = Reader(file, Limits(max_payload=1 << 16, max_keyframes=8))
            except BitstreamError:
                continue
            opened += 1
            drain(reader)
            for n in (0, 3, rng.randrange(12), wild(rng, 64)) if file.seekable() else ():
                try:
                    k = reader.seek_frame(n)
                except (BitstreamError, ValueError):
                    continue
                sought += 1
                got, _ = drain(reader)
                assert 0 <= k <= n
                assert not got or reader.frame == k + len(got)
    assert tracemalloc.get_traced_memory()[1] < 2 * MAX_READ
    tracemalloc.stop()
    assert min(opened, sought) > 500, "the forgeries are turned away too early to test anything"
