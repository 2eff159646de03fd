"""Numbers as strings of bits, the lowest bit of a byte and of a number first."""

import numpy as np

from nvc.bitstream import DamagedStream

_PLACES = np.arange(32)


def bits_of(values: np.ndarray, widths: np.ndarray | int) -> np.ndarray:
    """Bits, 0 or 1: of int64 [n] values their `widths` lowest (0 .. 32, one number or [n]), one value after another."""
    return (values[:, None] >> _PLACES & 1)[np.broadcast_to(widths, values.shape)[:, None] > _PLACES]


class BitReader:
    """Takes numbers from bytes. Raises DamagedStream where they run out."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        self._at = 0

    def _take(self, n: int) -> np.ndarray:
        if self._at + n > len(self._bits):
            raise DamagedStream("The payload of a frame ends before its states and lengths.")
        self._at += n
        return self._bits[self._at - n : self._at]

    def numbers(self, widths: np.ndarray) -> np.ndarray:
        """int64, one for each of int64 `widths` (0 .. 32): the inverse of `bits_of`."""
        bits = np.zeros((len(widths), 32), np.int64)
        bits[widths[:, None] > _PLACES] = self._take(int(widths.sum()))
        return (bits << _PLACES).sum(1)

    def number(self, width: int) -> int:
        """One of so many bits."""
        return int(self.numbers(np.array([width]))[0])

    def unary(self, n: int) -> np.ndarray:
        """int64, n >= 1 numbers of as many ones, with a zero behind each."""
        stops = np.flatnonzero(self._bits[self._at :] == 0)[:n]
        self._take(int(stops[-1]) + 1 if len(stops) == n else len(self._bits) + 1)
        return np.diff(stops, prepend=-1) - 1

    def end(self) -> int:
        """The number of bytes begun, whose other bits must be 0."""
        if self._take(-self._at % 8).any():
            raise DamagedStream("The payload of a frame has bits that mean nothing.")
        return self._at // 8
