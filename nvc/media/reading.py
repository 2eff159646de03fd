"""From a path to a Source."""

import os
import re
from fractions import Fraction

from nvc.media.container import open_container
from nvc.media.errors import MediaError
from nvc.media.raw import open_raw
from nvc.media.source import Source
from nvc.media.y4m import open_y4m

_PATTERN = re.compile(r"%0?\d*d")


def is_pattern(path: str) -> bool:
    """Whether the file name numbers pictures, as in `frame_%05d.png`."""
    return _PATTERN.search(os.path.basename(path)) is not None


def open_source(
    path: str,
    *,
    size: tuple[int, int] | None = None,
    fps: Fraction | None = None,
    pix_fmt: str | None = None,
    start: int = 0,
    frames: int | None = None,
) -> Source:
    """Open a video for reading, from picture number `start` on, at most `frames` pictures.

    `-` is y4m on standard input, `.y4m` and `.yuv` files are mapped, `frame_%05d.png` is numbered pictures, anything
    else goes to PyAV. `size` = (width, height), `fps` and `pix_fmt` describe raw video; `fps` also numbered pictures.
    Raises MediaError when nothing can be delivered; damage further on ends the iteration with a note.
    """
    if start < 0 or (frames is not None and frames < 1):
        raise MediaError("the first picture must be 0 or more, and the number of pictures 1 or more")
    raw, pattern = path.lower().endswith(".yuv"), is_pattern(path)
    if not raw and (size is not None or pix_fmt is not None or (fps is not None and not pattern)):
        raise MediaError(f"size, rate and pixel format are for raw video; {path} describes itself")
    if fps is not None and fps <= 0:
        raise MediaError(f"a frame rate of {fps} is not positive")
    if path == "-":
        return open_y4m(path, start, frames)
    if pattern and not os.path.exists(path):
        return open_container(path, start, frames, pattern_rate=fps or Fraction(25))
    if os.path.isdir(path):
        raise MediaError(f"{path} is a directory")
    if not os.path.exists(path):
        raise MediaError(f"no such file: {path}")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise MediaError(f"{path} is empty")
    if raw:
        return open_raw(path, size, fps, pix_fmt, start, frames)
    if path.lower().endswith(".y4m"):
        return open_y4m(path, start, frames)
    return open_container(path, start, frames)
