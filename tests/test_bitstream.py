"""The container: every byte as docs/FORMAT.md has it, round trips, seeking, limits, and one refusal for each defect."""

import io
import os
import struct
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import pytest

from nvc.bitstream import (
    BitstreamError,
    DamagedStream,
    FrameType,
    LimitExceeded,
    Limits,
    NotNvc,
    Packet,
    Preset,
    Reader,
    StreamHeader,
    UnsupportedStream,
    Writer,
)

HEADER = StreamHeader(
    width=1920,
    height=1080,
    time_base=Fraction(1001, 30000),
    preset=Preset.FAST,
    base_qp=32,
    model_id=bytes(range(32)),
    keyframe_interval=4,
    reset_interval=64,
    frame_rate=Fraction(30000, 1001),
    start_pts=-7,
    sample_aspect=Fraction(4, 3),
    rotation=90,
    primaries=9,
    transfer=16,
    matrix=10,
    full_range=True,
)
TRAILER, ENTRY = 40, 24


class Pipe(io.RawIOBase):
    """A file that cannot seek and reads and writes a few bytes at a time, as a pipe may."""

    def __init__(self, data=b"", step=5):
        self.data, self.step, self.at = bytearray(data), step, 0

    def readable(self):
        return True

    def writable(self):
        return True

    def readinto(self, buffer):
        piece = self.data[self.at : self.at + min(self.step, len(buffer))]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)

    def write(self, data):
        piece = bytes(data)[: self.step]
        self.data += piece
        return len(piece)


FILES = pytest.mark.parametrize("file", [io.BytesIO, Pipe])


def make_packets(n, keyint=4, seed=0):
    """n packets of assorted sizes (zero among them), types, QPs and steps in pts."""
    pts, packets = -7 + seed, []
    for i in range(n):
        kind = FrameType.INTER if i % keyint else FrameType.KEY
        payload = bytes((i * 37 + j * 11 + seed) & 255 for j in range(i * 5 % 13))
        packets.append(Packet(kind, (i * 7 + seed) % 64, pts, payload, reset=i % 3 == 2))
        pts += 1 + i // 2 % 2  # every second step is that of the frame before
    return packets


def write(packets, file=None, header=HEADER, close=True):
    file = io.BytesIO() if file is None else file
    writer = Writer(file, header)
    for packet in packets:
        writer.write(packet)
    if close:
        writer.close()
    return file.getvalue() if isinstance(file, io.BytesIO) else bytes(file.data)


def drain(packets):
    """What an iterator delivers, and the error that ended it (None for a sound end)."""
    got = []
    try:
        for packet in packets:
            got.append(packet)
    except BitstreamError as error:
        return got, error
    return got, None


def read(data, file=io.BytesIO, limits=None):
    """The same for a whole stream."""
    try:
        return drain(Reader(file(data), limits or Limits()))
    except BitstreamError as error:
        return [], error


def crc(data, state=0):
    """CRC-32C, bit by bit."""
    state ^= 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def signed(data):
    """A header with its checksum made good."""
    return data[:124] + struct.pack("<I", crc(data[:124])) + data[128:]


def patched(data, offset, value):
    """A stream whose header was changed on purpose, checksum included."""
    return signed(data[:offset] + value + data[offset + len(value) :])


