"""Device code of motion_search, pass 5. A colour of blocks reads the vectors of the others: one launch each.

Tile: a block, in few warps, as what is done once for it is repeated by every warp. Its candidates are a batch of eight
products, and so are their transforms.
"""

import triton
import triton.language as tl

from nvc.kernels._overlap import BLENDED
from nvc.kernels.gpu._hadamard import quarter_satd, satd
from nvc.kernels.gpu._motion import dependent_lengths, limited, predicted, reach, store_vector, vector
from nvc.kernels.gpu._motion_precision import chosen
from nvc.kernels.gpu._motion_refine import AROUND, HERE, packed
from nvc.kernels.gpu._overlap import luma_share, moved_luma
from nvc.kernels.gpu._plane import pixels

SETTLE_TILE = {"num_warps": 2}  # a thread for each of eight lengths of eight candidates (`dependent_lengths`)
# of the eight when vectors settle: whose vector, in the first and in the second round, and what is added in the second
FIRST_ROWS, FIRST_COLUMNS = packed([HERE] * 3 + AROUND[:4] + [HERE])
SECOND_ROWS, SECOND_COLUMNS = packed([HERE] * 2 + AROUND[2:4] + [HERE] * 4)
DOWN, RIGHT = packed([HERE] * 4 + AROUND[:4])
_BLENDED = tl.constexpr(BLENDED)


@triton.jit
def _offers(mv_ptr, i, j, ok, precision, H, W, FIRST: tl.constexpr):
    """The eight candidates (dy, dx) [1, 8] of `settle` for block j [1, 1], its own first."""
    m = tl.arange(0, 8)[None, :]
    py, px = predicted(mv_ptr, i, j, ok, W >> 4)
    ni = i + (((FIRST_ROWS if FIRST else SECOND_ROWS) >> (2 * m)) & 3) - 1
    nj = j + (((FIRST_COLUMNS if FIRST else SECOND_COLUMNS) >> (2 * m)) & 3) - 1
    there = (ni >= 0) & (ni < (H >> 4)) & (nj >= 0) & (nj < (W >> 4))
    if FIRST:
        there = there & (m != 1)
    dy, dx = vector(mv_ptr, ni, nj, ok & there, W >> 4)
    if not FIRST:
        dy += (((DOWN >> (2 * m)) & 3) - 1) << precision
        dx += (((RIGHT >> (2 * m)) & 3) - 1) << precision
    foreseen = m == (2 if FIRST else 1)
    return reach(tl.where(foreseen, py, dy), i, H), reach(tl.where(foreseen, px, dx), j, W)


@triton.jit
def _surroundings(ref_ptr, taps_ptr, shares_ptr, mv_ptr, i, j, ok, x, y, H, W):
    """Block j [1, 1] as the vectors of its four neighbours predict it, times their weights if it blends, and the sum of
    these: int32 [1, 16, 16] at columns x and rows y of the block."""
    side = tl.arange(0, 4)[:, None]
    ni = i + tl.where(side < 2, 2 * side - 1, 0)
    nj = j + tl.where(side < 2, 0, 2 * side - 5)
    there = ok & (ni >= 0) & (ni < (H >> 4)) & (nj >= 0) & (nj < (W >> 4))
    vy, vx = vector(mv_ptr, ni, nj, there, W >> 4)
    predictions = moved_luma(ref_ptr, taps_ptr, i, j, vy, vx, H, W)
    weights = tl.where(there[:, :, None], luma_share(shares_ptr, side[:, :, None], _BLENDED, x, y), 0)
    return tl.sum(weights * predictions, axis=0)[None, :, :], tl.sum(weights, axis=0)[None, :, :]


@triton.jit
def _adopted(fields_ptr, worth_ptr, precision_ptr, out_ptr, i, j, H, W, ROWS: tl.constexpr):
    """The field that is chosen and its precision, which goes to its place as the blocks to the right of block j [1, 1],
    below and below to the right go to `out`."""
    precision = chosen(worth_ptr, H >> 4, ROWS)
    tl.store(precision_ptr, precision, mask=tl.program_id(0) + tl.program_id(1) == 0)
    mv_ptr = fields_ptr + precision * (2 * (H >> 4) * (W >> 4))
    n = tl.arange(0, 4)[None, :]
    i, j = i + (n >> 1), j + (n & 1)
    there = (n > 0) & (i < (H >> 4)) & (j < (W >> 4))
    dy, dx = vector(mv_ptr, i, j, there, W >> 4)
    store_vector(out_ptr, i, j, there, W >> 4, dy, dx)
    return mv_ptr, precision


@triton.jit(do_not_specialize=["row", "column"])
def settle(
    # inputs
    cur_ptr,
    ref_ptr,
    rate_ptr,
    fields_ptr,  # int16 [6, H / 16, W / 16, 2]
    worth_ptr,  # int64 [6, H / 16]
    taps_ptr,
    shares_ptr,
    # outputs, where not ADOPT both
    out_ptr,  # int16 [H / 16, W / 16, 2]
    precision_ptr,  # int32 [1]
    # sizes
    row,
    column,
    H,
    W,
    # variant
    FIRST: tl.constexpr,
    ADOPT: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Blocks of one colour, those in rows of parity `row` and columns of parity `column`, in place: nothing that one of
    them reads is written by another. ADOPT: from the field that is chosen, the other colours too, which stay what they
    are; then `row` and `column` are 0."""
    i, j = 2 * tl.program_id(1) + row, 2 * tl.program_id(0) + column + tl.zeros((1, 1), tl.int32)
    ok = (i < (H >> 4)) & (j < (W >> 4))
    if ADOPT:
        mv_ptr, precision = _adopted(fields_ptr, worth_ptr, precision_ptr, out_ptr, i, j, H, W, ROWS)
    else:
        mv_ptr, precision = out_ptr, tl.load(precision_ptr)
    dy, dx = _offers(mv_ptr, i, j, ok, precision, H, W, FIRST)

    m = tl.arange(0, 8)[None, :]
    x, y = tl.arange(0, 16)[None, :, None], tl.arange(0, 16)[None, None, :]
    there = moved_luma(ref_ptr, taps_ptr, i, j, dy.reshape(8, 1), dx.reshape(8, 1), H, W)
    cur = pixels(cur_ptr, 16 * i + y, 16 * j.reshape(1, 1, 1) + x, H, W) - 128
    cur = tl.broadcast_to(cur, (8, 16, 16))
    if FIRST:
        difference = satd(there, cur, 8).reshape(1, 8)
    else:
        around, weight = _surroundings(ref_ptr, taps_ptr, shares_ptr, mv_ptr, i, j, ok, x, y, H, W)
        blended = ((32 - weight) * there + around + 16) >> 5
        left = tl.minimum(quarter_satd(blended, cur, 8), quarter_satd(there, cur, 8) + limited(rate_ptr))
        difference = tl.sum(tl.sum(left, axis=2), axis=1).reshape(1, 8)

    bits = dependent_lengths(mv_ptr, i, j, dy, dx, ok, precision, H, W) + (((dy | dx) & 3) != 0).to(tl.int32)
    cost = difference + ((limited(rate_ptr) * 3 * bits) >> 2)
    taken = m == (tl.min((cost << 3) + m, axis=1)[:, None] & 7)  # a cost is below 2^27
    vy, vx = tl.sum(tl.where(taken, dy, 0), axis=1)[:, None], tl.sum(tl.where(taken, dx, 0), axis=1)[:, None]
    store_vector(out_ptr, i, j, ok, W >> 4, vy, vx)
