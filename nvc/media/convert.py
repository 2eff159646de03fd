"""Decoded pictures of any pixel format to 8-bit 4:2:0 planes, once, at the edge.

8-bit 4:2:0 is copied. Deeper 4:2:0 and grey only change their depth: done here by rounding, the same on every processor
(libswscale would dither). Everything that needs other chroma sites or another matrix goes through libswscale.
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from nvc.media.avpicture import lines
from nvc.media.frame import Plane

_NATIVE = ("yuv420p", "yuvj420p", "yuva420p")
_INTERLEAVED = ("nv12", "nv21")
_DEEP = re.compile(r"(yuva?420p|gray)(9|10|12|14|16)(le|be)")
_RGB_LIKE = re.compile(r"pal8|mono[bw]|ya8|ya16.*|gray.*|bayer.*|xyz.*")  # not flagged as RGB, converted like it
_SAMPLING = {(16, 16): "4:4:4", (8, 16): "4:2:2", (8, 8): "4:2:0", (16, 8): "4:4:0", (4, 16): "4:1:1", (4, 4): "4:1:0"}
PRECISE = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
)
_HDR = {16: "PQ", 18: "HLG"}


class Colour(NamedTuple):
    """H.273 code points and range of the planes a Converter delivers."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


def _is_rgb(frame: VideoFrame) -> bool:
    name = frame.format.name
    exact_grey = name == "gray" or _DEEP.fullmatch(name) is not None
    return frame.format.is_rgb or (not exact_grey and _RGB_LIKE.fullmatch(name) is not None)


def _is_full(frame: VideoFrame) -> bool:
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")


def _plane(frame: VideoFrame, index: int) -> Plane:
    plane = frame.planes[index]
    return np.ascontiguousarray(lines(plane)[:, : plane.width])


def _reduced(frame: VideoFrame, index: int, bits: int, order: str) -> Plane:
    """One plane of `bits` bits, rounded to 8: limited range is a shift, full range a change of scale."""
    words = lines(frame.planes[index]).view("<u2" if order == "le" else ">u2")
    samples: npt.NDArray[np.uint32] = words[:, : frame.planes[index].width].astype(np.uint32)
    if _is_full(frame):
        top = (1 << bits) - 1
        rounded = np.floor_divide(samples * 510 + top, 2 * top)
    else:
        rounded = np.minimum((samples + (1 << (bits - 9))) >> (bits - 8), 255)
    return np.asarray(rounded, np.uint8)


class Converter:
    """`convert` for the pictures of one video; `colour` and `notes` describe the result, judged by `first`."""

    def __init__(self, first: VideoFrame) -> None:
        self._scaler = VideoReformatter()
        self.notes = _notes(first)
        self.colour = Colour(first.color_primaries, first.color_trc, first.colorspace, _is_full(first))
        if _is_rgb(first):
            self.colour = self.colour._replace(matrix=1, full_range=False)

    def convert(self, frame: VideoFrame) -> tuple[Plane, Plane, Plane]:
        """Planes y, u, v of a picture, C-contiguous. Raises MediaError for a layout that cannot be read."""
        name = frame.format.name
        if name in _NATIVE:
            return _plane(frame, 0), _plane(frame, 1), _plane(frame, 2)
        if name in _INTERLEAVED:
            pairs = lines(frame.planes[1])
            width = (frame.width + 1) // 2
            first = np.ascontiguousarray(pairs[:, 0 : 2 * width : 2])
            second = np.ascontiguousarray(pairs[:, 1 : 2 * width : 2])
            return (_plane(frame, 0), first, second) if name == "nv12" else (_plane(frame, 0), second, first)
        if name == "gray":
            return _plane(frame, 0), *_neutral(frame)
        if deep := _DEEP.fullmatch(name):
            bits, order = int(deep[2]), deep[3]
            y = _reduced(frame, 0, bits, order)
            if deep[1] == "gray":
                return y, *_neutral(frame)
            return y, _reduced(frame, 1, bits, order), _reduced(frame, 2, bits, order)
        small = self._scaled(frame)
        return _plane(small, 0), _plane(small, 1), _plane(small, 2)

    def _scaled(self, frame: VideoFrame) -> VideoFrame:
        if _is_rgb(frame):
            # only the destination has a matrix; RGB itself is full range by definition
            return self._scaler.reformat(
                frame,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                interpolation=PRECISE,
                threads=1,
            )
        # the same matrix and range on both sides: chroma is resampled and nothing else happens, whatever they are
        span = ColorRange.JPEG if _is_full(frame) else ColorRange.MPEG
        return self._scaler.reformat(
            frame,
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=span,
            dst_color_range=span,
            interpolation=PRECISE,
            threads=1,
        )


def _neutral(frame: VideoFrame) -> tuple[Plane, Plane]:
    shape = ((frame.height + 1) // 2, (frame.width + 1) // 2)
    return np.full(shape, 128, np.uint8), np.full(shape, 128, np.uint8)


def _notes(frame: VideoFrame) -> list[str]:
    name, layout = frame.format.name, frame.format
    bits = max(c.bits for c in layout.components)
    notes = []
    if _is_rgb(frame):
        kind = "RGB" if layout.is_rgb else name
        notes.append(f"{kind} converted to BT.709 limited range, 8-bit 4:2:0")
    elif name.startswith("gray"):
        notes.append(f"{bits}-bit grey source given neutral chroma, 8-bit 4:2:0")
    elif bits > 8 or not (name in _NATIVE or name in _INTERLEAVED):
        sampling = _SAMPLING.get((layout.chroma_width(16), layout.chroma_height(16)), name)
        what = f"{bits}-bit" if sampling == "4:2:0" else f"{bits}-bit {sampling}"
        notes.append(f"{what} source converted to 8-bit 4:2:0")
    if any(c.is_alpha for c in layout.components) or name == "pal8":
        notes.append("transparency was dropped")
    if frame.color_trc in _HDR:
        notes.append(f"HDR ({_HDR[frame.color_trc]}) in 8 bits: expect banding; mastering metadata is not kept")
    return notes
