"""Anchor codecs through PyAV: low delay, one keyframe, no reordering, 8-bit 4:2:0."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Anchor:
    """`options(q)` are the encoder's options at quality q; `container` is a raw elementary-stream format."""

    name: str
    codec: str
    container: str
    qualities: tuple[int, ...]
    options: Callable[[int], dict[str, str]]
    pix_fmt: str = "yuv420p"


def _x264(q: int) -> dict[str, str]:
    return {"preset": "medium", "tune": "zerolatency", "crf": str(q), "x264-params": "scenecut=0:keyint=infinite"}


def _x265(q: int) -> dict[str, str]:
    params = "keyint=-1:scenecut=0:log-level=none"
    return {"preset": "medium", "tune": "zerolatency", "crf": str(q), "x265-params": params}


def _mjpeg(q: int) -> dict[str, str]:
    return {"qmin": str(q), "qmax": str(q), "huffman": "optimal"}


ANCHORS = {
    a.name: a
    for a in (
        Anchor("x264-medium-zl", "libx264", "h264", (18, 23, 28, 33, 38), _x264),
        Anchor("x265-medium-zl", "libx265", "hevc", (18, 23, 28, 33, 38), _x265),
        Anchor("mjpeg", "mjpeg", "mjpeg", (2, 5, 10, 18, 31), _mjpeg, "yuvj420p"),
    )
}


def code(anchor: Anchor, quality: int, frames: Sequence[Planes], rate: Fraction) -> tuple[int, Iterator[Planes]]:
    """Encode frames (planes uint8) and decode them again: (bytes of the elementary stream, decoded frames)."""
    height, width = frames[0][0].shape
    file = io.BytesIO()
    with av.open(file, "w", format=anchor.container) as out:
        stream = out.add_stream(anchor.codec, rate=rate, options=anchor.options(quality))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, anchor.pix_fmt
        stream.codec_context.thread_count = 1
        for i, planes in enumerate(frames):
            frame = av.VideoFrame(width, height, anchor.pix_fmt)
            for target, source in zip(frame.planes, planes, strict=True):
                rows = np.zeros((target.height, target.line_size), np.uint8)
                rows[:, : target.width] = source[: target.height, : target.width]
                target.update(rows.tobytes())
            frame.pts = i
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return len(file.getvalue()), _decode(file, anchor.container)


def _decode(file: io.BytesIO, container: str) -> Iterator[Planes]:
    file.seek(0)
    with av.open(file, "r", format=container) as source:
        for frame in source.decode(video=0):
            y, u, v = (
                np.frombuffer(memoryview(p), np.uint8).reshape(p.height, p.line_size)[:, : p.width]
                for p in frame.planes
            )
            yield y, u, v
