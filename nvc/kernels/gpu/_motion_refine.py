"""Device code of motion_search, passes 3 to 5. A pass reads the vectors of the pass before all around: one launch each.

Tile: four blocks a program. In `whole` neighbouring lanes have neighbouring displacements of a block, which read the
same lines; in `neighbourly`, where vectors differ, the samples of two rows. Both are bound by byte loads from the
first-level cache: 49 x 256 and 11 x 256 a block. In `fraction` the eight positions around a block are one 64 x 64
result of int8 products, 9 of its 16 squares in use. In `last` the candidates of two blocks are a batch of 32 products;
with four their 32 x 32 samples each would not fit into registers.
"""

import triton
import triton.language as tl

from nvc.kernels._motion_cpu import NEIGHBOURS
from nvc.kernels.gpu._interpolate import interpolated, luma_tap, pixels, samples
from nvc.kernels.gpu._motion import distance, length, predicted, price, reach, store_taken, store_vector, vector

TILE = {"BLOCKS": 4, "num_warps": 8}
LAST_TILE = {"BLOCKS": 2, "num_warps": 8}

# candidates 0 (its own), 1 (zero), 2 (the prediction), 3.. (the neighbours'): offset + 1 of the block, two bits
_OFFSETS = [(0, 0)] * 3 + NEIGHBOURS.tolist()
CANDIDATES = tl.constexpr(len(_OFFSETS))
ROWS, COLUMNS = (tl.constexpr(sum((offset[d] + 1) << 2 * m for m, offset in enumerate(_OFFSETS))) for d in (0, 1))


@triton.jit
def _candidates(mv_ptr, i, j, ok, py, px, H, W):
    """(dy, dx) [B, 16] of blocks j [B, 1]; zero from number CANDIDATES on."""
    m = tl.arange(0, 16)[None, :]
    ni = i + ((ROWS >> (2 * m)) & 3) - 1
    nj = j + ((COLUMNS >> (2 * m)) & 3) - 1
    there = (ni >= 0) & (ni < (H >> 4)) & (nj >= 0) & (nj < (W >> 4)) & (m != 1) & (m < CANDIDATES)
    dy, dx = vector(mv_ptr, ni, nj, ok & there, W >> 4)
    return reach(tl.where(m == 2, py, dy), i, H), reach(tl.where(m == 2, px, dx), j, W)


@triton.jit
def whole(
    # inputs
    cur_ptr,  # uint8 [H, W]
    ref_ptr,  # uint8 [H, W]
    rate_ptr,  # int32 [1]
    mv_ptr,  # int16 [H / 16, W / 16, 2], whole samples
    # output
    out_ptr,  # int16 [H / 16, W / 16, 2]
    # sizes
    H,
    W,
    # tile
    BLOCKS: tl.constexpr,
):
    """The 7x7 whole samples around."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < (W >> 4)
    py, px = predicted(mv_ptr, i, j, ok, W >> 4)
    oy, ox = vector(mv_ptr, i, j, ok, W >> 4)

    m, n, used = tl.arange(0, 8)[None, :], tl.arange(0, 16), ok[None, None, :, :]
    y, x = 16 * i + n[:, None, None, None], 16 * j[None, None, :, :] + n[None, :, None, None]
    cur = pixels(cur_ptr, y, x, used, H, W).to(tl.int32)  # [16, 16, BLOCKS, 1]
    dx = reach(ox + 4 * (m - 3), j, W)
    bits = length(dx - px)
    best = tl.full((BLOCKS, 8), 2**30, tl.int32)
    for d in range(7):
        dy = reach(oy + 4 * (d - 3), i, H)
        row, column = y + (dy >> 2)[None, None, :, :], x + (dx >> 2)[None, None, :, :]
        cost = distance(pixels(ref_ptr, row, column, used & (m < 7)[None, None, :, :], H, W), cur)
        cost += price(length(dy - py) + bits, rate_ptr)
        rank = tl.where((d == 3) & (m == 3), 0, 8 * d + m + 1)  # its own vector first
        best = tl.minimum(best, tl.where(m < 7, (cost << 6) + rank, 2**30))
    taken = tl.min(best, axis=1)[:, None] & 63
    taken = tl.where(taken == 0, 27, taken - 1)
    vy, vx = reach(oy + 4 * ((taken >> 3) - 3), i, H), reach(ox + 4 * ((taken & 7) - 3), j, W)
    store_vector(out_ptr, i, j, ok, W >> 4, vy, vx)


@triton.jit
def neighbourly(cur_ptr, ref_ptr, rate_ptr, mv_ptr, out_ptr, H, W, BLOCKS: tl.constexpr):
    """Zero, the prediction and the neighbours' vectors, all whole samples. Operands as in `whole`."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < (W >> 4)
    py, px = predicted(mv_ptr, i, j, ok, W >> 4)
    dy, dx = _candidates(mv_ptr, i, j, ok, py, px, H, W)
    m, n = tl.arange(0, 16)[None, :], tl.arange(0, 32)[None, None, :]  # n: samples of two rows
    used = (ok & (m < CANDIDATES))[:, :, None]
    x, y = 16 * j[:, :, None] + (n & 15), 16 * i + (n >> 4)
    differences = tl.zeros((BLOCKS, 16, 32), tl.int32)
    for row in range(0, 16, 2):
        cur = pixels(cur_ptr, y + row, x, ok[:, :, None], H, W).to(tl.int32)
        there = pixels(ref_ptr, y + row + (dy >> 2)[:, :, None], x + (dx >> 2)[:, :, None], used, H, W).to(tl.int32)
        differences += tl.abs(there - cur)
    cost = tl.sum(differences, axis=2) + price(length(dy - py) + length(dx - px), rate_ptr)
    store_taken(out_ptr, i, j, ok, W >> 4, tl.where(m < CANDIDATES, cost, 2**22), dy, dx)


