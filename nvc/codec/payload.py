"""The payload of a packet: a two-byte head, the coder's states, its words. docs/FORMAT.md, "Payload"."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nvc.bitstream import DamagedStream
from nvc.codec.bitstring import BitReader, bits_of
from nvc.kernels._motion import COARSEST
from nvc.kernels._tables import MAX_LANES
from nvc.kernels.rans_decode import idle

LOG_LANES_MAX = MAX_LANES.bit_length() - 1
HEAD = 2  # bytes
LOG_STATE = 16  # of the least state; the largest has twice as many bits
# bits that can lie between the head and the words of a payload below 2^24 bytes: the precision, states, a length, and
# differences of lengths, which are below 2^24 when folded, so that quotients with the largest parameter are below 2^9
MOST_BITS = 3 + MAX_LANES * 35 + 5 + 24 + 4 + MAX_LANES // 2 * (2**9 + 15)


def _lengths(words: np.ndarray) -> list[np.ndarray]:
    """Bits of lengths in words: of the first, behind its size; of the differences of the others, each from the one
    before, a Rice code with the parameter that makes them fewest."""
    size = int(words[0]).bit_length()
    parts = [bits_of(np.array([size]), 5), bits_of(words[:1], size)]
    if len(words) > 1:
        d = np.diff(words)
        folded = np.where(d < 0, -2 * d - 1, 2 * d)
        k = min(range(16), key=lambda k: int((folded >> k).sum()) + k * len(folded))
        quotients = folded >> k
        unary = np.ones(int(quotients.sum()) + len(folded), np.uint8)
        unary[np.cumsum(quotients + 1) - 1] = 0
        parts += [bits_of(np.array([k]), 4), unary, bits_of(folded, k)]
    return parts


@dataclass(frozen=True)
class Payload:
    """vector_sets: sets of probability tables for the vertical and horizontal vector differences (0..7 each) and for
    overlaps (0..3)."""

    vector_sets: tuple[int, int, int]
    precision: int  # of the vectors, 0 .. 5: 2^p quarter pixels; 0 in a keyframe
    lanes: int  # a power of two, 1 .. 256
    heads: Tensor  # int64 [3, 256], where the lanes begin: `nvc.kernels.rans_decode`
    words: Tensor  # uint16 [n]

    def pack(self) -> bytes:
        """Head byte 0: log2 of the lanes, size of the first state; head byte 1: the vector sets in three, three and two
        bits."""
        states, first = self.heads[0, : self.lanes].cpu().numpy(), self.heads[1, : self.lanes : 2].cpu().numpy()
        sizes = np.frexp(states)[1] - 1  # of the bits below the first
        precision = np.array([self.precision])
        parts = [bits_of(precision, 3), bits_of(sizes[1:] - LOG_STATE, 4), bits_of(states, sizes)]
        if len(first) > 1:
            parts += _lengths(np.diff(first))
        vertical, horizontal, overlap = self.vector_sets
        log_lanes = self.lanes.bit_length() - 1
        head = bytes([log_lanes | int(sizes[0]) - LOG_STATE << 4, vertical | horizontal << 3 | overlap << 6])
        bits = np.packbits(np.concatenate(parts).astype(np.uint8), bitorder="little")
        return b"".join([head, bits.tobytes(), self.words.cpu().numpy().astype("<u2").tobytes()])

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> "Payload":
        """Raises DamagedStream when the bytes cannot be a payload."""
        data = bytes(data)
        if len(data) < HEAD or data[0] & 15 > LOG_LANES_MAX:
            raise DamagedStream("The payload of a frame has no valid head.")
        lanes, sets = 1 << (data[0] & 15), (data[1] & 7, data[1] >> 3 & 7, data[1] >> 6)
        reader = BitReader(data[HEAD : HEAD + MOST_BITS // 8 + 1])
        precision = reader.number(3)
        if precision > COARSEST:
            raise DamagedStream("The payload of a frame has vectors of unknown precision.")
        sizes = LOG_STATE + np.append(data[0] >> 4, reader.numbers(np.full(lanes - 1, 4)))
        states = reader.numbers(sizes) + (1 << sizes)
        lengths = np.zeros(lanes // 2 - 1 if lanes > 2 else 0, np.int64)  # of each pair but the last
        if lanes > 2:
            lengths[0] = reader.number(reader.number(5))
        if lanes > 4:
            k = reader.number(4)
            folded = (reader.unary(len(lengths) - 1) << k) + reader.numbers(np.full(len(lengths) - 1, k))
            lengths[1:] = lengths[0] + np.cumsum(np.where(folded & 1, -(folded + 1 >> 1), folded >> 1))
        first = np.cumsum(np.append(0, lengths))  # of the first lane of each pair
        at = HEAD + reader.end()
        n_words, odd = divmod(len(data) - at, 2)
        if odd or (lengths < 0).any() or first[-1] > n_words:
            raise DamagedStream("The payload of a frame has an impossible length.")
        heads = idle(n_words)
        heads[0, :lanes] = torch.from_numpy(states)
        heads[1, 0 : max(lanes, 2) : 2] = torch.from_numpy(first)
        heads[1, 1 : lanes - 1 : 2] = torch.from_numpy(first[1:]) - 1
        words = torch.zeros(0, dtype=torch.uint16)
        if n_words:
            words = torch.frombuffer(bytearray(data[at:]), dtype=torch.uint16)
        return cls(sets, precision, lanes, heads, words)
