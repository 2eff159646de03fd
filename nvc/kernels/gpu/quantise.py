"""Device code of quantise: elementwise; one program has 16 pixels of one row x BLOCK_N channels.

1080p is 8 x 68 programs of 2048 elements, 16 a thread, so that loads and stores are 16 bytes wide; 7 bytes an element
of memory traffic are all there is to it (7 MB: 2 us). The table of offsets is 128 bytes and stays in L1.
"""

import triton
import triton.language as tl
from torch import Tensor

TILE = {"BLOCK_X": 16, "num_warps": 4}
MAX_BLOCK_N = 128


@triton.jit
def _quantise(
    # inputs
    y_ptr,  # int16 [H, W, N]
    mean_ptr,  # int16 [H, W, N]
    index_ptr,  # uint8 [H, W, N]
    offset_ptr,  # int16 [64]
    # output
    out_ptr,  # int16 [H, W, N]
    # sizes and choices
    W,
    skip,
    N: tl.constexpr,
    PHASE: tl.constexpr,
    # tile
    BLOCK_X: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    row = tl.program_id(1)
    x = tl.program_id(0) * BLOCK_X + tl.arange(0, BLOCK_X)
    c = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    ok = (x < W)[:, None] & (c < N)[None, :]
    at = (row.to(tl.int64) * W + x)[:, None] * N + c[None, :]

    index = tl.load(index_ptr + at, mask=ok, other=0).to(tl.int32)
    d = tl.load(y_ptr + at, mask=ok, other=0).to(tl.int32) - tl.load(mean_ptr + at, mask=ok, other=0).to(tl.int32)
    size = (tl.abs(d) + tl.load(offset_ptr + (index & 63)).to(tl.int32)) >> 5
    coded = index > skip
    if PHASE != 2:
        coded = coded & (((row + x[:, None] + (2 * c >= N).to(tl.int32)[None, :]) & 1) == PHASE)
    q = tl.where(coded, tl.where(d < 0, -size, size), 0)
    tl.store(out_ptr + at, q.to(tl.int16), mask=ok)


def run(y: Tensor, mean: Tensor, index: Tensor, offset: Tensor, phase: int, skip: int, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    H, W, N = y.shape
    if not y.numel():
        return  # CUDA has no empty grid
    n = min(MAX_BLOCK_N, triton.next_power_of_2(N))
    grid = (triton.cdiv(W, TILE["BLOCK_X"]), H, triton.cdiv(N, n))
    _quantise[grid](y, mean, index, offset, out, W, skip, N=N, PHASE=phase, BLOCK_N=n, **TILE)
