"""Device code of mv_restore: a wavefront; one program for each component, a lane for each row of blocks.

At step d row i is at column j = d - 2 i: its left, top and top-right neighbours are then done, so a step restores one
anti-diagonal at once, and nothing wider is possible. 2 (bh - 1) + bw steps: 254 at 1080p.
Restored vectors never come back from memory: a row keeps its last one (left), and what the row above made at step
d - 1 is top-right, at d - 2 top, at d - 3 top-left, so one value a step moves from row to row, by `tl.gather`. Up to
128 rows are one warp, where that is a shuffle and needs no barrier. Residuals are fetched four steps early, about the
time a load from L2 takes. A step is some 150 instructions of that warp: of the order of 30 us at 1080p, on two of 132
multiprocessors.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._mv import predicted

ROWS_PER_WARP = 128


@triton.jit
def _residual(residual_ptr, i, d, bh, bw):
    """What row i adds at step d; 0 outside the picture."""
    j = d - 2 * i
    ok = (i < bh) & (j >= 0) & (j < bw)
    return tl.load(residual_ptr + (i.to(tl.int64) * bw + j) * 2, mask=ok, other=0).to(tl.int32)


@triton.jit
def _kernel(
    residual_ptr,  # int16 [bh, bw, 2]
    out_ptr,  # int16 [bh, bw, 2]
    bh,
    bw,
    BLOCK_I: tl.constexpr,  # power of two >= bh
    MV_MAX: tl.constexpr,
):
    residual_ptr += tl.program_id(0)
    out_ptr += tl.program_id(0)
    i = tl.arange(0, BLOCK_I)
    above = tl.maximum(i - 1, 0)
    last = tl.zeros((BLOCK_I,), dtype=tl.int32)  # vectors of step d - 1
    top, top_left = last, last
    r0 = _residual(residual_ptr, i, 0, bh, bw)
    r1 = _residual(residual_ptr, i, 1, bh, bw)
    r2 = _residual(residual_ptr, i, 2, bh, bw)
    r3 = _residual(residual_ptr, i, 3, bh, bw)
    for d in range(2 * (bh - 1) + bw):
        ahead = _residual(residual_ptr, i, d + 4, bh, bw)
        j = d - 2 * i
        top_right = tl.gather(last, above, 0)
        corner = tl.where(j + 1 < bw, top_right, tl.where(j > 0, top_left, top))
        left = tl.where(j > 0, last, 0)
        v = tl.minimum(tl.maximum(r0 + predicted(left, top, corner, i), -MV_MAX), MV_MAX)
        at = out_ptr + (i.to(tl.int64) * bw + j) * 2
        tl.store(at, v.to(tl.int16), mask=(i < bh) & (j >= 0) & (j < bw))
        top_left, top, last = top, top_right, v
        r0, r1, r2, r3 = r1, r2, r3, ahead


def run(residual: Tensor, out: Tensor, limit: int) -> None:
    """Operands as in the contract, checked and contiguous; `limit` is the largest magnitude of a component."""
    bh, bw, _ = residual.shape
    rows = triton.next_power_of_2(bh)
    _kernel[(2,)](residual, out, bh, bw, BLOCK_I=rows, MV_MAX=limit, num_warps=max(1, rows // ROWS_PER_WARP))
