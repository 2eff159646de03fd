"""Matrix products of the pointwise kernels: BLOCK_P pixels x BLOCK_N channels, the inputs in slices of BLOCK_K.

At C = 128 and BLOCK_P = 64 the stream's view is 8 KB a slice of 64 and the weights 8 KB at BLOCK_N = 128: small
enough for several programs on each multiprocessor, whose loads hide each other's latency.
"""

import triton
import triton.language as tl

from nvc.kernels.gpu._fixed import requant, store_u8, view

TILE = {"num_warps": 4, "num_stages": 3}
MAX_BLOCK_K = 64
PIXELS = 64  # the M of Hopper's matrix instruction
MAX_BEGUN = 128  # channels: a program with all of its pixels' channels would spill above


@triton.jit
def viewed_dot(x_ptr, w_ptr, acc, p, n, p_ok, n_ok, stride_w, C: tl.constexpr, BLOCK_K: tl.constexpr):
    """acc + the 8-bit view of stream rows p [P, C] times the first C inputs of weight rows n."""
    for k0 in range(0, C, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        x = tl.load(x_ptr + p[:, None] * C + k[None, :], mask=p_ok[:, None] & (k < C)[None, :], other=0)
        w = tl.load(w_ptr + n[None, :] * stride_w + k[:, None], mask=n_ok[None, :] & (k < C)[:, None], other=0)
        acc = tl.dot(view(x), w, acc, out_dtype=tl.int32)
    return acc


@triton.jit
def split_dot(
    x_ptr, w_ptr, p, n, p_ok, n_ok, K: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr
):
    """int32 products of int16 rows p [P, K] with weight rows n [N, K], by way of their high and low halves."""
    high = tl.zeros((BLOCK_P, BLOCK_N), dtype=tl.int32)
    low = tl.zeros((BLOCK_P, BLOCK_N), dtype=tl.int32)
    for k0 in range(0, K, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        x = tl.load(x_ptr + p[:, None] * K + k[None, :], mask=p_ok[:, None] & (k < K)[None, :], other=0)
        w = tl.load(w_ptr + n[None, :] * K + k[:, None], mask=n_ok[None, :] & (k < K)[:, None], other=0)
        # x - low = (x + 128) & ~255, and x <= 32639: no more than 16 bits are needed
        high = tl.dot(((x + 128) >> 8).to(tl.int8), w, high, out_dtype=tl.int32)
        low = tl.dot(x.to(tl.int8), w, low, out_dtype=tl.int32)  # the signed low byte
    return 256 * high + low


@triton.jit
def begin_next(
    y, w_ptr, bias_ptr, mult_ptr, next_ptr, p, n, p_ok, n_ok, N: tl.constexpr, M: tl.constexpr, BLOCK_M: tl.constexpr
):
    """The layer that reads the results y next, of pixels p and of all their channels n: its int8 [P, M]. y may be int32
    values that are not yet limited to 16 bits."""
    m = tl.arange(0, BLOCK_M)
    m_ok = m < M
    w = tl.load(w_ptr + m[None, :] * N + n[:, None], mask=m_ok[None, :] & n_ok[:, None], other=0)
    acc = tl.dot(view(y), w, out_dtype=tl.int32)
    bias = tl.load(bias_ptr + m, mask=m_ok, other=0)
    mult = tl.load(mult_ptr + m, mask=m_ok, other=0)
    u = store_u8(requant(acc, bias[None, :], mult[None, :]))
    tl.store(next_ptr + p[:, None] * M + m[None, :], u, mask=p_ok[:, None] & m_ok[None, :])


@triton.jit
def table_row(row_ptr, R):
    """The row of the tables, never past them, whatever the operand says."""
    return tl.minimum(tl.maximum(tl.load(row_ptr), 0), R - 1)


def blocks(K: int, N: int) -> dict[str, int]:
    """Compile-time sizes for K inputs and N outputs: powers of two, at least what an int8 tl.dot takes."""
    k = min(MAX_BLOCK_K, max(32, triton.next_power_of_2(K)))
    return {"BLOCK_P": PIXELS, "BLOCK_N": min(128, max(16, triton.next_power_of_2(N))), "BLOCK_K": k, **TILE}
