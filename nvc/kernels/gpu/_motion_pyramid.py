"""Device code of motion_search, passes 1 and 2: means of 4x4 and 16x16 samples, and the search in them.

Tile: `shrink` streams the planes (4 MB at 1080p: 1 us). `hierarchy` tries, for four blocks at a time, 176 coarse
displacements of 25 samples and 368 quarter ones of 32: its 17000 byte loads a block hit the first-level cache, and are
what it costs. A warp has the 32 displacements of two rows, which read 16 neighbouring bytes each, and a thread all the
samples of one: nothing is reduced between threads before the end.
"""

import triton
import triton.language as tl

from nvc.kernels.gpu._interpolate import pixels
from nvc.kernels.gpu._motion import distance, reach, store_vector

SHRINK_TILE = {"BLOCKS": 16, "num_warps": 4}
HIERARCHY_TILE = {"BLOCKS": 4, "num_warps": 4}


@triton.jit
def _shrink(plane_ptr, fine_ptr, coarse_ptr, W, BLOCKS: tl.constexpr):
    """One row of blocks of one plane."""
    i, j = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCKS
    y, x = tl.arange(0, 16)[:, None], 16 * j + tl.arange(0, 16 * BLOCKS)[None, :]
    plane = tl.load(plane_ptr + (16 * i + y) * W + x, mask=x < W, other=0).to(tl.int32)
    fine = tl.sum(tl.sum(plane.reshape(4, 4, 4 * BLOCKS, 4), axis=3), axis=1)
    fine = (fine + 8) >> 4  # [4, 4 BLOCKS]
    y, x = tl.arange(0, 4)[:, None], 4 * j + tl.arange(0, 4 * BLOCKS)[None, :]
    tl.store(fine_ptr + (4 * i + y) * (W >> 2) + x, fine.to(tl.uint8), mask=x < (W >> 2))
    coarse = tl.sum(tl.sum(fine.reshape(4, BLOCKS, 4), axis=2), axis=0)
    coarse = (coarse + 8) >> 4  # [BLOCKS]
    x = j + tl.arange(0, BLOCKS)
    tl.store(coarse_ptr + i * (W >> 4) + x, coarse.to(tl.uint8), mask=x < (W >> 4))


@triton.jit
def shrink(
    # inputs
    cur_ptr,  # uint8 [H, W]
    ref_ptr,  # uint8 [H, W]
    # outputs
    fine_ptr,  # uint8 [2, H / 4, W / 4], rounded 4x4 means of cur and ref
    coarse_ptr,  # uint8 [2, H / 16, W / 16], the same of those
    # sizes
    H,
    W,
    # tile
    BLOCKS: tl.constexpr,
):
    """Both planes of 4x4 and of 16x16 means."""
    second = (H >> 2).to(tl.int64) * (W >> 2)
    _shrink(cur_ptr, fine_ptr, coarse_ptr, W, BLOCKS)
    _shrink(ref_ptr, fine_ptr + second, coarse_ptr + (second >> 4), W, BLOCKS)


@triton.jit
def _coarse(coarse_ptr, i, j, h, w, BLOCKS: tl.constexpr):
    """Pass 1 of blocks j [BLOCKS, 1]: (dy, dx) [BLOCKS, 1] in samples of the coarse planes."""
    n = tl.arange(0, 32)[:, None, None]
    row = (n * 13) >> 6  # n / 5 for n < 32
    y, x = i - 2 + row, j[None, :, :] - 2 + n - 5 * row
    cur = pixels(coarse_ptr, y, x, h, w)
    ref_ptr = coarse_ptr + h.to(tl.int64) * w
    best = tl.full((BLOCKS, 32), 2**30, tl.int32)
    for pair in range(6):
        rank = 32 * pair + tl.arange(0, 32)[None, :]  # 16 in a row of displacements
        dy, dx = (rank >> 4) - 5, (rank & 15) - 8
        there = pixels(ref_ptr, y + dy[None, :, :], x + dx[None, :, :], h, w)
        cost = tl.sum(tl.where(n < 25, tl.abs(there - cur), 0), axis=0) + tl.abs(dy) + tl.abs(dx)
        best = tl.minimum(best, tl.where(rank < 11 * 16, (cost << 9) + rank, 2**30))
    taken = tl.min(best, axis=1)[:, None] & 511
    return (taken >> 4) - 5, (taken & 15) - 8


@triton.jit
def _displacement(rank, cy, cx):
    """Number `rank` of pass 2, 16 in a row: rows -8..7 around zero, then rows -3..3 around (cy, cx)."""
    second = (rank >> 8) > 0
    return (rank >> 4) - 8 + tl.where(second, cy - 11, 0), (rank & 15) - 8 + tl.where(second, cx, 0)


@triton.jit
def _quarter(fine_ptr, i, j, cy, cx, h, w, BLOCKS: tl.constexpr):
    """Pass 2 of blocks j [BLOCKS, 1] around zero and (cy, cx): (dy, dx) [BLOCKS, 1], in quarter-plane samples."""
    r, n = tl.arange(0, 4)[:, None, None, None], tl.arange(0, 8)[None, :, None, None]
    y, x = 4 * i - 2 + 2 * r + (r >> 1), 4 * j[None, None, :, :] - 2 + n  # rows 0, 2, 5, 7 of eight
    cur = pixels(fine_ptr, y, x, h, w)
    ref_ptr = fine_ptr + h.to(tl.int64) * w
    best = tl.full((BLOCKS, 32), 2**30, tl.int32)
    for pair in range(12):
        rank = 32 * pair + tl.arange(0, 32)[None, :]
        dy, dx = _displacement(rank, cy, cx)
        there = pixels(ref_ptr, y + dy[None, None, :, :], x + dx[None, None, :, :], h, w)
        cost = distance(there, cur) + tl.abs(dy) + tl.abs(dx)
        best = tl.minimum(best, tl.where(rank < 23 * 16, (cost << 9) + rank, 2**30))
    return _displacement(tl.min(best, axis=1)[:, None] & 511, cy, cx)


@triton.jit
def hierarchy(
    # inputs
    fine_ptr,  # uint8 [2, H / 4, W / 4]
    coarse_ptr,  # uint8 [2, H / 16, W / 16]
    # output
    mv_ptr,  # int16 [H / 16, W / 16, 2], whole samples
    # sizes
    H,
    W,
    # tile
    BLOCKS: tl.constexpr,
):
    """Passes 1 and 2. Of displacements that cost the same the first is taken: the least of 2^9 * cost + rank < 2^24."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < (W >> 4)
    cy, cx = _coarse(coarse_ptr, i, j, H >> 4, W >> 4, BLOCKS)
    dy, dx = _quarter(fine_ptr, i, j, 4 * cy, 4 * cx, H >> 2, W >> 2, BLOCKS)
    store_vector(mv_ptr, i, j, ok, W >> 4, reach(16 * dy, i, H), reach(16 * dx, j, W))
