"""Device code of mv_residual: one program has BLOCK components of one row of blocks, two components a block.

All is at hand, nothing waits: neighbours are three more loads from L1. 1080p is one program of 256 for each of 68 rows.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._mv import predicted

TILE = {"BLOCK": 256, "num_warps": 4}


@triton.jit
def _mv_residual(
    mv_ptr,  # int16 [bh, 2 bw]
    out_ptr,  # int16 [bh, 2 bw]
    width,  # 2 bw
    BLOCK: tl.constexpr,
):
    i = tl.program_id(1)
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = e < width
    at = i.to(tl.int64) * width + e
    above = ok & (i > 0)
    # the last column takes top-left for top-right, a single column top
    beside = tl.where(e + 2 < width, 2, tl.where(e >= 2, -2, 0))

    mv = tl.load(mv_ptr + at, mask=ok, other=0).to(tl.int32)
    left = tl.load(mv_ptr + at - 2, mask=ok & (e >= 2), other=0).to(tl.int32)
    top = tl.load(mv_ptr + at - width, mask=above, other=0).to(tl.int32)
    corner = tl.load(mv_ptr + at - width + beside, mask=above, other=0).to(tl.int32)
    tl.store(out_ptr + at, (mv - predicted(left, top, corner, i)).to(tl.int16), mask=ok)


def run(mv: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    bh, bw, _ = mv.shape
    grid = (triton.cdiv(2 * bw, TILE["BLOCK"]), bh)
    _mv_residual[grid](mv, out, 2 * bw, **TILE)
