"""Files through `nvc.encode`, `nvc.decode` and `nvc.open`: figures, timing, facts about the picture, stopping."""

import os
import threading
import time
from fractions import Fraction
from itertools import count, islice

import numpy as np
import pytest
from files import planes, y4m

import nvc
from nvc.api.decoding import decode_file
from nvc.api.inspection import inspect
from nvc.api.observer import Observer
from nvc.api.prefetch import Prefetch
from nvc.api.results import playing_time
from nvc.bitstream import DamagedStream
from nvc.codec.errors import CodecError
from nvc.media import MediaError, Planes, VideoFormat, open_sink, open_source
from nvc.media.quality import psnr

FRAMES = 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder with clip.y4m, and clip.nvc with keyframes 0 and 4."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "clip.y4m").write_bytes(y4m(frames=FRAMES))
    nvc.encode(folder / "clip.y4m", folder / "clip.nvc", keyint=4)
    return folder


class Watch(Observer):
    """Writes down what it is told, and stops after `most` frames."""

    def __init__(self, most=None):
        self.most, self.begun, self.seen, self.notes = most, [], [], []

    def begin(self, what, total):
        self.begun.append((what, total))

    def frame(self, done, size, seconds):
        self.seen.append((done, size, seconds))

    def note(self, text):
        self.notes.append(text)

    def stopped(self):
        return self.most is not None and len(self.seen) >= self.most


def timed(path, pts, **facts):
    """A video with these timestamps, and its format."""
    format = VideoFormat(32, 16, **{"time_base": Fraction(1, 600)} | facts)
    with open_sink(str(path), format) as sink:
        for number, at in enumerate(pts):
            sink.write(Planes(*planes(32, 16, number), at))
    return format


def timestamps(path):
    with open_source(str(path)) as source:
        return [picture.pts * source.format.time_base for picture in source]


def test_figures(clip, tmp_path):
    watch = Watch()
    result = nvc.encode(clip / "clip.y4m", tmp_path / "o.nvc", qp=50, keyint=4, psnr=True, md5=True, observer=watch)
    assert result.bytes == os.path.getsize(tmp_path / "o.nvc")
    assert result.bpp == 8 * result.bytes / (FRAMES * 64 * 48)
    assert result.duration == Fraction(FRAMES, 25)
    assert [frame.key for frame in result.frames] == [True, False, False, False, True, False]
    assert watch.begun == [("encode", FRAMES)]
    assert [done for done, _, _ in watch.seen] == list(range(1, FRAMES + 1))
    assert watch.seen[-1][1] < result.bytes

    with nvc.open(tmp_path / "o.nvc") as decoder, open_source(str(clip / "clip.y4m")) as source:
        pairs = list(zip(decoder, source, strict=True))
    for i in range(3):
        mean = sum(psnr(frame[i], picture[i]) for frame, picture in pairs) / FRAMES
        assert result.psnr[i] == pytest.approx(mean, abs=1e-9)

    again = nvc.decode(tmp_path / "o.nvc", md5=True)
    assert (again.md5, again.bytes, again.duration) == (result.md5, result.bytes, result.duration)
    assert again.frames == result.frames
    info = inspect(tmp_path / "o.nvc")
    assert (info.size, info.duration, info.keyframes) == (result.bytes, result.duration, 2)


def test_the_decoder_owns_its_file(clip):
    with nvc.open(clip / "clip.nvc") as decoder:
        frames = list(decoder)
    with pytest.raises(ValueError, match="closed"):
        decoder.seek(0)
    assert [frame.number for frame in frames] == list(range(FRAMES))


def test_seeking(clip):
    with nvc.open(clip / "clip.nvc") as decoder:
        frames = [frame.tobytes() for frame in decoder]
        for number in (5, 0, 3, 4):
            decoder.seek(number)
            assert next(decoder).tobytes() == frames[number]


def test_nothing_is_overwritten_unasked(clip, tmp_path):
    (tmp_path / "there.nvc").write_bytes(b"precious")
    (tmp_path / "frame_1.png").write_bytes(b"precious")
    with pytest.raises(MediaError, match="exists"):
        nvc.encode(clip / "clip.y4m", tmp_path / "there.nvc")
    with pytest.raises(MediaError, match="exists"):
        nvc.decode(clip / "clip.nvc", tmp_path / "frame_%d.png")
    assert (tmp_path / "there.nvc").read_bytes() == (tmp_path / "frame_1.png").read_bytes() == b"precious"
    nvc.encode(clip / "clip.y4m", tmp_path / "there.nvc", overwrite=True)
    assert inspect(tmp_path / "there.nvc").damage is None


