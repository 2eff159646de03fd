"""The `.nvc` container: header, checked packets, index. Knows nothing of what a payload means; docs/FORMAT.md."""

from nvc.bitstream.errors import BitstreamError, DamagedStream, LimitExceeded, NotNvc, UnsupportedStream
from nvc.bitstream.header import ChromaFormat, Preset, StreamHeader
from nvc.bitstream.limits import Limits
from nvc.bitstream.packet import FrameType, Packet, PacketInfo
from nvc.bitstream.reader import Reader
from nvc.bitstream.writer import Writer

__all__ = [
    "BitstreamError",
    "ChromaFormat",
    "DamagedStream",
    "FrameType",
    "LimitExceeded",
    "Limits",
    "NotNvc",
    "Packet",
    "PacketInfo",
    "Preset",
    "Reader",
    "StreamHeader",
    "UnsupportedStream",
    "Writer",
]
