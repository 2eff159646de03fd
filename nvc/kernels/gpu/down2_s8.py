"""Device code of down2_s8: `_down2` on int8, then the clamp."""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._down2 import gathered_dot, plan
from nvc.kernels.gpu._fixed import clamp8, requant
from nvc.kernels.gpu._tile import tile_pixels


@triton.jit
def _down2_s8(
    # inputs
    x_ptr,  # int8 [H, W, C]
    w_ptr,  # int8 [N, 4 C]
    bias_ptr,  # int32 [N]
    mult_ptr,  # int32 [N]
    # output
    out_ptr,  # int8 [h, w, N]
    # sizes
    H,
    W,
    C: tl.constexpr,
    N: tl.constexpr,
    # tile
    BLOCK_C: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SLICES_LOG2: tl.constexpr,
):
    h, w2 = (H + 1) >> 1, (W + 1) >> 1
    y, z = tile_pixels()
    n = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    n_ok, p_ok = n < N, (y < h) & (z < w2)
    p = y.to(tl.int64) * w2 + z

    acc = gathered_dot(x_ptr, w_ptr, y, z, n, H, W, N, C, 4 * C, BLOCK_C, BLOCK_N, SLICES_LOG2)

    bias = tl.load(bias_ptr + n, mask=n_ok, other=0)
    mult = tl.load(mult_ptr + n, mask=n_ok, other=0)
    v = clamp8(requant(acc, bias[None, :], mult[None, :]))
    tl.store(out_ptr + p[:, None] * N + n[None, :], v, mask=p_ok[:, None] & n_ok[None, :])


def run(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    (H, W, C), N = x.shape, w.shape[0]
    grid, blocks = plan(x, N)
    _down2_s8[grid](x, w, bias, mult, out, H, W, C, N, **blocks)
