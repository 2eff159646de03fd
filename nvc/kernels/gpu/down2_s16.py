"""Device code of down2_s16: `_down2` plus a second operand, which continues the same sum, rows of tables, and the layer
that follows, as in conv1x1_s16."""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu import conv1x1_u8
from nvc.kernels.gpu._dot import MAX_BEGUN, begin_next, table_row
from nvc.kernels.gpu._down2 import gathered_dot, plan
from nvc.kernels.gpu._fixed import clamp16, requant
from nvc.kernels.gpu._tile import tile_pixels


@triton.jit
def _down2_s16(
    # inputs
    x_ptr,  # int16 [H, W, C]
    b_ptr,  # int8 [h, w, K2], None where K2 = 0
    w_ptr,  # int8 [N, 4 C + K2]
    bias_ptr,  # int32 [R, N]
    mult_ptr,  # int32 [R, N]
    row_ptr,  # int32 [1]
    w_next_ptr,  # int8 [M, N], or None, and so on
    bias_next_ptr,  # int32 [M]
    mult_next_ptr,  # int32 [M]
    # output
    out_ptr,  # int16 [h, w, N]
    next_ptr,  # int8 [h, w, M]
    # sizes
    H,
    W,
    R,
    C: tl.constexpr,
    K2: tl.constexpr,
    N: tl.constexpr,
    M: tl.constexpr,  # 0 where no layer follows
    # tile
    BLOCK_C: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SLICES_LOG2: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    h, w2 = (H + 1) >> 1, (W + 1) >> 1
    K: tl.constexpr = 4 * C + K2
    y, z = tile_pixels()
    n = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    n_ok, p_ok = n < N, (y < h) & (z < w2)
    p = y.to(tl.int64) * w2 + z

    acc = gathered_dot(x_ptr, w_ptr, y, z, n, H, W, N, C, K, BLOCK_C, BLOCK_N, SLICES_LOG2)
    if K2 > 0:
        for k0 in range(0, K2, BLOCK_C):
            k = k0 + tl.arange(0, BLOCK_C)
            k_ok = k < K2
            b = tl.load(b_ptr + p[:, None] * K2 + k[None, :], mask=p_ok[:, None] & k_ok[None, :], other=0)
            w_at = n[None, :] * K + 4 * C + k[:, None]
            w = tl.load(w_ptr + w_at, mask=n_ok[None, :] & k_ok[:, None], other=0)
            acc = tl.dot(b, w, acc, out_dtype=tl.int32)

    r = table_row(row_ptr, R)
    bias = tl.load(bias_ptr + r * N + n, mask=n_ok, other=0)
    mult = tl.load(mult_ptr + r * N + n, mask=n_ok, other=0)
    v = requant(acc, bias[None, :], mult[None, :])
    tl.store(out_ptr + p[:, None] * N + n[None, :], clamp16(v), mask=p_ok[:, None] & n_ok[None, :])
    if M > 0:
        begin_next(v, w_next_ptr, bias_next_ptr, mult_next_ptr, next_ptr, p, n, p_ok, n_ok, N, M, BLOCK_M)


def run(x: Tensor, b: Tensor | None, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor, *last: Any) -> None:
    """Operands as in the contract, checked and contiguous. `last`: the tables of the next layer or None, then out and
    next."""
    (H, W, C), (N, K), R = x.shape, w.shape, bias.shape[0]
    w_next, bias_next, mult_next, out, after = last
    begins = after is not None and N <= MAX_BEGUN
    M = after.shape[2] if begins else 0
    grid, blocks = plan(x, N, begins)
    blocks["BLOCK_M"] = max(16, triton.next_power_of_2(M))
    _down2_s16[grid](x, b, w, bias, mult, row, *last, H, W, R, C, K - 4 * C, N, M, **blocks)
    if after is not None and not begins:
        conv1x1_u8.run(out, w_next, bias_next, mult_next, after)