def test_every_byte_by_hand():
    """The file of three frames, assembled from the tables of docs/FORMAT.md alone."""
    assert crc(b"123456789") == 0xE3069283
    fixed = (
        b"\x8eNVC\r\n\x1a\n\x01\x00\x00\x00" + bytes(8)
        + struct.pack("<II", 1920, 1080) + bytes([1, 8, 9, 16, 10, 1])
        + struct.pack("<HHHIIIIq", 90, 4, 3, 1001, 30000, 30000, 1001, -7)
        + bytes([1, 32]) + struct.pack("<HI", 64, 4) + bytes(range(32)) + bytes(4)
    )  # fmt: skip
    assert len(fixed) == 108
    key = bytes([20, 0, 3, 0, 0, 5])
    reset = bytes([63, 5, 0, 0, 1, 0])
    short = bytes([64 + 9, 0x80 | 44, 2])
    chain0 = crc(fixed)
    chain1 = crc(struct.pack("<Iq", 0, -4) + key + b"hello", chain0)
    chain2 = crc(struct.pack("<Iq", 1, 65532) + reset, chain1)
    chain3 = crc(struct.pack("<Iq", 2, 131068) + short + bytes(300), chain2)
    packets = key + struct.pack("<I", chain1) + b"hello" + reset + struct.pack("<I", chain2)
    packets += short + struct.pack("<I", chain3) + bytes(300)
    at = 128 + len(packets)
    index = b"\xff\0\0\0" + struct.pack("<II", 1, chain3) + struct.pack("<IIqQ", 0, chain0, -4, 128)
    trailer = struct.pack("<QQQI", at, 3, 65536 * 3, 0)
    tail = index + struct.pack("<I", crc(index)) + trailer + struct.pack("<I", crc(trailer)) + b"\x8eEND\r\n\x1a\n"

    frames = [
        Packet(FrameType.KEY, 20, -4, b"hello"),
        Packet(FrameType.INTER, 63, -4 + 65536, b"", reset=True),
        Packet(FrameType.INTER, 9, -4 + 2 * 65536, bytes(300)),
    ]
    assert write(frames) == signed(fixed + struct.pack("<QQ", 3, at) + bytes(4)) + packets + tail
    assert write(frames, Pipe()) == signed(fixed + bytes(20)) + packets + tail


@FILES
@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_round_trip(n, file):
    packets = make_packets(n)
    for sink in (io.BytesIO(), Pipe()):
        data = write(packets, sink)
        assert read(data, file) == (packets, None)
        reader = Reader(file(data))
        assert replace(reader.header, frame_count=0, index_offset=0) == HEADER
        infos = list(Reader(file(data)).scan())
        assert [(i.frame, i.type, i.reset, i.qp, i.pts, i.size) for i in infos] == [
            (f, p.type, p.reset, p.qp, p.pts, len(p.payload)) for f, p in enumerate(packets)
        ]
        assert all(data[i.end - i.size : i.end] == packets[i.frame].payload for i in infos)
        assert [i.offset for i in infos] == [128, *(i.end for i in infos)][: len(infos)]


def test_what_is_known_before_reading():
    packets = make_packets(9)
    duration = packets[8].pts - packets[0].pts + (packets[8].pts - packets[7].pts)
    closed, piped, cut = write(packets), write(packets, Pipe()), write(packets, close=False)
    assert [(r.frame_count, r.duration) for r in map(Reader, map(io.BytesIO, (closed, piped, cut)))] == [
        (9, duration), (9, duration), (None, None),
    ]  # fmt: skip
    assert [(r.frame_count, r.duration) for r in map(Reader, map(Pipe, (closed, piped)))] == [(9, None), (None, None)]
    assert Reader(io.BytesIO(write([]))).frame_count == 0


def test_real_files_and_pipes(tmp_path):
    packets = make_packets(9)
    with open(tmp_path / "a.nvc", "wb", buffering=0) as f, Writer(f, HEADER) as writer:
        for packet in packets:
            writer.write(packet)
        assert writer.frame_count == 9
        assert writer.size == os.path.getsize(tmp_path / "a.nvc")
    with open(tmp_path / "a.nvc", "rb") as f:
        assert list(Reader(f)) == packets
    source, sink = os.pipe()
    with open(source, "rb") as f, open(sink, "wb") as g:
        write_to = Writer(g, HEADER)
        for packet in packets:
            write_to.write(packet)
        write_to.close()
        g.close()
        assert list(Reader(f)) == packets


def test_stream_inside_another_file():
    packets = make_packets(9)
    file = io.BytesIO(b"prefix")
    file.seek(6)
    writer = Writer(file, HEADER)
    for packet in packets:
        writer.write(packet)
    writer.close()
    assert file.getvalue() == b"prefix" + write(packets)
    file.seek(6)
    reader = Reader(file)
    assert reader.seek_frame(5) == 4
    assert list(reader) == packets[4:]


