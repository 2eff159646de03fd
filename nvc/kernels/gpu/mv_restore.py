"""Device code of mv_restore: a wavefront; one program for each component, a lane for each row of blocks. The other
programs look up overlaps, which wait for nothing.

At step d row i is at column j = d - 2 i: its left, top and top-right neighbours are then done, so a step restores one
anti-diagonal at once, and nothing wider is possible. 2 (bh - 1) + bw steps: 254 at 1080p.
Restored vectors never come back from memory: a row keeps its last one (left), and what the row above made at step
d - 1 is top-right, at d - 2 top, at d - 3 top-left, so one value a step moves from row to row, by `tl.gather`. Up to
128 rows are one warp, where that is a shuffle and needs no barrier. Residuals are fetched four steps early, about the
time a load from L2 takes. A step is some 100 instructions of that warp, more than the latency of what it waits for: of
the order of 16 us at 1080p, on two of 132 multiprocessors.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._overlap import tables_on
from nvc.kernels.gpu._mv import limited, predicted

ROWS_PER_WARP = 128
OVERLAPS = 512  # of a program


@triton.jit
def _inside(j, bw):
    return (j >= 0) & (j < bw)  # one unsigned comparison


@triton.jit
def _residual(at, j, bw, precision):
    """int32, what is added to the predictions of the blocks in columns j, which lies `at`; 0 outside the picture."""
    return tl.load(at, mask=_inside(j, bw), other=0).to(tl.int32) << precision


@triton.jit
def _restore_overlaps(residual_ptr, bytes_ptr, overlap_ptr, first, blocks, OVERLAPS: tl.constexpr):
    block = first + tl.arange(0, OVERLAPS)
    ok = block < blocks
    d = tl.load(residual_ptr + 3 * block.to(tl.int64) + 2, mask=ok, other=0).to(tl.int32)
    rank = tl.minimum(2 * tl.abs(d) - (d < 0).to(tl.int32), 255)
    tl.store(overlap_ptr + block, tl.load(bytes_ptr + rank), mask=ok)


@triton.jit
def _mv_restore(
    residual_ptr,  # int16 [bh, bw, 3]
    precision_ptr,  # int32 [1]
    bytes_ptr,  # uint8 [256]
    out_ptr,  # int16 [bh, bw, 2]
    overlap_ptr,  # uint8 [bh, bw]
    bh,
    bw,
    BLOCK_I: tl.constexpr,  # power of two >= bh
    MV_MAX: tl.constexpr,
    OVERLAPS: tl.constexpr,
):
    tl.assume(bw > 0)
    if tl.program_id(0) >= 2:
        first = (tl.program_id(0) - 2) * OVERLAPS
        _restore_overlaps(residual_ptr, bytes_ptr, overlap_ptr, first, bh * bw, OVERLAPS)
        return
    precision = limited(precision_ptr)
    residual_ptr += tl.program_id(0)
    out_ptr += tl.program_id(0)
    i = tl.arange(0, BLOCK_I)
    above = tl.maximum(i - 1, 0)
    j = tl.where(i < bh, -2 * i, -(2**30))  # the column of row i; never one for a row that is not there
    at = i * bw - 2 * i  # block
    last = tl.zeros((BLOCK_I,), dtype=tl.int32)  # vectors of step d - 1, 0 outside the picture
    top, top_left = last, last
    r0 = _residual(residual_ptr + 3 * at, j, bw, precision)
    r1 = _residual(residual_ptr + 3 * at + 3, j + 1, bw, precision)
    r2 = _residual(residual_ptr + 3 * at + 6, j + 2, bw, precision)
    r3 = _residual(residual_ptr + 3 * at + 9, j + 3, bw, precision)
    for _ in tl.range(0, 2 * (bh - 1) + bw, loop_unroll_factor=4):  # nothing to move from register to register then
        ahead = _residual(residual_ptr + 3 * at + 12, j + 4, bw, precision)
        top_right = tl.gather(last, above, 0)
        corner = tl.where(j + 1 < bw, top_right, tl.where(bw > 1, top_left, top))
        v = tl.minimum(tl.maximum(r0 + predicted(last, top, corner, i), -MV_MAX), MV_MAX)
        tl.store(out_ptr + 2 * at, v.to(tl.int16), mask=_inside(j, bw))
        top_left, top, last = top, top_right, tl.where(_inside(j, bw), v, 0)
        r0, r1, r2, r3 = r1, r2, r3, ahead
        j += 1
        at += 1


def run(residual: Tensor, precision: Tensor, out: Tensor, overlap: Tensor, limit: int) -> None:
    """Operands as in the contract, checked and contiguous; `limit` is the largest magnitude of a component."""
    bh, bw = overlap.shape
    rows = triton.next_power_of_2(bh)
    sizes = {"BLOCK_I": rows, "MV_MAX": limit, "OVERLAPS": OVERLAPS, "num_warps": max(1, rows // ROWS_PER_WARP)}
    grid = (2 + triton.cdiv(bh * bw, OVERLAPS),)
    _mv_restore[grid](residual, precision, tables_on(residual.device)[0], out, overlap, bh, bw, **sizes)
