"""Integer arithmetic of the cpu twins; each helper is inlined into the loop that calls it. References never use it.

Numba widens int32 sums to int64, so every step is cast back: LLVM then keeps 32-bit lanes.
"""

import numpy as np
from numba import njit

compiled = njit(nogil=True, cache=True, error_model="numpy")  # decorator of every cpu loop
_inlined = njit(nogil=True, error_model="numpy")


@_inlined
def requant(acc, bias, mult):
    """((acc + bias) * mult + 2^32) >> 33 as int32, for |acc + bias| < 2^31 and 0 <= mult < 2^31.

    Only the high words are touched: floor((p + 2^32) / 2^33) = floor((floor(p / 2^32) + 1) / 2).
    """
    high = np.int32((np.int64(np.int32(acc + bias)) * np.int64(mult)) >> np.int64(32))
    return np.int32(np.int32(high + np.int32(1)) >> np.int32(1))


@_inlined
def clamp(v, lo, hi):
    """v limited to lo .. hi, all int32."""
    return min(max(np.int32(v), np.int32(lo)), np.int32(hi))


@_inlined
def clamp16(v):
    return np.int16(min(max(np.int32(v), np.int32(-32768)), np.int32(32767)))


@_inlined
def clamp8(v):
    return np.int8(min(max(np.int32(v), np.int32(-128)), np.int32(127)))


@_inlined
def store_u8(v):
    """A ReLU result in its stored form: clamp(v, 0, 255) - 128."""
    return np.int8(min(max(np.int32(v), np.int32(0)), np.int32(255)) - np.int32(128))


@_inlined
def view(x):
    """The 8-bit view of an s16: clamp((x + 4) >> 3, -128, 127)."""
    return clamp8(np.int32(np.int32(x) + np.int32(4)) >> np.int32(3))


@_inlined
def low_half(x):
    """The signed low byte of an int16: x = 256 * high_half(x) + low_half(x)."""
    return np.int8(np.int16(x))


@_inlined
def high_half(x):
    """The matching high byte; fits int8 for x <= 32639."""
    return np.int8(np.int32(np.int32(x) - np.int32(np.int8(np.int16(x)))) >> np.int32(8))
