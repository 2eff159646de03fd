"""The payload of a packet: a two-byte head, the coder's states, its words. docs/FORMAT.md, "Payload"."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nvc.bitstream import DamagedStream
from nvc.kernels._tables import MAX_LANES, TOTAL, VECTOR_SETS

LOG_LANES_MAX = MAX_LANES.bit_length() - 1


@dataclass(frozen=True)
class Payload:
    """vector_sets: sets of probability tables for the vertical and horizontal vector differences (0..7 each)."""

    vector_sets: tuple[int, int]
    lanes: int  # a power of two, 1 .. 256
    states: Tensor  # int64 [256], 32-bit values; 2^16 from `lanes` on
    words: Tensor  # uint16 [n]

    def pack(self) -> bytes:
        """Head byte 0: log2 of the lanes; head byte 1: the two vector sets, four bits each."""
        log_lanes = self.lanes.bit_length() - 1
        head = bytes([log_lanes, self.vector_sets[0] | self.vector_sets[1] << 4])
        parts = self.states[: self.lanes].cpu().numpy().astype("<u4"), self.words.cpu().numpy().astype("<u2")
        return head + b"".join(part.tobytes() for part in parts)

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> "Payload":
        """Raises DamagedStream when the bytes cannot be a payload."""
        data = bytes(data)
        if len(data) < 2 or data[0] > LOG_LANES_MAX:
            raise DamagedStream("The payload of a frame has no valid head.")
        end, sets = 2 + (4 << data[0]), (data[1] & 15, data[1] >> 4)
        if len(data) < end or (len(data) - end) & 1 or max(sets) >= VECTOR_SETS:
            raise DamagedStream("The payload of a frame has an impossible length or head.")
        states = torch.full((MAX_LANES,), TOTAL)
        states[: 1 << data[0]] = torch.frombuffer(bytearray(data[2:end]), dtype=torch.int32).long() & 0xFFFFFFFF
        words = torch.zeros(0, dtype=torch.uint16)
        if len(data) > end:
            words = torch.frombuffer(bytearray(data[end:]), dtype=torch.uint16)
        return cls(sets, 1 << data[0], states, words)
