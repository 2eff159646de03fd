"""Device code of warp_s16: one program warps a square of 8x8 positions, BLOCK_C channels of each.

Tile: a square keeps the samples that neighbours share in the first-level cache: at C = 128 its 64 results read about
81 positions of 256 bytes when the motion is smooth. 1080p at 1/8 is 510 squares of 32 KB in and out: memory limits.
Eight warps have 32 values a thread in flight, four loads for each in vectors of eight channels.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._plane import clamped

TILE = {"num_warps": 8}
BLOCK_C = 128


@triton.jit
def _warp_s16(
    # inputs
    x_ptr,  # int16 [H, W, C]
    v_ptr,  # int16 [H, W, 2]
    # output
    out_ptr,  # int16 [H, W, C]
    # sizes
    H,
    W,
    C: tl.constexpr,
    # tile
    BLOCK_C: tl.constexpr,
):
    n = tl.arange(0, 64)
    y, x = 8 * tl.program_id(1) + (n >> 3), 8 * tl.program_id(0) + (n & 7)
    c = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)[None, :]
    inside = (y < H) & (x < W)
    ok = inside[:, None] & (c < C)
    p = y.to(tl.int64) * W + x

    dy = tl.load(v_ptr + 2 * p, mask=inside, other=0).to(tl.int32)
    dx = tl.load(v_ptr + 2 * p + 1, mask=inside, other=0).to(tl.int32)
    top, left = y + (dy >> 4), x + (dx >> 4)
    column, beside = clamped(left, W), clamped(left + 1, W)
    row, below = clamped(top, H).to(tl.int64) * W, clamped(top + 1, H).to(tl.int64) * W
    fy, fx = dy & 15, dx & 15

    total = tl.load(x_ptr + (row + column)[:, None] * C + c, mask=ok, other=0) * ((16 - fy) * (16 - fx))[:, None]
    total += tl.load(x_ptr + (row + beside)[:, None] * C + c, mask=ok, other=0) * ((16 - fy) * fx)[:, None]
    total += tl.load(x_ptr + (below + column)[:, None] * C + c, mask=ok, other=0) * (fy * (16 - fx))[:, None]
    total += tl.load(x_ptr + (below + beside)[:, None] * C + c, mask=ok, other=0) * (fy * fx)[:, None]
    tl.store(out_ptr + p[:, None] * C + c, ((total + 128) >> 8).to(tl.int16), mask=ok)


def run(x: Tensor, v: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    H, W, C = x.shape
    block = min(BLOCK_C, triton.next_power_of_2(C))
    grid = (triton.cdiv(W, 8), triton.cdiv(H, 8), triton.cdiv(C, block))
    _warp_s16[grid](x, v, out, H, W, C, block, **TILE)
