"""Stands in for the package `google-crc32c` where it is not installed, so that streams can be read and written."""

import numba
import numpy as np

POLYNOMIAL = 0x82F63B78  # of Castagnoli, reflected


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


_TABLE = _table()


@numba.njit
def _extend(crc: int, data: np.ndarray, table: np.ndarray) -> int:
    for byte in data:
        crc = (crc >> np.uint32(8)) ^ table[(crc ^ byte) & np.uint32(255)]
    return crc


def extend(crc: int, data: bytes) -> int:
    """CRC-32C of what `crc` is the checksum of, followed by `data`."""
    flipped = _extend(np.uint32(crc ^ 0xFFFFFFFF), np.frombuffer(data, np.uint8), _TABLE)
    return int(flipped) ^ 0xFFFFFFFF
