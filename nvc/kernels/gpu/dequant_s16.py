"""Device code of dequant_s16: elementwise; one program has 16 pixels of one row x BLOCK_N channels.

1080p, N = 320: 8 x 68 x 3 programs of 2048 elements, 16 a thread; 6 bytes an element (16 MB: 4 us).
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._dot import table_row

TILE = {"BLOCK_X": 16, "num_warps": 4}
MAX_BLOCK_N = 128


@triton.jit
def _dequant_s16(
    # inputs
    q_ptr,  # int16 [H, W, N]
    mean_ptr,  # int16 [H, W, N]
    ginv_ptr,  # int32 [R, N]
    row_ptr,  # int32 [1]
    # output
    out_ptr,  # int16 [H, W, N]
    # sizes and choices
    W,
    R,
    N: tl.constexpr,
    PHASE: tl.constexpr,
    # tile
    BLOCK_X: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    y = tl.program_id(1)
    x = tl.program_id(0) * BLOCK_X + tl.arange(0, BLOCK_X)
    c = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    ok = (x < W)[:, None] & (c < N)[None, :]
    at = (y.to(tl.int64) * W + x)[:, None] * N + c[None, :]

    q = tl.load(q_ptr + at, mask=ok, other=0).to(tl.int32)
    v = 32 * q + tl.load(mean_ptr + at, mask=ok, other=0).to(tl.int32)
    ginv = tl.load(ginv_ptr + table_row(row_ptr, R) * N + c, mask=c < N, other=0)
    scaled = (v.to(tl.int64) * ginv.to(tl.int64)[None, :] + 32768) >> 16
    out = tl.minimum(tl.maximum(scaled, -32640), 32639).to(tl.int16)
    if PHASE != 2:
        parity = (y + x[:, None] + (c >= (N >> 1)).to(tl.int32)[None, :]) & 1
        out = tl.where(parity == PHASE, out, 0).to(tl.int16)
    tl.store(out_ptr + at, out, mask=ok)


def run(q: Tensor, mean: Tensor, ginv: Tensor, row: Tensor, phase: int, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    H, W, N = q.shape
    n = min(MAX_BLOCK_N, triton.next_power_of_2(N))
    grid = (triton.cdiv(W, TILE["BLOCK_X"]), H, triton.cdiv(N, n))
    _dequant_s16[grid](q, mean, ginv, row, out, W, ginv.shape[0], N=N, PHASE=phase, BLOCK_N=n, **TILE)
