"""What the passes of motion_search share: the vectors around a block, their prediction, their price, and the choice.

Vectors are pairs of int32 tensors (dy, dx) [B, M]: B neighbouring blocks (i, j) of a row, M candidates of each. Among
those that cost the same the first is taken: the least of 64 * cost + rank, < 2^28 as a cost is at most 2^22. `settle`,
whose costs are larger and candidates fewer, has its own.
"""

import triton
import triton.language as tl

from nvc.kernels.gpu._mv import bit_length


@triton.jit
def vector(mv_ptr, i, j, ok, columns):
    """(dy, dx) of blocks (i, j) of int16 [., columns, 2], both read at once; zero where not ok."""
    at = mv_ptr + (i.to(tl.int64) * columns + j) * 2
    both = tl.load(at.to(tl.pointer_type(tl.int32)), mask=ok, other=0)
    return (both << 16) >> 16, both >> 16


@triton.jit
def store_vector(mv_ptr, i, j, ok, columns, dy, dx):
    at = mv_ptr + (i.to(tl.int64) * columns + j) * 2
    tl.store(at, dy.to(tl.int16), mask=ok)
    tl.store(at + 1, dx.to(tl.int16), mask=ok)


@triton.jit
def _median(a, b, c):
    return tl.maximum(tl.minimum(a, b), tl.minimum(tl.maximum(a, b), c))


@triton.jit
def predicted(mv_ptr, i, j, ok, columns):
    """The prediction of the vectors of blocks (i, j) from their neighbours, as code_vectors has it."""
    side = tl.where(j + 1 < columns, j + 1, tl.maximum(j - 1, 0))
    ly, lx = vector(mv_ptr, i, j - 1, ok & (j > 0), columns)
    ty, tx = vector(mv_ptr, i - 1, j, ok & (i > 0), columns)
    cy, cx = vector(mv_ptr, i - 1, side, ok & (i > 0), columns)
    return tl.where(i > 0, _median(ly, ty, cy), ly), tl.where(i > 0, _median(lx, tx, cx), lx)


@triton.jit
def reach(v, block, size):
    """v limited so that block number `block` of a side of `size` samples stays within 64 samples of the plane."""
    return tl.minimum(tl.maximum(v, -4 * (16 * block + 64)), 4 * (size - 16 * block + 48))


@triton.jit
def limited(rate_ptr):
    return tl.minimum(tl.maximum(tl.load(rate_ptr), 0), 2**20)


@triton.jit
def price(dy, dx, rate_ptr, precision):
    """Cost of coding differences (dy, dx) from a prediction in units of 2^precision."""
    lengths = bit_length(dy >> precision) + bit_length(dx >> precision)
    return (limited(rate_ptr) * (2 * lengths + 2)) >> 4


@triton.jit
def _with(mv_ptr, r, c, i, j, dy, dx, ok, columns):
    """The vectors of blocks (r, c) if that of block (i, j) were (dy, dx)."""
    vy, vx = vector(mv_ptr, r, c, ok, columns)
    own = ok & (r == i) & (c == j)
    return tl.where(own, dy, vy), tl.where(own, dx, vx)


@triton.jit
def dependent_lengths(mv_ptr, i, j, dy, dx, ok, precision, H, W):
    """int32 [1, M]: bits of both components of what is coded for block (i, j) and for those that are predicted from it,
    if its vector were (dy, dx) [1, M], in units of 2^precision."""
    columns = W >> 4
    # a row for each of them: itself, to the right, below, below to the left, from the last column but one below to the
    # right; what is added to i in one bit, to j in two, one too high. The other rows are idle: a thread for each length
    d = tl.arange(0, 8)[:, None] + tl.zeros_like(dy)
    r, c = i + ((0b11100 >> d) & 1), j + ((0b1000011001 >> (2 * d)) & 3) - 1
    ok = ok & ((d < 4) | ((d == 4) & (j == columns - 2))) & (r < (H >> 4)) & (c >= 0) & (c < columns)
    side = tl.where(c + 1 < columns, c + 1, tl.maximum(c - 1, 0))
    vy, vx = _with(mv_ptr, r, c, i, j, dy, dx, ok, columns)
    ly, lx = _with(mv_ptr, r, c - 1, i, j, dy, dx, ok & (c > 0), columns)
    ty, tx = _with(mv_ptr, r - 1, c, i, j, dy, dx, ok & (r > 0), columns)
    cy, cx = _with(mv_ptr, r - 1, side, i, j, dy, dx, ok & (r > 0), columns)
    py = tl.where(r > 0, _median(ly, ty, cy), ly)
    px = tl.where(r > 0, _median(lx, tx, cx), lx)
    lengths = bit_length((vy - py) >> precision) + bit_length((vx - px) >> precision)
    return tl.sum(tl.where(ok, lengths, 0), axis=0)[None, :]


@triton.jit
def store_taken(mv_ptr, sad_ptr, i, j, ok, columns, sad, price, dy, dx):
    """Store, of the candidates (dy, dx) [B, M <= 64] of blocks (i, j) [B, 1], the first with the least cost, and its
    SAD. Returns it, (dy, dx) [B, 1]."""
    cost = sad + price
    m = tl.arange(0, cost.shape[1])[None, :]
    taken = m == (tl.min((cost << 6) + m, axis=1)[:, None] & 63)
    dy = tl.sum(tl.where(taken, dy, 0), axis=1)[:, None]
    dx = tl.sum(tl.where(taken, dx, 0), axis=1)[:, None]
    store_vector(mv_ptr, i, j, ok, columns, dy, dx)
    sad = tl.sum(tl.where(taken, sad, 0), axis=1)[:, None]
    tl.store(sad_ptr + i.to(tl.int64) * columns + j, sad, mask=ok)
    return dy, dx
