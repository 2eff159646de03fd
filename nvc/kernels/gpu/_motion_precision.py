"""Device code of motion_search between passes 4 and 5: which precision the frame has.

Tile: `weigh` has a row of blocks of one of the three fields, `adopt` adds up the rows and copies a row of the field
that is taken. Both are done as soon as they have begun: 300 KB at 1080p.
"""

import triton
import triton.language as tl

from nvc.kernels.gpu._motion import limited, predicted, vector
from nvc.kernels.gpu._mv import bit_length

WARPS = 4


@triton.jit
def weigh(
    # inputs
    fields_ptr,  # int16 [3, rows, columns, 2], by precision
    sads_ptr,  # int32 [3, rows, columns]
    rate_ptr,  # int32 [1]
    # output
    worth_ptr,  # int64 [3, rows], what the blocks of a row leave and cost, in 32nds of a SAD unit
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
def adopt(
    # inputs
    fields_ptr,  # int16 [3, rows, columns, 2]
    worth_ptr,  # int64 [3, rows]
    # outputs
    mv_ptr,  # int16 [rows, columns, 2]
    precision_ptr,  # int32 [1]
    # sizes
    rows,
    columns,
    # tile
    ROWS: tl.constexpr,  # power of two >= rows
    BLOCK: tl.constexpr,  # power of two >= columns
):
    """Of fields that are worth the same the coarsest is taken."""
    i, r = tl.program_id(0), tl.arange(0, ROWS)
    quarter = tl.sum(tl.load(worth_ptr + r, mask=r < rows, other=0), axis=0)
    half = tl.sum(tl.load(worth_ptr + rows + r, mask=r < rows, other=0), axis=0)
    whole = tl.sum(tl.load(worth_ptr + 2 * rows + r, mask=r < rows, other=0), axis=0)
    precision = tl.where(quarter < tl.minimum(half, whole), 0, tl.where(half < whole, 1, 2))
    j = tl.arange(0, BLOCK)
    both = fields_ptr.to(tl.pointer_type(tl.int32)) + precision * rows * columns + i * columns + j
    to = mv_ptr.to(tl.pointer_type(tl.int32)) + i * columns + j
    tl.store(to, tl.load(both, mask=j < columns), mask=j < columns)
    tl.store(precision_ptr, precision, mask=i == 0)
