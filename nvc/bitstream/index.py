"""The end of a stream: where the keyframes are, and the trailer by which a reader finds that out."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nvc.bitstream.layout import (
    CRC,
    END_MAGIC,
    HEADER,
    INDEX_ENTRY,
    INDEX_HEAD,
    INDEX_MARK,
    MAX_FRAMES,
    MAX_PTS_DELTA,
    TRAILER,
    TRAILER_CRC,
    crc32c,
    tail_size,
)

_ENTRIES = np.dtype([("frame", "<u4"), ("chain", "<u4"), ("pts", "<i8"), ("offset", "<u8")])


class Entry(NamedTuple):
    """A keyframe: its number, the checksum chain before its packet, its pts, its packet's offset in the stream."""

    frame: int
    chain: int
    pts: int
    offset: int


class Index:
    """Entries in file order, kept as the 24 bytes each that they take in the file."""

    def __init__(self, packed: bytes | bytearray = b"") -> None:
        self._packed = bytearray(packed)

    def __len__(self) -> int:
        return len(self._packed) // INDEX_ENTRY.size

    def __getitem__(self, i: int) -> Entry:
        return Entry(*INDEX_ENTRY.unpack_from(self._packed, i * INDEX_ENTRY.size))

    def append(self, entry: Entry) -> None:
        self._packed += INDEX_ENTRY.pack(*entry)

    def find(self, frame: int) -> int:
        """Position of the last entry at or before `frame`; -1 when there is none."""
        return bisect_right(range(len(self)), frame, key=lambda i: self[i].frame) - 1

    def before(self, i: int) -> "Index":
        """A copy of the first `i` entries."""
        return Index(self._packed[: i * INDEX_ENTRY.size])

    def packed(self) -> bytes:
        return bytes(self._packed)


@dataclass(frozen=True)
class Tail:
    """Index and trailer. `offset` is that of the index, `duration` is in ticks, `chain` covers all packets.

    Everything in it follows from the packets, so a reader that has seen them checks a tail by packing its own.
    """

    index: Index
    offset: int
    frame_count: int
    duration: int
    chain: int

    def pack(self) -> bytes:
        index = INDEX_HEAD.pack(INDEX_MARK, len(self.index), self.chain) + self.index.packed()
        trailer = TRAILER.pack(self.offset, self.frame_count, self.duration, 0, 0, END_MAGIC)[:TRAILER_CRC]
        return b"".join(
            (index, CRC.pack(crc32c(index)), trailer, CRC.pack(crc32c(trailer)), END_MAGIC),
        )

    @classmethod
    def unpack(cls, data: bytes, start_pts: int) -> "Tail | None":
        """The tail that `data` is, or None if any byte or value is wrong: it is sound if it packs to the same bytes."""
        if len(data) < tail_size(0):
            return None
        _, _, chain = INDEX_HEAD.unpack_from(data)
        offset, frame_count, duration, _, _, _ = TRAILER.unpack(data[-TRAILER.size :])
        index = Index(data[INDEX_HEAD.size : -CRC.size - TRAILER.size])
        tail = cls(index, offset, frame_count, duration, chain)
        return tail if tail.pack() == data and tail._is_plausible(start_pts) else None

    def _is_plausible(self, start_pts: int) -> bool:
        """Whether a seek to any entry lands inside the packets, whoever computed the checksums."""
        if self.frame_count == 0 or not len(self.index):
            return self.frame_count == len(self.index)
        entries = np.frombuffer(self.index.packed(), _ENTRIES)
        frames, offsets = (entries[name].astype(np.uint64) for name in ("frame", "offset"))
        pts = entries["pts"]
        first, last = self.index[0], self.index[len(self.index) - 1]
        return bool(
            first.frame == 0
            and first.offset == HEADER.size
            and np.all(frames[1:] > frames[:-1])
            and last.frame < self.frame_count <= MAX_FRAMES
            and np.all(offsets[1:] > offsets[:-1])
            and last.offset < self.offset
            and np.all(pts[1:] >= pts[:-1])
            and start_pts <= first.pts
            and last.pts - start_pts <= self.frame_count * MAX_PTS_DELTA
        )
