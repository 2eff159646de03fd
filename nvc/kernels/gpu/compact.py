"""Device code of compact: every program writes its coded elements from their rank on, and the zeros of its part of the
end. Both are writes to places that no other program touches. Two launches and scratch: see `_rank`."""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._rank import count as count_chunks
from nvc.kernels.gpu._rank import ranked, within


@triton.jit
def _compact(
    # inputs
    x_ptr,  # int16 [M] or None
    index_ptr,  # uint8 [M]
    counts_ptr,  # int32, one for each program
    # outputs
    rows_ptr,  # uint8 [M]
    count_ptr,  # int32 [1]
    packed_ptr,  # int16 [M] or None
    # sizes
    M,
    skip,
    # tile
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,  # power of two >= number of programs
):
    first, ok, index, coded, rank, total = ranked(index_ptr, counts_ptr, M, skip, CHUNK, BLOCK_K)
    n, zeros = tl.arange(0, CHUNK), tl.zeros((CHUNK,), dtype=tl.int32)
    behind = ok & (n >= within(total, first, CHUNK))
    tl.store(rows_ptr + rank, index, mask=coded)
    tl.store(rows_ptr + first + n, zeros.to(tl.uint8), mask=behind)
    if x_ptr is not None:
        tl.store(packed_ptr + rank, tl.load(x_ptr + first + n, mask=ok, other=0), mask=coded)
        tl.store(packed_ptr + first + n, zeros.to(tl.int16), mask=behind)
    if tl.program_id(0) == 0:
        tl.store(count_ptr, total)


def run(index: Tensor, skip: int, x: Tensor | None, rows: Tensor, count: Tensor, packed: Tensor | None) -> None:
    """Operands as in the contract, checked and contiguous."""
    counts, grid, blocks = count_chunks(index, skip)
    _compact[grid](x, index, counts, rows, count, packed, index.shape[0], skip, **blocks)