@pytest.mark.parametrize("make", ["closed", "piped", "cut", "garbage", "bad index"])
def test_seek(make):
    packets = make_packets(11)
    data = write(packets, Pipe() if make == "piped" else None, close=make != "cut")
    if make == "garbage":
        data += b"garbage"
    if make == "bad index":
        data = data[:-60] + bytes([data[-60] ^ 1]) + data[-59:]
    for n in range(11):
        reader = Reader(io.BytesIO(data))
        for m in (n, (n * 7 + 3) % 11, n):  # forwards, backwards, from the end
            assert reader.seek_frame(m) == m // 4 * 4
            assert reader.frame == m // 4 * 4
            assert next(reader) == packets[m // 4 * 4]
        rest, error = drain(reader)
        assert rest == packets[n // 4 * 4 + 1 :]
        if make in ("closed", "piped"):
            assert error is None
        else:
            assert isinstance(error, DamagedStream)
            assert error.frame == 11
    for n in (-1, 11, 1 << 70):
        reader = Reader(io.BytesIO(data))
        with pytest.raises(DamagedStream if make in ("cut", "bad index") and n > 0 else ValueError):
            reader.seek_frame(n)


def test_seek_skips_damage_and_revives_the_reader():
    packets = make_packets(11)
    data = bytearray(write(packets))
    at = [i.offset for i in Reader(io.BytesIO(data)).scan()]
    data[at[5] + 9] ^= 0x10
    reader = Reader(io.BytesIO(data))
    with pytest.raises(DamagedStream) as first:
        list(reader)
    with pytest.raises(DamagedStream) as second:
        next(reader)
    assert first.value is second.value
    assert first.value.frame == 5
    assert reader.seek_frame(8) == 8
    assert list(reader) == packets[8:]


def test_no_seek_on_a_pipe():
    with pytest.raises(io.UnsupportedOperation):
        Reader(Pipe(write(make_packets(3)))).seek_frame(0)


@FILES
def test_truncation_at_every_byte(file):
    packets = make_packets(9)
    for sink in (io.BytesIO(), Pipe()):
        data = write(packets, sink)
        ends = [i.end for i in Reader(io.BytesIO(data)).scan()]
        for size in range(len(data)):
            got, error = read(data[:size], file)
            whole = sum(end <= size for end in ends)
            assert got == packets[:whole]
            assert isinstance(error, NotNvc if size < 8 else DamagedStream)
            assert size < 8 or ("truncated" in str(error) and error.frame == whole)


@FILES
def test_every_bit_flip_is_detected(file):
    packets = make_packets(6)
    for sink in (io.BytesIO(), Pipe()):
        data = write(packets, sink)
        ends = [i.end for i in Reader(io.BytesIO(data)).scan()]
        for bit in range(len(data) * 8):
            bad = bytearray(data)
            bad[bit >> 3] ^= 1 << (bit & 7)
            got, error = read(bytes(bad), file)
            assert error is not None, f"bit {bit & 7} of byte {bit >> 3} changed unseen"
            assert got == packets[: 0 if bit < 128 * 8 else sum(end <= bit >> 3 for end in ends)]
            assert isinstance(error, NotNvc) or error.frame == len(got)


def test_a_flipped_pts_delta_never_cancels():
    """The flip changes the delta and, by its carries, a run of bits in the pts that the CRC covers too."""
    for k in range(24):
        for end in range(k + 1, 65):
            error = struct.pack("<IQQ", 0, (1 << end) - (1 << k), 1 << (k + 16))
            assert crc(error) != crc(bytes(20))


HEADER_DEFECTS = [
    (0, b"\x0e", NotNvc, "text mode"),
    (0, b"RIFF", NotNvc, "not an .nvc file"),
    (8, b"\x02", UnsupportedStream, "version 2.0"),
    (10, b"\x01", DamagedStream, "reserved"),
    (12, struct.pack("<I", 1 << 5 | 1 << 31), UnsupportedStream, "feature 5, 31"),
    (20, struct.pack("<I", 16385), LimitExceeded, "16385x1080"),
    (20, struct.pack("<I", 0), DamagedStream, "width is 0"),
    (24, struct.pack("<I", 0), DamagedStream, "height is 0"),
    (28, b"\x02", UnsupportedStream, "chroma format 2"),
    (29, b"\x0a", UnsupportedStream, "10 bits"),
    (33, b"\x02", DamagedStream, "full_range"),
    (34, b"\x5b", DamagedStream, "rotation is 91"),
    (36, b"\0\0", DamagedStream, "sample_aspect"),
    (36, struct.pack("<HH", 8, 6), DamagedStream, "lowest terms"),
    (44, bytes(4), DamagedStream, "time_base"),
    (40, bytes(4), DamagedStream, "time_base"),
    (52, bytes(4), DamagedStream, "frame_rate"),
    (56, struct.pack("<q", -(1 << 62) - 1), DamagedStream, "start_pts"),
    (64, b"\x03", UnsupportedStream, "preset 3"),
    (65, b"\x40", DamagedStream, "base_qp is 64"),
    (104, b"\x01", DamagedStream, "reserved"),
    (108, struct.pack("<Q", 1 << 32), DamagedStream, "frame_count"),
    (116, struct.pack("<Q", 1 << 63), DamagedStream, "index_offset"),
]


@pytest.mark.parametrize(("offset", "value", "error", "words"), HEADER_DEFECTS)
def test_header_refused(offset, value, error, words):
    data = patched(write(make_packets(2)), offset, value)
    for file in (io.BytesIO, Pipe):
        with pytest.raises(error, match=words):
            Reader(file(data))


def test_newer_minor_version_and_ancillary_features_are_ignored():
    minor = patched(patched(write([]), 9, b"\x07"), 16, b"\xff\xff\xff\xff")
    assert replace(Reader(Pipe(minor)).header, frame_count=0, index_offset=0) == HEADER


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0), ("height", 16385), ("bit_depth", 10), ("matrix", 256), ("base_qp", 64), ("rotation", 45),
        ("reset_interval", 65536), ("keyframe_interval", 1 << 32), ("model_id", b"short"), ("time_base", Fraction(0)),
        ("sample_aspect", Fraction(1, 65536)), ("frame_rate", Fraction(1 << 32)), ("start_pts", (1 << 62) + 1),
    ],
)  # fmt: skip
def test_header_values_out_of_range(field, value):
    with pytest.raises(ValueError, match=field):
        replace(HEADER, **{field: value})


