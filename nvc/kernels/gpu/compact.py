"""Device code of compact: every program writes its coded elements from their rank on, and the zeros of its part of the
end. Both are writes to places that no other program touches. Two launches and scratch: see `_rank`."""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._rank import count as count_chunks
from nvc.kernels.gpu._rank import ranked


@triton.jit
def _kernel(
    # inputs
    x_ptr,  # int16 or uint8 [M]
    index_ptr,  # uint8 [M]
    counts_ptr,  # int32, one for each program
    # outputs
    packed_ptr,  # [M], as x
    count_ptr,  # int32 [1]
    # sizes
    M,
    skip,
    # tile
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,  # power of two >= number of programs
):
    i, coded, rank, total = ranked(index_ptr, counts_ptr, M, skip, CHUNK, BLOCK_K)
    tl.store(packed_ptr + rank, tl.load(x_ptr + i, mask=coded, other=0), mask=coded)
    zeros = tl.zeros((CHUNK,), dtype=packed_ptr.dtype.element_ty)
    tl.store(packed_ptr + i, zeros, mask=(i >= total) & (i < M))
    if tl.program_id(0) == 0:
        tl.store(count_ptr, total)


def run(x: Tensor, index: Tensor, skip: int, packed: Tensor, count: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    counts, grid, blocks = count_chunks(index, skip)
    _kernel[grid](x, index, counts, packed, count, x.shape[0], skip, **blocks)
