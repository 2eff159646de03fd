"""Sums of 8x8 Hadamard transforms, as int8 matrix products.

H is the matrix of two 8x8 transforms, 16x16. Both products sum over pairs, so that nothing exceeds int8 and all 32
values of an operand's row are in use: first samples a and b, less 128, next to each other, with H and -H,

    E = (a - b) H      within [-2040, 2040]

then E = 64 hi + lo, |hi| <= 32 and 0 <= lo < 64, with 64 H and H. Hence the transform is exact.
"""

import triton
import triton.language as tl


@triton.jit
def _pairs(M: tl.constexpr, EVEN: tl.constexpr, ODD: tl.constexpr):
    """int8 [M, 32, 16]: rows 2 k and 2 k + 1 are EVEN and ODD times row k of H."""
    k, v = tl.arange(0, 32)[None, :, None], tl.arange(0, 16)[None, None, :]
    bits = (k >> 1) & v & 7
    sign = 1 - 2 * ((0x96 >> bits) & 1)  # bit n of 0x96: whether the number of bits of n is odd
    value = tl.where((k >> 4) == (v >> 3), sign, 0) * tl.where((k & 1) == 0, EVEN, ODD)
    return tl.broadcast_to(value, (M, 32, 16)).to(tl.int8)


@triton.jit
def satd(a, b, M: tl.constexpr):
    """int32 [M]: sums of the magnitudes of the four 8x8 transforms of a - b, both int32 [M, 16, 16] of samples."""
    both = tl.join((a - 128).to(tl.int8), (b - 128).to(tl.int8)).reshape(M, 16, 32)
    half = tl.permute(tl.dot(both, _pairs(M, 1, -1), out_dtype=tl.int32), (0, 2, 1))
    both = tl.join((half >> 6).to(tl.int8), (half & 63).to(tl.int8)).reshape(M, 16, 32)
    return tl.sum(tl.sum(tl.abs(tl.dot(both, _pairs(M, 64, 1), out_dtype=tl.int32)), axis=2), axis=1)
