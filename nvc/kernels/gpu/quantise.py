"""Device code of quantise: elementwise, but for the sum over half the channels of a block; one program has 8 blocks of
one row x one of the halves.

1080p, N = 320, is 15 x 68 x 2 programs of 1280 elements, ten a thread; 7 bytes an element of memory traffic are all
there is to it (18 MB: 4.3 us). The table of offsets is 128 bytes and stays in L1.
"""

import triton
import triton.language as tl
from torch import Tensor

TILE = {"BLOCK_X": 8, "num_warps": 4}


@triton.jit
def _quantise(
    # inputs
    y_ptr,  # int16 [H, W, N]
    mean_ptr,  # int16 [H, W, N]
    index_ptr,  # uint8 [H, W, N]
    offset_ptr,  # int16 [64]
    vectors_ptr,  # int16 [H, W, 2], or None
    few_ptr,  # int32 [1]
    # output
    out_ptr,  # int16 [H, W, N]
    # sizes and choices
    W,
    skip,
    N: tl.constexpr,
    PHASE: tl.constexpr,
    # tile
    BLOCK_X: tl.constexpr,
    BLOCK_C: tl.constexpr,  # power of two >= the larger half of N
):
    row, part = tl.program_id(1), tl.program_id(2)
    x = tl.program_id(0) * BLOCK_X + tl.arange(0, BLOCK_X)
    i = tl.arange(0, BLOCK_C)
    half: tl.constexpr = (N + 1) // 2
    c, x_ok = part * half + i, x < W
    ok = x_ok[:, None] & ((i < half) & (c < N))[None, :]
    block = row.to(tl.int64) * W + x
    at = block[:, None] * N + c[None, :]

    index = tl.load(index_ptr + at, mask=ok, other=0).to(tl.int32)
    d = tl.load(y_ptr + at, mask=ok, other=0).to(tl.int32) - tl.load(mean_ptr + at, mask=ok, other=0).to(tl.int32)
    size = (tl.abs(d) + tl.load(offset_ptr + (index & 63)).to(tl.int32)) >> 5
    coded = index > skip
    if PHASE != 2:
        coded = coded & (((row + x + part) & 1) == PHASE)[:, None]
    size = tl.where(coded, size, 0)
    if vectors_ptr is not None:
        dy = tl.load(vectors_ptr + 2 * block, mask=x_ok, other=1).to(tl.int32)
        dx = tl.load(vectors_ptr + 2 * block + 1, mask=x_ok, other=1).to(tl.int32)
        kept = ((dy | dx) != 0) | (tl.sum(size, axis=1) > tl.load(few_ptr))
        size = tl.where(kept[:, None], size, 0)
    tl.store(out_ptr + at, tl.where(d < 0, -size, size).to(tl.int16), mask=ok)


def run(
    y: Tensor,
    mean: Tensor,
    index: Tensor,
    offset: Tensor,
    vectors: Tensor | None,
    few: Tensor,
    phase: int,
    skip: int,
    out: Tensor,
) -> None:
    """Operands as in the contract, checked and contiguous."""
    H, W, N = y.shape
    if not y.numel():
        return  # CUDA has no empty grid
    sizes = {"N": N, "PHASE": phase, "BLOCK_C": triton.next_power_of_2((N + 1) // 2)}
    grid = (triton.cdiv(W, TILE["BLOCK_X"]), H, 2)
    _quantise[grid](y, mean, index, offset, vectors, few, out, W, skip, **sizes, **TILE)
