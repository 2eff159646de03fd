"""Uncompressed pictures without padding, as y4m and raw files hold them."""

from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np

from nvc.media.avpicture import lines
from nvc.media.convert import Converter
from nvc.media.frame import Plane


class _Part(NamedTuple):
    start: int
    rows: int
    line: int  # bytes


class RawLayout:
    """Where the planes of one `pix_fmt` picture lie. `size`: bytes of a picture. `pix_fmt` is a planar PyAV format."""

    def __init__(self, pix_fmt: str, width: int, height: int) -> None:
        self.pix_fmt, self.width, self.height = pix_fmt, width, height
        self._parts: list[_Part] = []
        at = 0
        for c in av.VideoFormat(pix_fmt, width, height).components:
            part = _Part(at, c.height, c.width * ((c.bits + 7) // 8))
            self._parts.append(part)
            at += part.rows * part.line
        self.size = at

    def views(self, data: Plane) -> Iterator[Plane]:
        """Each plane as bytes [rows, line], a view of the `size` bytes of `data`."""
        for start, rows, line in self._parts:
            yield data[start : start + rows * line].reshape(rows, line)

    def frame(self, data: Plane, full_range: bool) -> av.VideoFrame:
        """The picture as PyAV holds it."""
        frame = av.VideoFrame(self.width, self.height, self.pix_fmt)
        frame.color_range = 2 if full_range else 1
        for plane, view in zip(frame.planes, self.views(data), strict=True):
            lines(plane)[:, : view.shape[1]] = view
        return frame


class RawPictures:
    """Planes out of the bytes of one picture: views when it is 8-bit 4:2:0 already, converted otherwise."""

    def __init__(self, layout: RawLayout, full_range: bool) -> None:
        self.layout, self._full = layout, full_range
        self._converter: Converter | None = None
        self.notes: list[str] = []
        if layout.pix_fmt != "yuv420p":
            blank = np.zeros(layout.size, np.uint8)
            self._converter = Converter(layout.frame(blank, full_range))
            self.notes = self._converter.notes

    def planes(self, data: Plane) -> tuple[Plane, Plane, Plane]:
        """y, u, v of the `layout.size` bytes in `data`."""
        if self._converter is None:
            y, u, v = self.layout.views(data)
            return y, u, v
        return self._converter.convert(self.layout.frame(data, self._full))