def test_header_extremes_round_trip():
    low = StreamHeader(width=1, height=1, time_base=Fraction(1), preset=Preset.MAIN, base_qp=0, model_id=bytes(32))
    high = StreamHeader(
        width=16384, height=16384, time_base=Fraction((1 << 32) - 1, (1 << 32) - 2), preset=Preset.MAIN, base_qp=63,
        model_id=b"\xff" * 32, keyframe_interval=(1 << 32) - 1, reset_interval=65535,
        frame_rate=Fraction((1 << 32) - 2, (1 << 32) - 1), start_pts=1 << 62, sample_aspect=Fraction(65534, 65535),
        rotation=270, primaries=255, transfer=255, matrix=255, full_range=True, frame_count=(1 << 32) - 1,
        index_offset=(1 << 63) - 1,
    )  # fmt: skip
    for header in (low, high, HEADER):
        assert StreamHeader.unpack(header.pack()) == header
        assert len(header.pack()) == 128


def test_limits():
    data = write([Packet(FrameType.KEY, 0, i, bytes(100)) for i in range(5)])
    with pytest.raises(LimitExceeded, match="1920x1080"):
        Reader(io.BytesIO(data), Limits(max_pixels=1920 * 1080 - 1))
    assert read(data, limits=Limits(max_pixels=1920 * 1080, max_payload=100, max_keyframes=5))[1] is None
    for limits in (Limits(max_payload=99), Limits(max_keyframes=4)):
        for file in (io.BytesIO, Pipe):
            assert isinstance(read(data, file, limits)[1], LimitExceeded)
    assert Reader(io.BytesIO(data), Limits(max_keyframes=5)).duration == 5
    assert Reader(io.BytesIO(data), Limits(max_keyframes=4)).duration is None


