"""Device code of scatter: every element fetches the symbol of its rank. Two launches and scratch: see `_rank`."""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._rank import count, ranked


@triton.jit
def _scatter(
    # inputs
    symbols_ptr,  # int16 [M]
    index_ptr,  # uint8 [M]
    counts_ptr,  # int32, one for each program
    # output
    out_ptr,  # int16 [M]
    # sizes
    M,
    skip,
    # tile
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,  # power of two >= number of programs
):
    first, ok, _, coded, rank, _ = ranked(index_ptr, counts_ptr, M, skip, CHUNK, BLOCK_K)
    symbols = tl.load(symbols_ptr + rank, mask=coded, other=0)
    tl.store(out_ptr + first + tl.arange(0, CHUNK), symbols, mask=ok)


def run(symbols: Tensor, index: Tensor, skip: int, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    counts, grid, blocks = count(index, skip)
    _scatter[grid](symbols, index, counts, out, symbols.shape[0], skip, **blocks)
