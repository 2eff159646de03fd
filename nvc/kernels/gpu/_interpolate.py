"""Sub-pel interpolation of the motion kernels, as int8 matrix products.

For a batch of blocks, P the 32x32 samples from the first one that a tap reads, less 128:

    T = Fx P'             Fx[x, k] = tap k - x of the horizontal phase       [n, 32] times [32, 32]
    value' = T Fy'        Fy[y, k] = tap k - y of the vertical phase         [n, 32] times [32, m]

Transposed, every operand has the dimension that is summed over contiguous: no bytes to shuffle. Samples that no tap
reads meet zeros of Fx and Fy. Bounds: taps are in [-11, 64], which fits int8. A row of them sums to 64, so T is one
pass over 8-bit samples less 8192: within [-14312, 14248] (luma; chroma is narrower: `_motion`). As T = 256 hi + lo with
int8 halves, |hi| <= 56, and the sum of both passes is the exact one less 64 * 8192 = 2^19.
"""

import triton
import triton.language as tl

from nvc.kernels._motion import CHROMA, LUMA


def _words(rows) -> tl.constexpr:
    """Four taps in each int32, least significant byte first; one word of each row."""
    return tl.constexpr(tuple(int.from_bytes(bytes(int(t) & 255 for t in row), "little", signed=True) for row in rows))


LUMA_LOW, LUMA_HIGH = _words(LUMA[:, :4]), _words(LUMA[:, 4:])
CHROMA_LOW = _words(CHROMA)


@triton.jit
def _tap(low, high, k):
    """Byte k of low (0..3) and high (4..7), 0 where there is none: int8."""
    word = tl.where(k < 4, low, high) >> (8 * (k & 3))
    return tl.where((k >= 0) & (k < 8), word, 0).to(tl.int8)


@triton.jit
def luma_tap(vector, k):
    """Tap k of the phase of a vector in quarter samples, 0 unless 0 <= k < 8: int8, broadcast."""
    phase = vector & 3
    low, high = tl.zeros_like(phase), tl.zeros_like(phase)
    for p in tl.static_range(4):
        low = tl.where(phase == p, LUMA_LOW[p], low)
        high = tl.where(phase == p, LUMA_HIGH[p], high)
    return _tap(low, high, k)


@triton.jit
def chroma_tap(vector, k):
    """Tap k of the phase of a vector in eighths of a sample, 0 unless 0 <= k < 4: int8, broadcast."""
    phase = vector & 7
    low = tl.zeros_like(phase)
    for p in tl.static_range(8):
        low = tl.where(phase == p, CHROMA_LOW[p], low)
    return _tap(low, tl.zeros_like(phase), k)


@triton.jit
def clamped(v, size):
    """Coordinates v limited to 0 .. size - 1."""
    return tl.minimum(tl.maximum(v, 0), size - 1)


@triton.jit
def _at(row, column, H, W):
    """Offset of coordinates clamped to a plane of less than 2^32 samples."""
    return (clamped(row, H) * W + clamped(column, W)).to(tl.uint32).to(tl.int64)


@triton.jit
def pixels(plane_ptr, row, column, H, W):
    """int32: uint8 [H, W] plane at int32 coordinates, whatever they are: they are clamped to it."""
    return tl.load(plane_ptr + _at(row, column, H, W)).to(tl.int32)


@triton.jit
def samples(plane_ptr, row, column, mask, H, W):
    """The same less 128, int8; arbitrary where masked."""
    return (tl.load(plane_ptr + _at(row, column, H, W), mask=mask, other=0) ^ 128).to(tl.int8, bitcast=True)


@triton.jit
def interpolated(patch, across, down):
    """Predicted samples 0..255, int32 [B, n, m] (columns first), of int8 [B, 32, 32]: Fx [B, n, 32], Fy [B, m, 32]."""
    half = tl.dot(across, tl.permute(patch, (0, 2, 1)), out_dtype=tl.int32)  # [B, n, 32]
    low = half.to(tl.int8)
    high = ((half - low.to(tl.int32)) >> 8).to(tl.int8)
    down = tl.permute(down, (0, 2, 1))
    total = tl.dot(high, down, out_dtype=tl.int32) * 256 + tl.dot(low, down, out_dtype=tl.int32)
    return tl.minimum(tl.maximum((total + (2**19 + 2**11)) >> 12, 0), 255)