def test_a_length_that_lies_costs_no_memory():
    head = write([], close=False)
    data = head + bytes(5) + b"\xff\xff\xff\x07" + bytes(4)
    count = head + struct.pack("<3I", 0xFF, (1 << 32) - 1, 0) + bytes(TRAILER)
    count = patched(count, 116, struct.pack("<Q", 128))
    tracemalloc.start()
    for file in (io.BytesIO, Pipe):
        assert isinstance(read(data, file)[1], DamagedStream)
        assert isinstance(read(count, file)[1], DamagedStream)
    assert tracemalloc.get_traced_memory()[1] < 1 << 21
    tracemalloc.stop()


def test_an_index_larger_than_the_file_is_not_read():
    class Counted(io.BytesIO):
        count = 0

        def read(self, size=-1):
            data = super().read(size)
            self.count += len(data)
            return data

    head = write([], close=False)
    index = struct.pack("<3I", 0xFF, 1 << 20, 0) + bytes(10_000)
    file = Counted(patched(head + index, 116, struct.pack("<Q", 128)))
    assert Reader(file).duration is None
    assert file.count == 128 + 12


def test_memory_does_not_grow_with_frames(tmp_path):
    def peak(n):
        tracemalloc.start()
        with open(tmp_path / "a.nvc", "wb") as f, Writer(f, HEADER) as writer:
            for i in range(n):
                writer.write(Packet(FrameType.INTER if i else FrameType.KEY, 0, i, bytes(1000)))
        with open(tmp_path / "a.nvc", "rb") as f:
            assert sum(1 for _ in Reader(f)) == n
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(10)
    assert peak(2000) < peak(200) + 10_000


def test_garbage_appended():
    packets = make_packets(9)
    for file in (io.BytesIO, Pipe):
        got, error = read(write(packets) + b"\0", file)
        assert got == packets
        assert isinstance(error, DamagedStream)
        assert (error.frame, "Foreign" in str(error)) == (9, True)


def test_header_that_belongs_to_another_stream():
    packets = make_packets(9)
    data = write(packets)
    got, error = read(patched(data, 108, struct.pack("<Q", 10)))
    assert got == packets
    assert isinstance(error, DamagedStream)
    assert "10 frames" in str(error)
    assert Reader(io.BytesIO(patched(data, 108, struct.pack("<Q", 10)))).duration is None
    trailer = struct.pack("<Q", len(data)) + data[8 - TRAILER : 28 - TRAILER]
    assert Reader(io.BytesIO(data[:-TRAILER] + trailer + struct.pack("<I", crc(trailer)) + data[-8:])).duration is None
    assert isinstance(read(patched(data, 116, struct.pack("<Q", 200)))[1], DamagedStream)
    other = write(packets, header=replace(HEADER, primaries=1))
    got, error = read(other[:128] + data[128:])
    assert got == []
    assert isinstance(error, DamagedStream)


