"""From a path to a Sink."""

import os

from nvc.media.containersink import ContainerSink
from nvc.media.errors import MediaError
from nvc.media.frame import VideoFormat
from nvc.media.picturesink import PictureSink
from nvc.media.rawsink import RawSink, y4m_header
from nvc.media.reading import is_pattern
from nvc.media.sink import Sink


def open_sink(path: str, format: VideoFormat, *, codec: str | None = None) -> Sink:
    """Open a video for writing; the kind follows from the path.

    `-` is y4m on standard output; `.y4m`, `.yuv` (bare planes), `.mp4`, `.mkv`, `frame_%05d.png` (RGB) are files,
    written under a temporary name and put in place by `close`. All but png are lossless. `codec` is for mp4 and mkv: a
    PyAV encoder with settings, as in `libx264:crf=18`, which then may lose. Raises MediaError.
    """
    end = os.path.splitext(path)[1].lower()
    if codec is not None and end not in (".mp4", ".mkv"):
        raise MediaError(f"an encoder can be chosen for .mp4 and .mkv only, not for {path}")
    match end:
        case _ if path == "-":
            return RawSink(path, format, y4m_header(format), b"FRAME\n")
        case ".y4m":
            return RawSink(path, format, y4m_header(format), b"FRAME\n")
        case ".yuv":
            return RawSink(path, format, b"", b"")
        case ".mp4":
            return ContainerSink(path, format, "mp4", codec)
        case ".mkv":
            return ContainerSink(path, format, "matroska", codec)
        case ".png" if is_pattern(path):
            return PictureSink(path, format)
        case ".png":
            raise MediaError(f"{path} names one picture; write a numbered pattern such as frame_%05d.png")
        case _:
            raise MediaError(f"cannot tell what to write to {path}: use .y4m, .yuv, .mp4, .mkv or a %05d.png pattern")
