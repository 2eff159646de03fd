"""Device code of mv_residual: one program has BLOCK blocks of one row of blocks.

All is at hand, nothing waits: neighbours are three more loads from L1. 1080p is one program for each of 68 rows.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._overlap import tables_on
from nvc.kernels.gpu._mv import limited, predicted

TILE = {"BLOCK": 128, "num_warps": 4}


@triton.jit
def _mv_residual(
    mv_ptr,  # int16 [bh, bw, 2]
    overlap_ptr,  # uint8 [bh, bw]
    precision_ptr,  # int32 [1]
    ranks_ptr,  # uint8 [256]
    out_ptr,  # int16 [bh, bw, 3]
    bw,
    BLOCK: tl.constexpr,
):
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = j < bw
    block = i.to(tl.int64) * bw + j
    above = ok & (i > 0)
    # the last column takes top-left for top-right, a single column top
    beside = tl.where(j + 1 < bw, 1, tl.where(j > 0, -1, 0))
    for k in tl.static_range(2):
        at = mv_ptr + 2 * block + k
        mv = tl.load(at, mask=ok, other=0).to(tl.int32)
        left = tl.load(at - 2, mask=ok & (j > 0), other=0).to(tl.int32)
        top = tl.load(at - 2 * bw, mask=above, other=0).to(tl.int32)
        corner = tl.load(at - 2 * bw + 2 * beside, mask=above, other=0).to(tl.int32)
        difference = (mv - predicted(left, top, corner, i)) >> limited(precision_ptr)
        tl.store(out_ptr + 3 * block + k, difference.to(tl.int16), mask=ok)
    overlap = tl.load(overlap_ptr + block, mask=ok, other=0)
    rank = tl.load(ranks_ptr + overlap.to(tl.int32)).to(tl.int32)
    coded = tl.where(rank & 1 == 1, -((rank + 1) >> 1), rank >> 1)
    tl.store(out_ptr + 3 * block + 2, coded.to(tl.int16), mask=ok)


def run(mv: Tensor, overlap: Tensor, precision: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    bh, bw = overlap.shape
    grid = (triton.cdiv(bw, TILE["BLOCK"]), bh)
    _mv_residual[grid](mv, overlap, precision, tables_on(mv.device)[1], out, bw, **TILE)