def test_index_that_points_elsewhere_is_not_followed():
    """Sound checksums, wrong contents: the index is refused or the packet it points to is."""
    packets = make_packets(9)
    data = write(packets)
    at = len(data) - TRAILER - 4 - 12 - 3 * ENTRY
    _, chain, pts, offset = struct.unpack_from("<IIqQ", data, at + 12 + ENTRY)
    plausible = [(5, chain, pts, offset), (4, chain ^ 1, pts, offset), (4, chain, pts + 1, offset)]
    plausible += [(4, chain, pts, offset + 12)]
    absurd = [(0, chain, pts, offset), (9, chain, pts, offset), (4, chain, -8, offset), (4, chain, 1 << 40, offset)]
    absurd += [(4, chain, pts, 128), (4, chain, pts, 1 << 63)]
    for lie in plausible + absurd:
        entries = data[at : at + 12 + ENTRY] + struct.pack("<IIqQ", *lie) + data[at + 12 + 2 * ENTRY :][:ENTRY]
        bad = data[:at] + entries + struct.pack("<I", crc(entries)) + data[-TRAILER:]
        reader = Reader(io.BytesIO(bad))
        assert (reader.duration is None) == (lie in absurd)
        got, error = drain(reader)
        assert got == packets
        assert isinstance(error, DamagedStream)
        k = reader.seek_frame(6)
        got, error = drain(reader)
        assert got == ([] if lie in plausible else packets[k:])
        assert isinstance(error, DamagedStream)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ((1, -7, 128), (4, -1, 183)),  # does not start with frame 0
        ((0, -7, 129), (4, -1, 183)),  # nor at the first packet
        ((0, -8, 128), (4, -1, 183)),  # before the start
        ((0, -7, 128), (4, 1 << 40, 183)),  # further than frames can step
        ((0, -7, 128), (9, -1, 183)),  # behind the last frame
        ((0, -7, 128), (4, -1, 1 << 40)),  # behind the packets
    ],
)
def test_absurd_entries(first, last):
    data = write(make_packets(9, keyint=100))
    at = len(data) - TRAILER - 4 - 12 - ENTRY
    entries = b"".join(struct.pack("<IIqQ", frame, 0, pts, offset) for frame, pts, offset in (first, last))
    index = data[at : at + 4] + b"\2\0\0\0" + data[at + 8 : at + 12] + entries
    assert Reader(io.BytesIO(data)).duration is not None
    assert Reader(io.BytesIO(data[:at] + index + struct.pack("<I", crc(index)) + data[-TRAILER:])).duration is None


def test_entry_for_an_inter_frame_is_refused():
    packets = make_packets(9, keyint=20)
    data = write(packets)
    infos = list(Reader(io.BytesIO(data)).scan())
    chain = data[infos[4].end - infos[4].size - 4 :][:4]
    at = len(data) - TRAILER - 4 - 12 - ENTRY
    entry = struct.pack("<I", 5) + chain + struct.pack("<qQ", infos[5].pts, infos[5].offset)
    index = data[at : at + 4] + b"\2\0\0\0" + data[at + 8 : at + 12 + ENTRY] + entry
    reader = Reader(io.BytesIO(data[:at] + index + struct.pack("<I", crc(index)) + data[-TRAILER:]))
    assert reader.seek_frame(6) == 5
    with pytest.raises(DamagedStream, match="not the keyframe"):
        next(reader)


def test_stream_must_begin_with_a_keyframe():
    head = write([], close=False)
    for word in (bytes([0, 1]) + bytes(4), bytes([64, 0])):
        data = head + word + struct.pack("<I", crc(struct.pack("<Iq", 0, -7) + word, crc(head[:108])))
        assert "not the keyframe" in str(read(data)[1])


@pytest.mark.parametrize(
    ("word", "words"),
    [
        (bytes([128, 0, 0, 0, 0, 0]), "reserved"),
        (bytes([0, 2, 0, 0, 0, 0]), "reserved"),
        (bytes([0, 8, 0, 0, 0, 0]), "reserved"),
        (bytes([0, 0, 0, 0, 0, 128, 0]), "length"),
        (bytes([0, 0, 0, 0, 0, 129, 128, 0]), "length"),
        (bytes([0, 0, 0, 0, 0, 128, 128, 128, 128]), "length"),
        (bytes([0, 0, 0, 0, 0, 128, 128, 128, 8]), "limit"),
    ],
    ids=["top bit", "type 2", "flag", "two bytes for 0", "three bytes for 1", "five bytes", "16 MiB"],
)
def test_heads_that_no_writer_makes_are_refused(word, words):
    head = write([], close=False)
    data = head + word + struct.pack("<I", crc(struct.pack("<Iq", 0, -7) + word, crc(head[:108]))) + bytes(20)
    for file in (io.BytesIO, Pipe):
        got, error = read(data, file)
        assert got == []
        assert words in str(error)


