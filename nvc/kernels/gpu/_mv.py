"""The prediction of a motion vector component on the device; the rule is in docs/NUMERICS.md."""

import triton
import triton.language as tl


@triton.jit
def predicted(left, top, corner, i):
    """left in the first row of blocks (i = 0), else the median of the three; all int32."""
    median = tl.maximum(tl.minimum(left, top), tl.minimum(tl.maximum(left, top), corner))
    return tl.where(i == 0, left, median)
