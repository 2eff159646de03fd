"""Motion vector components on the device: their prediction, as in docs/NUMERICS.md, and the size of differences."""

import triton
import triton.language as tl

from nvc.kernels import _motion

COARSEST = tl.constexpr(_motion.COARSEST)


@triton.jit
def predicted(left, top, corner, i):
    """left in the first row of blocks (i = 0), else the median of the three; all int32."""
    median = tl.maximum(tl.minimum(left, top), tl.minimum(tl.maximum(left, top), corner))
    return tl.where(i == 0, left, median)


@triton.jit
def limited(precision_ptr):
    """The precision p that a frame's number means: vectors in 2^p quarter pixels."""
    return tl.minimum(tl.maximum(tl.load(precision_ptr), 0), COARSEST)


@triton.jit
def bit_length(v):
    """Number of bits of |v| < 2^16; v int32."""
    v = tl.abs(v)
    bits = tl.zeros_like(v)
    for step in tl.static_range(3, -1, -1):
        more = (v >= 1 << (1 << step)).to(tl.int32) << step
        bits += more
        v >>= more
    return bits + v  # 0 or 1 is left
