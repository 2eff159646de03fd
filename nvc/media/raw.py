"""Raw video: pictures one after another, described by the caller."""

from collections.abc import Iterator
from fractions import Fraction

from nvc.media.bytesource import MappedBytes, open_bytes
from nvc.media.errors import MediaError
from nvc.media.frame import Planes, VideoFormat
from nvc.media.rawlayout import RawLayout, RawPictures
from nvc.media.source import Source

PIX_FMTS = ("yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le")


def open_raw(
    path: str, size: tuple[int, int] | None, fps: Fraction | None, pix_fmt: str | None, start: int, frames: int | None
) -> Source:
    """Source of a raw file with pictures of `size` = (width, height); pts counts pictures. Raises MediaError."""
    if size is None:
        raise MediaError(f"{path} is raw video: its picture size must be given")
    pix_fmt = pix_fmt or "yuv420p"
    if pix_fmt not in PIX_FMTS:
        raise MediaError(f"raw pixel format {pix_fmt!r} is not one of {', '.join(PIX_FMTS)}")
    rate = fps or Fraction(25)
    format = VideoFormat(*size, time_base=1 / rate, frame_rate=rate)
    data = open_bytes(path)
    if not isinstance(data, MappedBytes):
        data.close()
        raise MediaError(f"{path}: raw video is read from regular files only; use y4m for pipes")
    pictures = RawPictures(RawLayout(pix_fmt, *size), full_range=False)
    each = pictures.layout.size
    total, rest = divmod(data.remaining, each)
    if total <= start:
        raise MediaError(f"{path} has {total} pictures of {size[0]}x{size[1]}; there is none from number {start} on")
    notes = list(pictures.notes)
    if fps is None:
        notes.append("raw video without a frame rate; 25 pictures a second assumed")
    if rest:
        notes.append(f"the last {rest} bytes of {path} are not a whole picture and were left out")
    count = total - start if frames is None else min(frames, total - start)
    data.skip(start * each)

    def deliver() -> Iterator[Planes]:
        for number in range(start, start + count):
            yield Planes(*pictures.planes(data.take(each)), number)

    return Source(format, count, notes, deliver(), data.close)
