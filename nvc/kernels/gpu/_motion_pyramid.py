"""Device code of motion_search, passes 1 and 2: means of 4x4 and 16x16 samples, and the search in them.

Tile: `shrink` streams the planes (4 MB at 1080p: 1 us). `hierarchy` tries 176 coarse displacements of 25 samples and
368 quarter ones of 32. A thread has those of one block in one of 16 columns. It goes down the reference, reads each row
once, as words, and lets it meet all rows of the block's window. Nothing is reduced between threads before the end.
"""

import triton
import triton.language as tl

from nvc.kernels.gpu._motion import reach, store_vector
from nvc.kernels.gpu._plane import add_distance, chosen, clamped, columns, eight, words

SHRINK_TILE = {"BLOCKS": 16, "num_warps": 4}
HIERARCHY_TILE = {"BLOCKS": 8, "num_warps": 4}


@triton.jit
def _shrink(plane_ptr, fine_ptr, coarse_ptr, W, stride_f, stride_c, BLOCKS: tl.constexpr):
    """One row of blocks of one plane."""
    i, j = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCKS
    y, x = tl.arange(0, 16)[:, None], 16 * j + tl.arange(0, 16 * BLOCKS)[None, :]
    plane = tl.load(plane_ptr + (16 * i + y) * W + x, mask=x < W, other=0).to(tl.int32)
    fine = tl.sum(tl.sum(plane.reshape(4, 4, 4 * BLOCKS, 4), axis=3), axis=1)
    fine = (fine + 8) >> 4  # [4, 4 BLOCKS]
    y, x = tl.arange(0, 4)[:, None], 4 * j + tl.arange(0, 4 * BLOCKS)[None, :]
    tl.store(fine_ptr + (4 * i + y) * stride_f + x, fine.to(tl.uint8), mask=x < (W >> 2))
    coarse = tl.sum(tl.sum(fine.reshape(4, BLOCKS, 4), axis=2), axis=0)
    coarse = (coarse + 8) >> 4  # [BLOCKS]
    x = j + tl.arange(0, BLOCKS)
    tl.store(coarse_ptr + i * stride_c + x, coarse.to(tl.uint8), mask=x < (W >> 4))


@triton.jit
def shrink(
    # inputs
    cur_ptr,  # uint8 [H, W]
    ref_ptr,  # uint8 [H, W]
    # outputs
    fine_ptr,  # uint8 [2, H / 4, stride_f], rounded 4x4 means of cur and ref
    coarse_ptr,  # uint8 [2, H / 16, stride_c], the same of those
    # sizes
    H,
    W,
    # strides
    stride_f,
    stride_c,
    # tile
    BLOCKS: tl.constexpr,
):
    """Both planes of 4x4 and of 16x16 means."""
    _shrink(cur_ptr, fine_ptr, coarse_ptr, W, stride_f, stride_c, BLOCKS)
    fine_ptr += (H >> 2).to(tl.int64) * stride_f
    coarse_ptr += (H >> 4).to(tl.int64) * stride_c
    _shrink(ref_ptr, fine_ptr, coarse_ptr, W, stride_f, stride_c, BLOCKS)


@triton.jit
def _better(best, distance, dy, dx, rank):
    """The least of `best` and 512 * cost + rank."""
    return tl.minimum(best, ((distance.to(tl.int32) + tl.abs(dy) + tl.abs(dx)) << 9) + rank)


@triton.jit
def _five_columns(left, width, stride):
    """As `columns`, and a selector for sample left + 4."""
    first, selector = columns(left, width, stride)
    return first, selector, (clamped(left + 4, width) - first).to(tl.uint32)


@triton.jit
def _five(plane_ptr, row, first, selector, fifth, height, stride):
    """Of rows, uint32: (four samples, the one after them)."""
    low, high = eight(plane_ptr, row, first, height, stride)
    return chosen(low, high, selector), chosen(low, high, fifth) & 0xFF


@triton.jit
def _coarse(coarse_ptr, i, j, h, w, stride):
    """Pass 1 of blocks j [1, BLOCKS]: (dy, dx) [1, BLOCKS] in samples of the coarse planes."""
    first, selector, fifth = _five_columns(j - 2, w, stride)
    a0, b0 = _five(coarse_ptr, i - 2, first, selector, fifth, h, stride)
    a1, b1 = _five(coarse_ptr, i - 1, first, selector, fifth, h, stride)
    a2, b2 = _five(coarse_ptr, i, first, selector, fifth, h, stride)
    a3, b3 = _five(coarse_ptr, i + 1, first, selector, fifth, h, stride)
    a4, b4 = _five(coarse_ptr, i + 2, first, selector, fifth, h, stride)
    ref_ptr = coarse_ptr + h.to(tl.int64) * stride
    dx = tl.arange(0, 16)[:, None] - 8
    first, selector, fifth = _five_columns(j - 2 + dx, w, stride)
    zero = tl.zeros((16, j.shape[1]), tl.uint32)
    s0, s1, s2, s3 = zero, zero, zero, zero  # sums so far, of the displacements that began 1, 2, 3, 4 rows above
    best = tl.full((16, j.shape[1]), 2**30, tl.int32)
    for step in tl.static_range(15):
        c, d = _five(ref_ptr, i - 7 + step, first, selector, fifth, h, stride)
        s4 = add_distance(add_distance(s3, a4, c), b4, d)
        s3 = add_distance(add_distance(s2, a3, c), b3, d)
        s2 = add_distance(add_distance(s1, a2, c), b2, d)
        s1 = add_distance(add_distance(s0, a1, c), b1, d)
        s0 = add_distance(add_distance(zero, a0, c), b0, d)
        if step >= 4:
            best = _better(best, s4, step - 9, dx, 16 * (step - 4) + dx + 8)
    taken = tl.min(best, axis=0)[None, :] & 511
    return (taken >> 4) - 5, (taken & 15) - 8


