"""Device code of code_vectors: a program for each component.

All tables are summed at once: a block costs eight loads of 4 bytes from five KB of the first-level cache. 1080p is
twice eight rounds of 1024 blocks for each program, a few microseconds while the card reconstructs the frame.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._overlap import tables_on
from nvc.kernels._tables import CONTEXTS, OVERLAP_ROWS, OVERLAP_SETS, SCALE_ROWS, VECTOR_SETS
from nvc.kernels.gpu._mv import bit_length, limited, predicted

TILE = {"BLOCK": 1024, "TABLES": VECTOR_SETS, "num_warps": 8}

_CONTEXTS, _FIRST, _SETS = map(tl.constexpr, (CONTEXTS, SCALE_ROWS, VECTOR_SETS))
_OVERLAP_FIRST, _OVERLAP_SETS = map(tl.constexpr, (OVERLAP_ROWS, OVERLAP_SETS))


@triton.jit
def _of_component(mv_ptr, block, k, ok, columns, precision_ptr):
    """What is coded of component k < 2 of the vectors of blocks."""
    i, j = block // columns, block % columns
    above = ok & (i > 0)
    # the last column takes top-left for top-right, a single column top
    beside = tl.where(j + 1 < columns, 1, tl.where(j > 0, -1, 0))
    at = mv_ptr + 2 * block.to(tl.int64) + k
    mv = tl.load(at, mask=ok, other=0).to(tl.int32)
    left = tl.load(at - 2, mask=ok & (j > 0), other=0).to(tl.int32)
    top = tl.load(at - 2 * columns, mask=above, other=0).to(tl.int32)
    corner = tl.load(at - 2 * columns + 2 * beside, mask=above, other=0).to(tl.int32)
    return (mv - predicted(left, top, corner, i)) >> limited(precision_ptr)


@triton.jit
def _of_overlap(overlap_ptr, block, ok, ranks_ptr):
    rank = tl.load(ranks_ptr + tl.load(overlap_ptr + block, mask=ok, other=0).to(tl.int32)).to(tl.int32)
    return tl.where(rank & 1 == 1, -((rank + 1) >> 1), rank >> 1)


@triton.jit
def _context(contexts_ptr, block, k, first, ok):
    row = tl.load(contexts_ptr + 3 * block.to(tl.int64) + k, mask=ok, other=0).to(tl.int32)
    return tl.minimum(tl.maximum(row - first, 0), _CONTEXTS - 1)


@triton.jit
def _code_vectors(
    # inputs
    mv_ptr,  # int16 [rows, columns, 2]
    overlap_ptr,  # uint8 [rows, columns]
    precision_ptr,  # int32 [1]
    contexts_ptr,  # uint8 [rows, columns, 3]
    costs_ptr,  # int32 [12, 5, 31]
    ranks_ptr,  # uint8 [256]
    # outputs
    residual_ptr,  # int16 [rows, columns, 3]
    choice_ptr,  # uint8 [3]
    rows_ptr,  # uint8 [rows, columns, 3]
    # sizes
    blocks,
    columns,
    # tile
    BLOCK: tl.constexpr,
    TABLES: tl.constexpr,
):
    k = tl.program_id(0)
    tables, row0 = tl.where(k == 2, _OVERLAP_SETS, _SETS), tl.where(k == 2, _OVERLAP_FIRST, _FIRST)
    costs_ptr += tl.where(k == 2, _SETS, 0) * (_CONTEXTS * 31)
    t = tl.arange(0, TABLES)
    bits = tl.zeros((TABLES,), tl.int32)
    first = blocks * 0
    while first < blocks:
        block = first + tl.arange(0, BLOCK)
        ok = block < blocks
        if k == 2:
            v = _of_overlap(overlap_ptr, block, ok, ranks_ptr)
        else:
            v = _of_component(mv_ptr, block, k, ok, columns, precision_ptr)
        tl.store(residual_ptr + 3 * block.to(tl.int64) + k, v.to(tl.int16), mask=ok)
        size = tl.minimum(bit_length(v), 15)
        column = _context(contexts_ptr, block, k, row0, ok) * 31 + 15 + tl.where(v < 0, -size, size)
        entry = costs_ptr + t[None, :] * (_CONTEXTS * 31) + column[:, None]
        bits += tl.sum(tl.load(entry, mask=ok[:, None] & (t < tables)[None, :], other=0), 0)
        first += BLOCK
    bits = tl.where(t < tables, bits, 0x7FFFFFFF)
    least = tl.min(bits, 0)
    choice = tl.min(tl.where(bits == least, t, TABLES), 0)
    tl.store(choice_ptr + k, choice.to(tl.uint8))
    first = blocks * 0
    while first < blocks:
        block = first + tl.arange(0, BLOCK)
        row = row0 + _context(contexts_ptr, block, k, row0, block < blocks) + _CONTEXTS * choice
        tl.store(rows_ptr + 3 * block.to(tl.int64) + k, row.to(tl.uint8), mask=block < blocks)
        first += BLOCK


def run(
    mv: Tensor,
    overlap: Tensor,
    precision: Tensor,
    contexts: Tensor,
    costs: Tensor,
    residual: Tensor,
    choice: Tensor,
    rows: Tensor,
) -> None:
    """Operands as in the contract, checked and contiguous."""
    ranks, size = tables_on(mv.device)[1], (overlap.numel(), overlap.shape[1])
    operands = mv, overlap, precision, contexts, costs, ranks, residual, choice, rows
    _code_vectors[(3,)](*operands, *size, **TILE)
