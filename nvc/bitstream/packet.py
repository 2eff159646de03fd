"""Packets: one coded frame each, with 12 bytes in front. The payload is opaque to this package."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from nvc.bitstream.errors import DamagedStream
from nvc.bitstream.layout import FRAME_TYPE_BITS, MAX_QP, RESET_BIT


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
    """A packet without its payload: `size` is the payload's, `offset` that of the packet in the stream, in bytes."""

    frame: int
    type: FrameType
    reset: bool
    qp: int
    pts: int
    size: int
    offset: int


class Head(NamedTuple):
    """The first eight bytes of a packet as one integer; `delta` is the step in pts, `size` the payload's length."""

    type: FrameType
    reset: bool
    qp: int
    delta: int
    size: int

    def pack(self) -> int:
        flags = self.type | (RESET_BIT if self.reset else 0)
        return flags | self.qp << 8 | self.delta << 16 | self.size << 40

    @classmethod
    def unpack(cls, word: int, frame: int) -> "Head":
        """Raises DamagedStream for a reserved bit or value; `frame` is the packet's number."""
        flags, qp = word & 0xFF, word >> 8 & 0xFF
        kind = flags & FRAME_TYPE_BITS
        if flags & ~(FRAME_TYPE_BITS | RESET_BIT) or kind > FrameType.INTER or qp > MAX_QP:
            raise DamagedStream(f"The packet of frame {frame} is damaged: a reserved value is set.", frame)
        return cls(FrameType(kind), bool(flags & RESET_BIT), qp, word >> 16 & 0xFFFFFF, word >> 40)


def peek_delta(head: bytes) -> int:
    """The step in pts from a packet's first bytes, unchecked."""
    return int.from_bytes(head[2:5], "little")
