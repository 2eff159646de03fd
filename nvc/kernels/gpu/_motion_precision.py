"""Device code of motion_search between passes 4 and 5: which precision the frame has.

Tile: `weigh` has a row of blocks of one of the six fields, 400 KB at 1080p. What the rows are worth is added up by
every program of the launch that follows: a few KB from the second-level cache, instead of a launch.
"""

import triton
import triton.language as tl

from nvc.kernels.gpu._motion import limited, predicted, vector
from nvc.kernels.gpu._mv import COARSEST, bit_length

WARPS = 4


@triton.jit
def weigh(
    # inputs
    fields_ptr,  # int16 [6, rows, columns, 2], by precision
    sads_ptr,  # int32 [6, rows, columns]
    rate_ptr,  # int32 [1]
    # output
    worth_ptr,  # int64 [6, rows], what the blocks of a row leave and cost, in 32nds of a SAD unit
    # sizes
    rows,
    columns,
    # tile
    BLOCK: tl.constexpr,  # power of two >= columns
):
    i, precision = tl.program_id(0), tl.program_id(1)
    blocks = precision * rows * columns
    mv_ptr = fields_ptr + 2 * blocks
    j = tl.arange(0, BLOCK)
    ok = j < columns
    vy, vx = vector(mv_ptr, i, j, ok, columns)
    py, px = predicted(mv_ptr, i, j, ok, columns)
    lengths = bit_length((vy - py) >> precision) + bit_length((vx - px) >> precision)
    sad = tl.load(sads_ptr + blocks + i * columns + j, mask=ok, other=0)
    worth = 32 * sad.to(tl.int64) + 3 * limited(rate_ptr).to(tl.int64) * lengths
    tl.store(worth_ptr + precision * rows + i, tl.sum(tl.where(ok, worth, 0), axis=0))


@triton.jit
def chosen(worth_ptr, rows, ROWS: tl.constexpr):
    """The precision of the field that is worth the least, of equal ones the coarsest; ROWS: power of two >= rows."""
    n, r = tl.arange(0, 8)[:, None], tl.arange(0, ROWS)[None, :]  # the coarsest field first, and two that are not there
    there = (n <= COARSEST) & (r < rows)
    worth = tl.sum(tl.load(worth_ptr + (COARSEST - n) * rows + r, mask=there, other=0), axis=1)
    n = tl.arange(0, 8)
    return COARSEST - (tl.min(tl.where(n <= COARSEST, (worth << 3) + n, 2**62), axis=0) & 7).to(tl.int32)
