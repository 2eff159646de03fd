"""Device code of motion_search, passes 3 and 4. A pass reads all vectors around of the pass before: one launch each.

Tile: few warps, as what is done once for a block is repeated by every warp of a program. In `whole` a thread has the
seven displacements of a block in one of eight columns, four samples at a time: 22 x 8 x 4 words a block meet seven rows
each. In `neighbourly`, where vectors differ, it has a quarter of a candidate's columns. In `fraction` the three
positions of a column around a block are one 16 x 64 result of int8 products, a quarter of it idle.
"""

import triton
import triton.language as tl

from nvc.kernels import _motion
from nvc.kernels._motion_cpu import NEIGHBOURS
from nvc.kernels.gpu._interpolate import interpolated, luma_across, luma_down, patch
from nvc.kernels.gpu._motion import predicted, price, reach, store_taken, store_vector, vector
from nvc.kernels.gpu._mv import COARSEST
from nvc.kernels.gpu._plane import add_distance, aligned, clamped, columns, pixels, words

WHOLE_TILE = {"BLOCKS": 4, "num_warps": 1}
TILE = {"BLOCKS": 2, "num_warps": 2}


def packed(offsets: list[list[int]]) -> list[tl.constexpr]:
    """Rows and columns of offsets -1..1, two bits of each, one too high."""
    return [tl.constexpr(sum((offset[d] + 1) << 2 * m for m, offset in enumerate(offsets))) for d in (0, 1)]


HERE, AROUND = [0, 0], NEIGHBOURS.tolist()
# candidates 0 (its own), 1 (zero), 2 (the prediction), 3.. (the neighbours')
CANDIDATES = tl.constexpr(3 + len(AROUND))
ROWS, COLUMNS = packed([HERE] * 3 + AROUND)
# of multiples of 2, then 4, then 8 pixels, each five
CROSS_ROWS, CROSS_COLUMNS = packed(3 * [HERE, *AROUND[:4]])
WHOLE = tl.constexpr(_motion.WHOLE)


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
def _ranked(distance, D: tl.constexpr, i, j, oy, ox, py, px, rate_ptr, H, W):
    """64 * cost + rank, [8, B], of the displacements (D, 0..7) - 3 of blocks j [1, B], from their SADs; number 7 is
    idle."""
    m = tl.arange(0, 8)[:, None]
    dy, dx = reach(oy + 4 * (D - 3), i, H), reach(ox + 4 * (m - 3), j, W)
    cost = distance.to(tl.int32) + price(dy - py, dx - px, rate_ptr, WHOLE)
    rank = tl.where((D == 3) & (m == 3), 0, 8 * D + m + 1)  # its own vector first
    return tl.where(m < 7, (cost << 6) + rank, 2**30)


@triton.jit
def _whole(cur_ptr, ref_ptr, rate_ptr, mv_ptr, out_ptr, i, j, oy, ox, wanted, H, W):
    """Four columns of a block at a time. Seven rows of the reference are alive: each meets seven of the block's."""
    py, px = predicted(mv_ptr, i, j, wanted, W >> 4)

    # [8, B]: displacements in a row, blocks. A vector out of `reach` needs no limit here: all of its block lies outside
    # the plane, where samples are those of the limited vector
    m = tl.arange(0, 8)[:, None]
    top, left = 16 * i + (oy >> 2) - 3, 16 * j + (ox >> 2) + m - 3
    s0 = tl.zeros((8, j.shape[1]), tl.uint32)
    s1, s2, s3, s4, s5, s6 = s0, s0, s0, s0, s0, s0
    for x in range(0, 16, 4):
        first, selector = columns(left + x, W, W)
        here = clamped(16 * j + x, W - 3)
        r0 = words(ref_ptr, top, first, selector, H, W)
        r1 = words(ref_ptr, top + 1, first, selector, H, W)
        r2 = words(ref_ptr, top + 2, first, selector, H, W)
        r3 = words(ref_ptr, top + 3, first, selector, H, W)
        r4 = words(ref_ptr, top + 4, first, selector, H, W)
        r5 = words(ref_ptr, top + 5, first, selector, H, W)
        for row in tl.static_range(16):
            r6 = words(ref_ptr, top + row + 6, first, selector, H, W)
            cur = aligned(cur_ptr, 16 * i + row, here, W)
            s0 = add_distance(s0, r0, cur)
            s1 = add_distance(s1, r1, cur)
            s2 = add_distance(s2, r2, cur)
            s3 = add_distance(s3, r3, cur)
            s4 = add_distance(s4, r4, cur)
            s5 = add_distance(s5, r5, cur)
            s6 = add_distance(s6, r6, cur)
            r0, r1, r2, r3, r4, r5 = r1, r2, r3, r4, r5, r6
    best = _ranked(s0, 0, i, j, oy, ox, py, px, rate_ptr, H, W)
    best = tl.minimum(best, _ranked(s1, 1, i, j, oy, ox, py, px, rate_ptr, H, W))
    best = tl.minimum(best, _ranked(s2, 2, i, j, oy, ox, py, px, rate_ptr, H, W))
    best = tl.minimum(best, _ranked(s3, 3, i, j, oy, ox, py, px, rate_ptr, H, W))
    best = tl.minimum(best, _ranked(s4, 4, i, j, oy, ox, py, px, rate_ptr, H, W))
    best = tl.minimum(best, _ranked(s5, 5, i, j, oy, ox, py, px, rate_ptr, H, W))
    best = tl.minimum(best, _ranked(s6, 6, i, j, oy, ox, py, px, rate_ptr, H, W))
    taken = tl.min(best, axis=0)[None, :] & 63
    taken = tl.where(taken == 0, 27, taken - 1)
    vy, vx = reach(oy + 4 * ((taken >> 3) - 3), i, H), reach(ox + 4 * ((taken & 7) - 3), j, W)
    store_vector(out_ptr, i, j, wanted, W >> 4, vy, vx)