@triton.jit
def _eight_columns(left, width, stride):
    """As `columns`, of samples left .. left + 3 and left + 4 .. left + 7."""
    first, selector = columns(left, width, stride)
    second, other = columns(left + 4, width, stride)
    return first, selector, second, other


@triton.jit
def _beside(plane_ptr, row, first, selector, second, other, height, stride):
    """Of rows, uint32: (four samples, the four after them)."""
    return words(plane_ptr, row, first, selector, height, stride), words(plane_ptr, row, second, other, height, stride)


@triton.jit
def _band(fine_ptr, i, j, cy, cx, h, w, stride, best, ROWS: tl.constexpr, RANK: tl.constexpr):
    """The least of `best` and the displacements of pass 2 in ROWS rows, from cy on, and columns cx - 8 .. cx + 7; RANK:
    of the first one."""
    first, selector, second, other = _eight_columns(4 * j - 2, w, stride)
    a0, b0 = _beside(fine_ptr, 4 * i - 2, first, selector, second, other, h, stride)
    a2, b2 = _beside(fine_ptr, 4 * i, first, selector, second, other, h, stride)
    a5, b5 = _beside(fine_ptr, 4 * i + 3, first, selector, second, other, h, stride)
    a7, b7 = _beside(fine_ptr, 4 * i + 5, first, selector, second, other, h, stride)
    ref_ptr = fine_ptr + h.to(tl.int64) * stride
    n = tl.arange(0, 16)[:, None]
    dx = cx - 8 + n
    first, selector, second, other = _eight_columns(4 * j - 2 + dx, w, stride)
    zero = tl.zeros((16, j.shape[1]), tl.uint32)
    s0, s1, s2, s3, s4, s5, s6 = zero, zero, zero, zero, zero, zero, zero  # as in `_coarse`
    for step in tl.static_range(7):
        c, d = _beside(ref_ptr, 4 * i - 2 + cy + step, first, selector, second, other, h, stride)
        s6, s5 = s5, add_distance(add_distance(s4, a5, c), b5, d)
        s4, s3, s2 = s3, s2, add_distance(add_distance(s1, a2, c), b2, d)
        s1, s0 = s0, add_distance(add_distance(zero, a0, c), b0, d)
    for row in range(ROWS):  # LLVM unrolls it: unrolled before, it takes twice as long to compile
        c, d = _beside(ref_ptr, 4 * i + 5 + cy + row, first, selector, second, other, h, stride)
        s7 = add_distance(add_distance(s6, a7, c), b7, d)
        best = _better(best, s7, cy + row, dx, RANK + 16 * row + n)
        s6, s5 = s5, add_distance(add_distance(s4, a5, c), b5, d)
        s4, s3, s2 = s3, s2, add_distance(add_distance(s1, a2, c), b2, d)
        s1, s0 = s0, add_distance(add_distance(zero, a0, c), b0, d)
    return best


@triton.jit
def _quarter(fine_ptr, i, j, cy, cx, h, w, stride):
    """Pass 2 of blocks j [1, BLOCKS] around zero and (cy, cx): (dy, dx) [1, BLOCKS], in quarter-plane samples."""
    best = tl.full((16, j.shape[1]), 2**30, tl.int32)
    best = _band(fine_ptr, i, j, -8, 0, h, w, stride, best, 16, 0)
    best = _band(fine_ptr, i, j, cy - 3, cx, h, w, stride, best, 7, 256)
    rank = tl.min(best, axis=0)[None, :] & 511
    second = rank > 255  # rows -8 .. 7 around zero, then rows -3 .. 3 around (cy, cx)
    return (rank >> 4) - 8 + tl.where(second, cy - 11, 0), (rank & 15) - 8 + tl.where(second, cx, 0)


@triton.jit
def hierarchy(
    # inputs
    fine_ptr,  # uint8 [2, H / 4, stride_f]
    coarse_ptr,  # uint8 [2, H / 16, stride_c]
    # output
    mv_ptr,  # int16 [H / 16, W / 16, 2], whole samples
    # sizes
    H,
    W,
    # strides
    stride_f,
    stride_c,
    # tile
    BLOCKS: tl.constexpr,
):
    """Passes 1 and 2. Of displacements that cost the same the first is taken: the least of 2^9 * cost + rank < 2^24."""
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[None, :]
    cy, cx = _coarse(coarse_ptr, i, j, H >> 4, W >> 4, stride_c)
    dy, dx = _quarter(fine_ptr, i, j, 4 * cy, 4 * cx, H >> 2, W >> 2, stride_f)
    store_vector(mv_ptr, i, j, j < (W >> 4), W >> 4, reach(16 * dy, i, H), reach(16 * dx, j, W))