def test_a_frame_like_the_one_before_has_a_short_head():
    """Six bytes; what the short head cannot say makes a long one, of ten."""
    frame = Packet(FrameType.INTER, 5, 20, b"")
    first = [Packet(FrameType.KEY, 0, 0, b""), Packet(FrameType.INTER, 0, 10, b"")]
    for last, size in (
        (frame, 6),
        (replace(frame, qp=63), 6),
        (replace(frame, payload=bytes(127)), 6),
        (replace(frame, payload=bytes(128)), 7),
        (replace(frame, payload=bytes(1 << 14)), 8),
        (replace(frame, payload=bytes((1 << 24) - 1)), 9),
        (replace(frame, reset=True), 10),
        (replace(frame, pts=21), 10),
        (replace(frame, type=FrameType.KEY), 10),
        (replace(frame, type=FrameType.KEY, payload=bytes((1 << 24) - 1)), 13),
    ):
        info = list(Reader(io.BytesIO(write([*first, last]))).scan())[-1]
        assert info.end - info.offset - info.size == size


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (Packet(FrameType.INTER, 0, 5, b""), "pts"),
        (Packet(FrameType.INTER, 0, 10 + (1 << 24), b""), "pts"),
        (Packet(FrameType.INTER, 0, 10, bytes(1 << 24)), "payload"),
    ],
)
def test_writer_refuses_and_goes_on(packet, words):
    first, last = Packet(FrameType.KEY, 0, 10, b"a"), Packet(FrameType.INTER, 0, 10 + (1 << 24) - 1, memoryview(b"b"))
    file = io.BytesIO()
    with Writer(file, HEADER) as writer:
        writer.write(first)
        with pytest.raises(ValueError, match=words):
            writer.write(packet)
        writer.write(last)
    assert read(file.getvalue()) == ([first, last], None)


def test_writer_states():
    with pytest.raises(ValueError, match="qp"):
        Packet(FrameType.KEY, 64, 0, b"")
    with pytest.raises(ValueError, match="filled in"):
        Writer(io.BytesIO(), replace(HEADER, frame_count=1))
    writer = Writer(io.BytesIO(), HEADER)
    with pytest.raises(ValueError, match="keyframe"):
        writer.write(Packet(FrameType.INTER, 0, 0, b""))
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(Packet(FrameType.KEY, 0, 0, b""))


def test_an_interrupted_writer_leaves_a_truncated_stream():
    packets, file = make_packets(3), io.BytesIO()
    with pytest.raises(KeyboardInterrupt), Writer(file, HEADER) as writer:  # noqa: PT012
        for packet in packets:
            writer.write(packet)
        raise KeyboardInterrupt
    got, error = read(file.getvalue())
    assert got == packets
    assert "truncated" in str(error)


def test_a_failed_write_is_final():
    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() > 140:
                raise OSError("no space left")
            return super().write(bytes(data)[:20])

    file = Full()
    writer = Writer(file, HEADER)
    with pytest.raises(OSError, match="no space"):
        writer.write(Packet(FrameType.KEY, 0, 0, bytes(100)))
    size = len(file.getvalue())
    writer.close()
    with pytest.raises(ValueError, match="failed"):
        writer.write(Packet(FrameType.KEY, 0, 0, b""))
    assert len(file.getvalue()) == size
    assert isinstance(read(file.getvalue())[1], DamagedStream)


def test_messages_are_single_sentences():
    for offset, value, _, _ in HEADER_DEFECTS:
        message = str(read(patched(write(make_packets(2)), offset, value))[1])
        assert message[0].isupper()
        assert message.endswith(".")
        assert ". " not in message
        assert "\n" not in message