@triton.jit(do_not_specialize=["again"])
def whole(
    # inputs
    cur_ptr,  # uint8 [H, W]
    ref_ptr,  # uint8 [H, W]
    rate_ptr,  # int32 [1]
    mv_ptr,  # int16 [H / 16, W / 16, 2], whole samples
    # output, or if `again` both
    out_ptr,  # int16 [H / 16, W / 16, 2]
    # sizes
    H,
    W,
    # variant; not a constant, so that this much code is compiled once
    again,
    # tile
    BLOCKS: tl.constexpr,
):
    """The 7x7 whole samples around; again = 1, but where `out` has the same vector already, nothing; else 0."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[None, :]
    wanted = j < (W >> 4)
    oy, ox = vector(mv_ptr, i, j, wanted, W >> 4)
    vy, vx = vector(out_ptr, i, j, wanted & (again == 1), W >> 4)
    wanted = wanted & ((again == 0) | (vy != oy) | (vx != ox))
    if tl.max(tl.max(wanted.to(tl.int32), axis=1), axis=0) > 0:
        _whole(cur_ptr, ref_ptr, rate_ptr, mv_ptr, out_ptr, i, j, oy, ox, wanted, H, W)


@triton.jit
def _distances(cur_ptr, ref_ptr, i, j, dy, dx, H, W):
    """int32 [B, 16]: SADs of blocks j [B, 1] moved by whole samples, (dy, dx) [B, 16]."""
    x = 16 * j[:, :, None] + 4 * tl.arange(0, 4)[None, None, :]
    first, selector = columns(x + (dx >> 2)[:, :, None], W, W)
    top = 16 * i + (dy >> 2)[:, :, None]
    distance = tl.zeros((j.shape[0], 16, 4), tl.uint32)
    for row in tl.static_range(16):
        cur = aligned(cur_ptr, 16 * i + row, clamped(x, W - 3), W)
        distance = add_distance(distance, words(ref_ptr, top + row, first, selector, H, W), cur)
    return tl.sum(distance.to(tl.int32), axis=2)


@triton.jit
def _nearest(v, precision):
    return ((v + (1 << (precision - 1))) >> precision) << precision


@triton.jit
def _coarser(cur_ptr, ref_ptr, rate_ptr, out_ptr, sad_ptr, i, j, ok, oy, ox, py, px, H, W):
    """From vectors (oy, ox) of blocks j [B, 1] to those of the next precisions, five candidates of each side by side,
    in the fields after theirs."""
    m = tl.arange(0, 16)[None, :]
    precision = WHOLE + 1 + (m >= 5).to(tl.int32) + (m >= 10).to(tl.int32)  # number 15 is idle
    dy = _nearest(oy, precision) + ((((CROSS_ROWS >> (2 * m)) & 3) - 1) << precision)
    dx = _nearest(ox, precision) + ((((CROSS_COLUMNS >> (2 * m)) & 3) - 1) << precision)
    dy, dx = reach(dy, i, H), reach(dx, j, W)
    distance = _distances(cur_ptr, ref_ptr, i, j, dy, dx, H, W)
    paid = price(dy - _nearest(py, precision), dx - _nearest(px, precision), rate_ptr, precision)
    blocks = (H >> 4) * (W >> 4)
    for p in tl.static_range(WHOLE + 1, COARSEST + 1):
        out_ptr += 2 * blocks
        sad_ptr += blocks
        others = tl.where((m < 15) & (precision == p), 0, 2**22)
        store_taken(out_ptr, sad_ptr, i, j, ok, W >> 4, distance, paid + others, dy, dx)


@triton.jit
def neighbourly(cur_ptr, ref_ptr, rate_ptr, mv_ptr, out_ptr, sad_ptr, H, W, LAST: tl.constexpr, BLOCKS: tl.constexpr):
    """Zero, the prediction and the neighbours' vectors, all whole samples. Operands as in `whole`, `out` an output; the
    SADs int32 [H / 16, W / 16] of what is taken. LAST: the coarser fields too, which follow `out`, and theirs `sad`."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < (W >> 4)
    py, px = predicted(mv_ptr, i, j, ok, W >> 4)
    dy, dx = _candidates(mv_ptr, i, j, ok, py, px, H, W)
    distance = _distances(cur_ptr, ref_ptr, i, j, dy, dx, H, W)
    paid = price(dy - py, dx - px, rate_ptr, WHOLE) + tl.where(tl.arange(0, 16)[None, :] < CANDIDATES, 0, 2**22)
    oy, ox = store_taken(out_ptr, sad_ptr, i, j, ok, W >> 4, distance, paid, dy, dx)
    if LAST:
        _coarser(cur_ptr, ref_ptr, rate_ptr, out_ptr, sad_ptr, i, j, ok, oy, ox, py, px, H, W)