@triton.jit
def fraction(cur_ptr, ref_ptr, rate_ptr, mv_ptr, out_ptr, H, W, STEP: tl.constexpr, BLOCKS: tl.constexpr):
    """The eight positions at STEP (2 or 1) quarter samples, column by column. Operands as in `whole`."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < (W >> 4)
    py, px = predicted(mv_ptr, i, j, ok, W >> 4)
    oy, ox = vector(mv_ptr, i, j, ok, W >> 4)

    # row 16 e + x of the result is column x for the displacement e - 1; column 16 d + y likewise; d, e = 3 are idle
    n, k, q = tl.arange(0, 16), tl.arange(0, 32), tl.arange(0, 64)[None, :, None]
    # of the first displacement; the last is 0 or 1 further
    top, left = ((oy - STEP) >> 2)[:, :, None], ((ox - STEP) >> 2)[:, :, None]
    row, column, used = k[None, :, None], k[None, None, :], ok[:, :, None]
    x, y = 16 * j[:, :, None] + left - 3 + column, 16 * i + top - 3 + row
    patch = samples(ref_ptr, y, x, used & (row < 24) & (column < 24), H, W)
    dx = reach(ox[:, :, None] + STEP * ((q >> 4) - 1), j[:, :, None], W)  # [BLOCKS, 64, 1]
    dy = reach(oy[:, :, None] + STEP * ((q >> 4) - 1), i, H)
    across = luma_tap(dx, column - (q & 15) - (dx >> 2) + left)  # [BLOCKS, 64, 32]
    down = luma_tap(dy, column - (q & 15) - (dy >> 2) + top)
    there = interpolated(patch, across, down).reshape(BLOCKS, 4, 16, 4, 16)
    x, y = 16 * j[:, :, None] + n[None, :, None], 16 * i + n[None, None, :]
    cur = pixels(cur_ptr, y, x, used, H, W).to(tl.int32)[:, None, :, None, :]
    sad = tl.sum(tl.sum(tl.abs(there - cur), axis=4), axis=2).reshape(BLOCKS, 16)

    e, d = (n >> 2)[None, :], (n & 3)[None, :]
    dy, dx = reach(oy + STEP * (d - 1), i, H), reach(ox + STEP * (e - 1), j, W)
    cost = sad + price(length(dy - py) + length(dx - px), rate_ptr)
    rank = tl.where((d == 1) & (e == 1), 0, n[None, :] + 1)  # its own vector first
    best = tl.min(tl.where((d < 3) & (e < 3), (cost << 6) + rank, 2**30), axis=1)[:, None] & 63
    best = tl.where(best == 0, 5, best - 1)
    dy, dx = reach(oy + STEP * ((best & 3) - 1), i, H), reach(ox + STEP * ((best >> 2) - 1), j, W)
    store_vector(out_ptr, i, j, ok, W >> 4, dy, dx)


@triton.jit
def last(cur_ptr, ref_ptr, rate_ptr, mv_ptr, out_ptr, H, W, BLOCKS: tl.constexpr):
    """Zero, the prediction and the neighbours' vectors, in quarter samples. Operands as in `whole`."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < (W >> 4)
    py, px = predicted(mv_ptr, i, j, ok, W >> 4)
    dy, dx = _candidates(mv_ptr, i, j, ok, py, px, H, W)

    m, n, k = tl.arange(0, 16)[None, :], tl.arange(0, 16), tl.arange(0, 32)
    row, column, used = k[None, :, None], k[None, None, :], (ok & (m < CANDIDATES)).reshape(16 * BLOCKS, 1, 1)
    left = tl.broadcast_to(16 * j, (BLOCKS, 16)).reshape(16 * BLOCKS, 1, 1)  # the batch: one block after the other
    vy, vx = dy.reshape(16 * BLOCKS, 1, 1), dx.reshape(16 * BLOCKS, 1, 1)
    x, y = left + (vx >> 2) - 3 + column, 16 * i + (vy >> 2) - 3 + row
    patch = samples(ref_ptr, y, x, used & (row < 23) & (column < 23), H, W)
    tap = column - n[None, :, None]
    there = interpolated(patch, luma_tap(vx, tap), luma_tap(vy, tap)).reshape(BLOCKS, 16, 16, 16)
    x, y = 16 * j[:, :, None] + n[None, :, None], 16 * i + n[None, None, :]
    cur = pixels(cur_ptr, y, x, ok[:, :, None], H, W).to(tl.int32)[:, None, :, :]
    cost = tl.sum(tl.sum(tl.abs(there - cur), axis=3), axis=2) + price(length(dy - py) + length(dx - px), rate_ptr)
    store_taken(out_ptr, i, j, ok, W >> 4, tl.where(m < CANDIDATES, cost, 2**22), dy, dx)
