"""Device code of conv1x1_s16: the stream's view and the second operand are two parts of one sum. Where a layer follows,
a program with all channels of its pixels has their view in registers; above 128 channels it would spill, and the layer
is a launch of its own.

1080p, C = 128, K2 = 96, N = 128: 507 programs, 3.8 on each of 132 multiprocessors; a pixel reads 352 and writes 256
bytes (20 MB: 5 us from HBM) for 29 KMAC (0.9 GMAC: 1.3 us). Memory limits.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu import conv1x1_u8
from nvc.kernels.gpu._dot import MAX_BEGUN, begin_next, blocks, table_row, viewed_dot
from nvc.kernels.gpu._fixed import clamp16, requant


@triton.jit
def _conv1x1_s16(
    # inputs
    x_ptr,  # int16 [P, C]
    b_ptr,  # int8 [P, K2], rows stride_b apart; None where K2 = 0
    w_ptr,  # int8 [N, C + K2]
    bias_ptr,  # int32 [R, N]
    mult_ptr,  # int32 [R, N]
    row_ptr,  # int32 [1]
    w_next_ptr,  # int8 [M, N], or None, and so on
    bias_next_ptr,  # int32 [M]
    mult_next_ptr,  # int32 [M]
    # output
    out_ptr,  # int16 [P, N]
    next_ptr,  # int8 [P, M]
    # sizes
    P,
    R,
    stride_b,
    C: tl.constexpr,
    K2: tl.constexpr,
    N: tl.constexpr,
    M: tl.constexpr,  # 0 where no layer follows
    DIFFERENCE: tl.constexpr,
    # tile
    BLOCK_P: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    p = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    p_ok, n_ok = p < P, n < N

    acc = tl.zeros((BLOCK_P, BLOCK_N), dtype=tl.int32)
    acc = viewed_dot(x_ptr, w_ptr, acc, p, n, p_ok, n_ok, C + K2, C, BLOCK_K)
    if K2 > 0:
        for k0 in range(0, K2, BLOCK_K):
            k = k0 + tl.arange(0, BLOCK_K)
            k_ok = k < K2
            b = tl.load(b_ptr + p[:, None] * stride_b + k[None, :], mask=p_ok[:, None] & k_ok[None, :], other=0)
            w_at = n[None, :] * (C + K2) + C + k[:, None]
            w = tl.load(w_ptr + w_at, mask=n_ok[None, :] & k_ok[:, None], other=0)
            acc = tl.dot(b, w, acc, out_dtype=tl.int32)

    r = table_row(row_ptr, R)
    bias = tl.load(bias_ptr + r * N + n, mask=n_ok, other=0)
    mult = tl.load(mult_ptr + r * N + n, mask=n_ok, other=0)
    y = requant(acc, bias[None, :], mult[None, :])
    if DIFFERENCE:
        # 32-bit offsets from the first pixel, which take half the registers
        b_ptr += tl.program_id(0).to(tl.int64) * BLOCK_P * stride_b
        b_at, b_ok = (tl.arange(0, BLOCK_P) * stride_b)[:, None] + n[None, :], p_ok[:, None] & (n < K2 // 2)[None, :]
        first = tl.load(b_ptr + b_at, mask=b_ok, other=0).to(tl.int32)
        second = tl.load(b_ptr + b_at + K2 // 2, mask=b_ok, other=0).to(tl.int32)
        y = clamp16(y).to(tl.int32) + 8 * (first - second)
    tl.store(out_ptr + p[:, None] * N + n[None, :], clamp16(y), mask=p_ok[:, None] & n_ok[None, :])
    if M > 0:
        begin_next(y, w_next_ptr, bias_next_ptr, mult_next_ptr, next_ptr, p, n, p_ok, n_ok, N, M, BLOCK_M)


def run(
    x: Tensor, b: Tensor | None, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor, difference: bool, *last: Any
) -> None:
    """Operands as in the contract, checked; contiguous except for the pixels of b. `last`: the tables of the next layer
    or None, then out and next."""
    (H, W, C), (N, K), R = x.shape, w.shape, bias.shape[0]
    w_next, bias_next, mult_next, out, after = last
    begins = after is not None and N <= MAX_BEGUN
    M = after.shape[2] if begins else 0
    sizes = blocks(max(C, K - C), N) | {"BLOCK_M": max(16, triton.next_power_of_2(M))}
    grid = triton.cdiv(H * W, sizes["BLOCK_P"]), triton.cdiv(N, sizes["BLOCK_N"])
    stride = 0 if b is None else b.stride(1)
    operands = x, b, w, bias, mult, row, *last
    _conv1x1_s16[grid](*operands, H * W, R, stride, C, K - C, N, M, difference, **sizes)
    if after is not None and not begins:
        conv1x1_u8.run(out, w_next, bias_next, mult_next, after)