@triton.jit
def fraction(
    cur_ptr, ref_ptr, rate_ptr, taps_ptr, mv_ptr, out_ptr, sad_ptr, H, W, PRECISION: tl.constexpr, BLOCKS: tl.constexpr
):
    """The eight positions at 2^PRECISION quarter samples, column by column. Operands as in `neighbourly`; `taps_on`."""
    STEP: tl.constexpr = 1 << PRECISION
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < (W >> 4)
    py, px = predicted(mv_ptr, i, j, ok, W >> 4)
    oy, ox = vector(mv_ptr, i, j, ok, W >> 4)

    k, n = tl.arange(0, 32)[None, :, None], tl.arange(0, 16)
    # of the first displacement; the last is 0 or 1 further
    top, left = 16 * i + ((oy - STEP) >> 2) - 3, 16 * j + ((ox - STEP) >> 2) - 3
    samples = patch(ref_ptr, top[:, :, None] + k, left[:, :, None], k < 24, H, W)
    x, y = 16 * j[:, :, None] + n[None, :, None], 16 * i + n[None, None, :]
    cur = (pixels(cur_ptr, y, x, H, W) - 128)[:, :, None, :]
    d = tl.arange(0, 4)[None, :]  # displacement down + 1; number 3 is idle and may go further
    dy = reach(oy + STEP * (d - 1), i, H)
    down = luma_down(taps_ptr, dy, tl.minimum((dy >> 2) - (oy - STEP >> 2), 1))
    best = tl.full((BLOCKS, 4), 2**30, tl.int32)
    for e in tl.static_range(3):  # displacement to the right + 1
        dx = reach(ox + STEP * (e - 1), j, W)
        across = luma_across(taps_ptr, dx, (left & 3) + tl.minimum((dx >> 2) - (ox - STEP >> 2), 1))
        there = interpolated(samples, across, down).reshape(BLOCKS, 16, 4, 16)
        distance = tl.permute(tl.abs(there - cur), (0, 2, 1, 3)).reshape(BLOCKS, 4, 256)
        sad = tl.sum(distance, axis=2)
        cost = sad + price(dy - py, dx - px, rate_ptr, PRECISION)
        rank = tl.where((d == 1) & (e == 1), 0, 4 * e + d + 1)  # its own vector first
        best = tl.minimum(best, tl.where(d < 3, (cost << 6) + rank, 2**30))
    best = tl.min(best, axis=1)[:, None]
    taken = tl.where((best & 63) == 0, 5, (best & 63) - 1)
    dy, dx = reach(oy + STEP * ((taken & 3) - 1), i, H), reach(ox + STEP * ((taken >> 2) - 1), j, W)
    store_vector(out_ptr, i, j, ok, W >> 4, dy, dx)
    sad = (best >> 6) - price(dy - py, dx - px, rate_ptr, PRECISION)
    tl.store(sad_ptr + i.to(tl.int64) * (W >> 4) + j, sad, mask=ok)
