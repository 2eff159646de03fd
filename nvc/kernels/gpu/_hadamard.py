"""Sums of 8x8 Hadamard transforms, as int8 matrix products.

H is the matrix of two 8x8 transforms, 16x16. Both products sum over pairs, so that nothing exceeds int8 and all 32
values of an operand's row are in use: first samples a and b, less 128, next to each other, with H and -H,

    E = (a - b) H      within [-2040, 2040]

then E = 64 hi + lo, |hi| <= 32 and 0 <= lo < 64, with 64 H and H. Hence the transform is exact.
"""

import triton
import triton.language as tl

from nvc.kernels.gpu._fixed import two_bytes


@triton.jit
def _paired(a, b, M: tl.constexpr):
    """int8 [16 M, 32]: a and b next to each other, both int8 [M, 16, 16], columns 2 t, 2 t + 1, 8 + 2 t, 9 + 2 t next
    to one another: a product leaves these in a thread, and the next begins with them there."""
    both = tl.join(a, b).reshape(M, 16, 2, 4, 2, 2)
    return tl.permute(both, (0, 1, 3, 2, 4, 5)).reshape(16 * M, 32)


@triton.jit
def _pairs(EVEN: tl.constexpr, ODD: tl.constexpr):
    """int8 [32, 16]: two rows for each row of H, in the order of `_paired`, EVEN and ODD times it."""
    v, k = tl.arange(0, 16)[:, None], tl.arange(0, 32)[None, :]  # transposed, so that a column is contiguous
    row = 8 * ((k >> 2) & 1) + 2 * (k >> 3) + ((k >> 1) & 1)
    bits = row & v & 7
    sign = 1 - 2 * ((0x96 >> bits) & 1)  # bit n of 0x96: whether the number of bits of n is odd
    value = tl.where((row >> 3) == (v >> 3), sign, 0) * tl.where((k & 1) == 0, EVEN, ODD)
    return tl.trans(value.to(tl.int8))


@triton.jit
def _split(v):
    """(high, low), int8, such that v = 64 high + low and 0 <= low < 64, of int32 -8192 .. 8191: four in seven
    instructions."""
    return two_bytes(
        v,
        "{ .reg .b32 a, b, c; prmt.b32 a, $2, $3, 0x5410; prmt.b32 b, $4, $5, 0x5410; prmt.b32 c, a, b, 0x6420; "
        "and.b32 $1, c, 0x3f3f3f3f; shr.u32 a, a, 6; shr.u32 b, b, 6; prmt.b32 $0, a, b, 0x6420; }",
    )


@triton.jit
def _transforms(a, b, M: tl.constexpr):
    """int32 [16 M, 16]: magnitudes of the four 8x8 transforms of a - b, both int32 [M, 16, 16] in -128 .. 127; rows for
    the second dimension of these, columns for the first."""
    half = tl.dot(_paired(a.to(tl.int8), b.to(tl.int8), M), _pairs(1, -1), out_dtype=tl.int32).reshape(M, 16, 16)
    high, low = _split(tl.permute(half, (0, 2, 1)))
    return tl.abs(tl.dot(_paired(high, low, M), _pairs(64, 1), out_dtype=tl.int32))


@triton.jit
def satd(a, b, M: tl.constexpr):
    """int32 [M]: sums of the magnitudes of the four 8x8 transforms of a - b, both int32 [M, 16, 16] in -128 .. 127."""
    return tl.sum(_transforms(a, b, M).reshape(M, 256), axis=1)


@triton.jit
def quarter_satd(a, b, M: tl.constexpr):
    """int32 [M, 2, 2]: the same of each transform, by the halves of the second and of the first dimension."""
    parts = tl.permute(_transforms(a, b, M).reshape(M, 2, 8, 2, 8), (0, 1, 3, 2, 4))
    return tl.sum(parts.reshape(M, 2, 2, 64), axis=3)  # at once, which all threads of a warp add in one instruction