@pytest.mark.parametrize("facts", [{"rotation": 90}, {"sample_aspect": Fraction(4, 3), "primaries": 9, "matrix": 9}])
def test_facts_and_varying_timestamps_survive(facts, tmp_path):
    pts = [100, 124, 160, 161, 300]
    format = timed(tmp_path / "in.mp4", pts, full_range=True, transfer=13, **facts)
    watch = Watch()
    nvc.encode(tmp_path / "in.mp4", tmp_path / "c.nvc", observer=watch)
    nvc.decode(tmp_path / "c.nvc", tmp_path / "out.mp4")
    assert watch.notes == []
    assert timestamps(tmp_path / "out.mp4") == [Fraction(at, 600) for at in pts]
    with open_source(str(tmp_path / "out.mp4")) as source:
        for name in ("rotation", "sample_aspect", "primaries", "transfer", "matrix", "full_range"):
            assert getattr(source.format, name) == getattr(format, name), name
    header = inspect(tmp_path / "c.nvc").header
    assert header.rotation == (360 - format.rotation) % 360  # clockwise in the stream


def test_a_cut_begins_at_zero(tmp_path):
    timed(tmp_path / "in.mp4", [100, 124, 160, 161, 300])
    nvc.encode(tmp_path / "in.mp4", tmp_path / "cut.nvc", start=1, frames=3)
    assert [packet.pts for packet in inspect(tmp_path / "cut.nvc").packets] == [0, 36, 37]
    nvc.encode(tmp_path / "in.mp4", tmp_path / "all.nvc")
    nvc.decode(tmp_path / "all.nvc", tmp_path / "cut.mp4", start=2)
    assert timestamps(tmp_path / "cut.mp4") == [0, Fraction(1, 600), Fraction(140, 600)]


def test_repeated_timestamps_are_moved(tmp_path):
    with (tmp_path / "c.nvc").open("wb") as file, nvc.Encoder(file, 32, 16) as encoder:
        for number, pts in enumerate((0, 0, 0, 7)):
            encoder.write(*planes(32, 16, number), pts)
    nvc.decode(tmp_path / "c.nvc", tmp_path / "o.mp4")
    assert timestamps(tmp_path / "o.mp4") == [Fraction(at, 25) for at in (0, 1, 2, 7)]


@pytest.mark.parametrize(
    ("aspect", "stored"),
    [
        (Fraction(70000, 70001), Fraction(1)),
        (Fraction(1, 1 << 20), Fraction(1, 65535)),
        (Fraction(1 << 20), Fraction(65535)),
        (Fraction(200003, 100001), Fraction(2)),
    ],
)
def test_a_pixel_aspect_that_does_not_fit_is_rounded(aspect, stored, tmp_path):
    (tmp_path / "in.y4m").write_bytes(
        y4m(16, 16, 1).replace(b"A1:1", f"A{aspect.numerator}:{aspect.denominator}".encode())
    )
    result = nvc.encode(tmp_path / "in.y4m", tmp_path / "o.nvc")
    got = inspect(tmp_path / "o.nvc").header.sample_aspect
    assert abs(got - stored) < Fraction(1, 10000) * stored
    assert "was rounded" in result.notes[0]


@pytest.mark.parametrize("size", [(16385, 1), (8200, 8200)])
def test_pictures_beyond_the_format(size, tmp_path):
    with (tmp_path / "big.y4m").open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F25:1\nFRAME\n" % size)
        file.truncate(file.tell() + 2 * size[0] * size[1] + 4)
    with pytest.raises(MediaError, match=f"is {size[0]}x{size[1]}"):
        nvc.encode(tmp_path / "big.y4m", tmp_path / "o.nvc")
    assert os.listdir(tmp_path) == ["big.y4m"]


def test_a_pause_that_does_not_fit(tmp_path):
    timed(tmp_path / "in.mp4", [0, 1 << 25])
    with pytest.raises(MediaError, match="picture 1 cannot be stored"):
        nvc.encode(tmp_path / "in.mp4", tmp_path / "o.nvc")
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_settings_out_of_range(clip, tmp_path):
    for settings in ({"qp": 64}, {"keyint": 0}):
        with pytest.raises(CodecError):
            nvc.encode(clip / "clip.y4m", tmp_path / "o.nvc", **settings)
    assert os.listdir(tmp_path) == []


