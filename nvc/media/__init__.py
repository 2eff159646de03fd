"""Real video in and out: 8-bit 4:2:0 planes with exact timing and colour."""

from nvc.media.atomic import AtomicOutput, atomic_output
from nvc.media.errors import MediaError
from nvc.media.frame import Planes, VideoFormat
from nvc.media.reading import open_source
from nvc.media.sink import Sink
from nvc.media.source import Source
from nvc.media.writing import open_sink

__all__ = [
    "AtomicOutput",
    "MediaError",
    "Planes",
    "Sink",
    "Source",
    "VideoFormat",
    "atomic_output",
    "open_sink",
    "open_source",
]
