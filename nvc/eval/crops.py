"""The same window of one frame from the source and from every codec, as PNG files, to be judged by eye."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np

from nvc.api import decoding
from nvc.eval.anchors import ANCHORS
from nvc.eval.clips import Views
from nvc.eval.compare import matched
from nvc.eval.results import Clip, Point, Results
from nvc.media import Planes, VideoFormat, open_sink, open_source
from nvc.media.avpicture import lines

WIDTH, HEIGHT, STEP = 384, 288, 16


@dataclass
class Crop:
    """`point` is None for the source; `png` a file; `frame` the number of the frame; `psnr_y` of the whole frame."""

    name: str
    png: Path
    frame: int
    point: Point | None


@dataclass(frozen=True)
class _Window:
    x: int
    y: int
    width: int
    height: int

    def cut(self, planes: Views) -> Views:
        x, y, w, h = self.x, self.y, self.width, self.height
        luma, u, v = planes
        half = slice(y // 2, (y + h) // 2), slice(x // 2, (x + w) // 2)
        return luma[y : y + h, x : x + w], u[half], v[half]


def crops(clip: Clip, results: Results, out: Path) -> list[Crop]:
    """Crops of the source and of the points that `matched` chooses, at three quarters of the clip.

    The window is the one of the source with the most detail and change. Files made earlier are kept.
    Raises MediaError, BitstreamError and FFmpegError when a file cannot be read.
    """
    number = (clip.frames - 1) * 3 // 4
    folder = out / "crops" / clip.name
    folder.mkdir(parents=True, exist_ok=True)
    with open_source(clip.file, frames=number + 1) as source:
        form = source.format
        before, now = _last_two(source)
    window = _busiest(before, now, clip)
    matrix = form.matrix if form.matrix in (1, 4, 5, 6, 7, 9, 10) else 1 if clip.height > 576 else 6
    shown = VideoFormat(window.width, window.height, matrix=matrix, full_range=form.full_range)
    found = []
    for point in (None, *matched(clip, results)):
        name = f"{point.codec}-{point.quality}" if point else "source"
        key = point.key[:8] if point else clip.sha256[:8]
        path = folder / f"{name}-{key}-%d.png"
        png = Path(str(path) % 1)
        if not png.exists():
            planes = window.cut(_picture(out / str(point.file), point, number) if point else now)
            sink = open_sink(str(path), shown)
            y, u, v = (np.ascontiguousarray(p) for p in planes)
            sink.write(Planes(y, u, v, 0))
            sink.close()
        found.append(Crop(point.codec if point else "source", png, number, point))
    return found


def _last_two(pictures: Iterator[Planes]) -> tuple[Views, Views]:
    before = now = None
    for picture in pictures:
        before, now = now, picture[:3]
    assert now is not None, "the clip was read before"
    return before or now, now


def _busiest(before: Views, now: Views, clip: Clip) -> _Window:
    """The window, on a grid of 16, with the largest sum of gradients plus half of the change since the last frame."""
    a, b = (p[0][: clip.height, : clip.width].astype(np.int32) for p in (before, now))
    busy = np.abs(b - a) // 2
    busy[:, 1:] += np.abs(np.diff(b, axis=1))
    busy[1:] += np.abs(np.diff(b, axis=0))
    sums = np.pad(busy.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
    w, h = min(WIDTH, clip.width), min(HEIGHT, clip.height)
    ys, xs = np.arange(0, clip.height - h + 1, STEP)[:, None], np.arange(0, clip.width - w + 1, STEP)[None]
    total = sums[ys + h, xs + w] - sums[ys, xs + w] - sums[ys + h, xs] + sums[ys, xs]
    row, column = np.unravel_index(int(total.argmax()), total.shape)
    return _Window(int(column) * STEP, int(row) * STEP, w, h)


def _picture(stream: Path, point: Point, number: int) -> Views:
    """Frame `number` of a stream."""
    if point.codec == "nvc":
        with decoding.open(stream) as decoder:
            frame = next(islice(decoder, number, None))
            return frame.y, frame.u, frame.v
    with av.open(str(stream), format=ANCHORS[point.codec].container) as source:
        picture = next(islice(source.decode(video=0), number, None))
        y, u, v = (np.ascontiguousarray(lines(p)[:, : p.width]) for p in picture.planes)
        return y, u, v