def test_stopping_leaves_complete_files(clip, tmp_path):
    result = nvc.encode(clip / "clip.y4m", tmp_path / "o.nvc", observer=Watch(2))
    assert (result.interrupted, len(result.frames)) == (True, 2)
    assert (inspect(tmp_path / "o.nvc").announced, inspect(tmp_path / "o.nvc").damage) == (2, None)
    result = nvc.decode(clip / "clip.nvc", tmp_path / "o.y4m", observer=Watch(3))
    assert (result.interrupted, len(result.frames)) == (True, 3)
    assert len(timestamps(tmp_path / "o.y4m")) == 3


def test_stopping_before_the_first_frame_leaves_nothing(clip, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        nvc.encode(clip / "clip.y4m", tmp_path / "o.nvc", observer=Watch(0))
    with pytest.raises(KeyboardInterrupt):
        nvc.decode(clip / "clip.nvc", tmp_path / "o.y4m", observer=Watch(0))
    assert os.listdir(tmp_path) == []


def test_damage_is_raised_after_the_output_is_complete(clip, tmp_path):
    data = (clip / "clip.nvc").read_bytes()
    (tmp_path / "bad.nvc").write_bytes(data[:-60])
    with pytest.raises(DamagedStream, match="truncated") as caught:
        nvc.decode(tmp_path / "bad.nvc", tmp_path / "o.y4m")
    assert caught.value.frame == FRAMES
    assert len(timestamps(tmp_path / "o.y4m")) == FRAMES
    result = decode_file(tmp_path / "bad.nvc")
    assert (len(result.frames), result.expected) == (FRAMES, FRAMES)
    assert "truncated" in result.damage


@pytest.mark.parametrize("end", [".yuv", ".mp4", ".mkv", "_%03d.png"])
@pytest.mark.parametrize("size", [(1, 1), (17, 33)])
def test_every_output_takes_odd_sizes(end, size, tmp_path):
    (tmp_path / "in.y4m").write_bytes(y4m(*size, 2))
    nvc.encode(tmp_path / "in.y4m", tmp_path / "c.nvc")
    result = nvc.decode(tmp_path / "c.nvc", f"{tmp_path}/out{end}", md5=True)
    assert len(result.frames) == 2
    assert any(name.startswith("out") for name in os.listdir(tmp_path))


@pytest.mark.parametrize("rate", [Fraction(25), None])
def test_playing_time(rate):
    assert playing_time(10, 40, 4, Fraction(1, 250), rate) == Fraction(4, 25)
    assert playing_time(3, 3, 1, Fraction(1, 25), rate) == (Fraction(1, 25) if rate else 0)


def test_prefetch_keeps_order_and_stays_close():
    made = []

    def items():
        for i in range(50):
            made.append(i)
            yield i

    with Prefetch(items(), depth=4) as ahead:
        for i, got in enumerate(ahead):
            assert got == i
            assert len(made) <= i + 6  # four in the queue, one in the making, one handed out
        assert list(ahead) == []


def test_prefetch_hands_errors_over_after_the_items():
    def items():
        yield 1
        yield 2
        raise DamagedStream("bad", 2)

    with Prefetch(items()) as ahead:
        assert list(islice(ahead, 2)) == [1, 2]
        for _ in range(2):
            with pytest.raises(DamagedStream):
                next(ahead)


def test_prefetch_closes_its_generator_in_its_thread():
    closed = []

    def items():
        try:
            yield from count()
        finally:
            closed.append(threading.current_thread().name)

    with Prefetch(items()) as ahead:
        assert next(ahead) == 0
    assert closed == ["nvc-prefetch"]


def test_prefetch_ends_while_its_generator_stalls(monkeypatch):
    monkeypatch.setattr("nvc.api.prefetch.PATIENCE", 0.2)
    data = threading.Event()

    def items():
        yield 0
        data.wait()
        yield 1

    asked = []
    with Prefetch(items(), stopped=lambda: bool(asked)) as ahead:
        assert next(ahead) == 0
        threading.Timer(0.2, lambda: asked.append(True)).start()
        began = time.monotonic()
        assert list(ahead) == []
        assert time.monotonic() - began < 30
    data.set()


def test_planes_of_a_frame(clip):
    with nvc.open(clip / "clip.nvc") as decoder:
        frame = next(decoder)
    assert [plane.shape for plane in frame[:3]] == [(48, 64), (24, 32), (24, 32)]
    assert all(np.array_equal(a, b) for a, b in zip(frame[:3], frame.torch(), strict=True))
