"""Packets: one coded frame each, with 6 to 13 bytes in front. The payload is opaque to this package."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from nvc.bitstream import leb128
from nvc.bitstream.errors import DamagedStream
from nvc.bitstream.layout import CRC, FRAME_TYPE_BITS, LONG_HEAD, MAX_QP, QP_BITS, RESET_BIT, SHORT_BIT, SHORT_HEAD


class FrameType(IntEnum):
    """How a frame depends on others."""

    KEY = 0  # decodes without any other frame
    INTER = 1


@dataclass(frozen=True, slots=True)
class Packet:
    """One coded frame. `pts` is in ticks of the stream's time base, `qp` in 0..63 (else ValueError).

    `reset`: the decoder's memory is rebuilt from the previous picture before this frame.
    """

    type: FrameType
    qp: int
    pts: int
    payload: bytes | memoryview
    reset: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.qp <= MAX_QP:
            raise ValueError(f"qp is {self.qp}, outside 0..{MAX_QP}")


class PacketInfo(NamedTuple):
    """A packet without its payload, in bytes: `size` is the payload's, the packet takes `offset` .. `end` - 1."""

    frame: int
    type: FrameType
    reset: bool
    qp: int
    pts: int
    size: int
    offset: int
    end: int


class Head(NamedTuple):
    """What is in front of a payload; `delta` is the step in pts, `size` the payload's length.

    An inter frame whose step is that of the frame before, and which resets nothing, has a short head.
    """

    type: FrameType
    reset: bool
    qp: int
    delta: int
    size: int

    def pack(self, before: int) -> bytes:
        """All but the CRC; `before` is the step of the frame before."""
        if self.type == FrameType.INTER and not self.reset and self.delta == before:
            start = bytes([self.qp | SHORT_BIT])
        else:
            flags = self.type | (RESET_BIT if self.reset else 0)
            start = bytes([self.qp, flags]) + self.delta.to_bytes(3, "little")
        return start + leb128.pack(self.size)

    @classmethod
    def unpack(cls, data: bytes, before: int, frame: int) -> "Head":
        """From all but the CRC, as long as `head_size` says. Raises DamagedStream; `frame` is the packet's number."""
        qp, short = data[0] & QP_BITS, data[0] & SHORT_BIT
        flags, delta = (FrameType.INTER, before) if short else (data[1], peek_delta(data))
        kind = flags & FRAME_TYPE_BITS
        if data[0] & ~(QP_BITS | SHORT_BIT) or flags & ~(FRAME_TYPE_BITS | RESET_BIT) or kind > FrameType.INTER:
            raise DamagedStream(f"The packet of frame {frame} is damaged: a reserved value is set.", frame)
        try:
            size, _ = leb128.unpack(data, SHORT_HEAD if short else LONG_HEAD)
        except ValueError:
            raise DamagedStream(f"The packet of frame {frame} is damaged: its length is none.", frame) from None
        return cls(FrameType(kind), bool(flags & RESET_BIT), qp, delta, size)


def head_size(data: bytes) -> int:
    """Bytes in front of the payload, the CRC included, as far as these first bytes of a packet tell: of a whole head
    its size, of less than that a number of bytes that it has at least."""
    start = SHORT_HEAD if data and data[0] & SHORT_BIT else LONG_HEAD
    length = 1
    while length < leb128.MAX_BYTES and data[start + length - 1 : start + length] > b"\x7f":
        length += 1
    return start + length + CRC.size


def peek_delta(head: bytes) -> int:
    """The step in pts from the first bytes of a packet that has no short head, unchecked."""
    return int.from_bytes(head[2:5], "little")
