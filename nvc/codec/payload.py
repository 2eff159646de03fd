"""The payload of a packet: a two-byte head, the coder's states, its words. docs/FORMAT.md, "Payload"."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from nvc.bitstream import DamagedStream, leb128
from nvc.kernels._tables import MAX_LANES
from nvc.kernels.rans_decode import idle

LOG_LANES_MAX = MAX_LANES.bit_length() - 1
HEAD = 2  # bytes
FEW_LANES = 4  # whose states' sizes fit the first byte


def _signed(value: int) -> int:
    """The number that FORMAT.md writes as this one: 0, -1, 1, -2, .. as 0, 1, 2, 3, .."""
    return -(value + 1 >> 1) if value & 1 else value >> 1


def _states(data: bytes, lanes: int) -> tuple[np.ndarray, int]:
    """The states, int64 [lanes], and where they end. Raises DamagedStream."""
    at = HEAD if lanes <= FEW_LANES else HEAD + lanes // 8
    sizes = np.frombuffer(bytes([data[0] >> 4]) if lanes <= FEW_LANES else data[HEAD:at], np.uint8)
    flags = np.unpackbits(sizes, bitorder="little").astype(bool)
    used = np.ones((lanes, 4), bool)
    end = at + 3 * lanes + int(flags.sum())
    if len(flags) < lanes or flags[lanes:].any() or len(data) < end or (lanes > FEW_LANES and data[0] >> 4):
        raise DamagedStream("The payload of a frame has no valid states.")
    used[:, 3] = flags[:lanes]
    octets = np.zeros((lanes, 4), np.uint8)
    octets[used] = np.frombuffer(data[at:end], np.uint8)
    if not np.array_equal(octets[:, 3] > 0, used[:, 3]):
        raise DamagedStream("The payload of a frame has a state with a byte too many.")
    return octets.view("<u4")[:, 0].astype(np.int64), end


@dataclass(frozen=True)
class Payload:
    """vector_sets: sets of probability tables for the vertical and horizontal vector differences (0..7 each) and for
    overlaps (0..3)."""

    vector_sets: tuple[int, int, int]
    lanes: int  # a power of two, 1 .. 256
    heads: Tensor  # int64 [3, 256], where the lanes begin: `nvc.kernels.rans_decode`
    words: Tensor  # uint16 [n]

    def pack(self) -> bytes:
        """Head byte 0: log2 of the lanes; head byte 1: the vector sets in three, three and two bits."""
        states, first = self.heads[0, : self.lanes], self.heads[1, : self.lanes : 2].tolist()
        octets = states.cpu().numpy().astype("<u4").view(np.uint8).reshape(-1, 4)
        used = np.ones(octets.shape, bool)
        used[:, 3] = octets[:, 3] > 0
        sizes = np.packbits(used[:, 3], bitorder="little")
        log_lanes = self.lanes.bit_length() - 1
        vertical, horizontal, overlap = self.vector_sets
        head = bytes([log_lanes, vertical | horizontal << 3 | overlap << 6]) + sizes.tobytes()
        if self.lanes <= FEW_LANES:
            head = bytes([head[0] | int(sizes[0]) << 4, head[1]])
        lengths = [0, *(end - begin for begin, end in pairwise(first))]
        differences = [b - a for a, b in pairwise(lengths)]
        packed = b"".join(leb128.pack(2 * d if d >= 0 else -2 * d - 1) for d in differences)
        words = self.words.cpu().numpy().astype("<u2")
        return b"".join([head, octets[used].tobytes(), packed, words.tobytes()])

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> "Payload":
        """Raises DamagedStream when the bytes cannot be a payload."""
        data = bytes(data)
        if len(data) < HEAD or data[0] & 15 > LOG_LANES_MAX:
            raise DamagedStream("The payload of a frame has no valid head.")
        lanes, sets = 1 << (data[0] & 15), (data[1] & 7, data[1] >> 3 & 7, data[1] >> 6)
        states, at = _states(data, lanes)
        length, first = 0, [0]  # of the first lane of each pair
        for _ in range(1, lanes // 2):
            try:
                value, at = leb128.unpack(data, at)
            except ValueError:
                raise DamagedStream("The payload of a frame has no valid lengths.") from None
            length += _signed(value)
            first.append(first[-1] + length)
        n_words, odd = divmod(len(data) - at, 2)
        if n_words < 0 or odd or sorted(first) != first or first[-1] > n_words:
            raise DamagedStream("The payload of a frame has an impossible length.")
        heads = idle(n_words)
        heads[0, :lanes] = torch.from_numpy(states)
        heads[1, 0 : max(lanes, 2) : 2] = torch.tensor(first)
        heads[1, 1 : lanes - 1 : 2] = torch.tensor(first[1:]) - 1
        words = torch.zeros(0, dtype=torch.uint16)
        if n_words:
            words = torch.frombuffer(bytearray(data[at:]), dtype=torch.uint16)
        return cls(sets, lanes, heads, words)
