"""Device code of block_s16: one program takes 4 x 16 pixels through the whole chain, from h to the stream and, where a
layer follows, to its results: the view of the stream is in registers, and to read it again would be a launch.

Between the two halves of a block only h and the stream touch memory; d, x1, its view, the hidden sums and s stay in
registers and shared memory. The hidden layer goes in slices of BLOCK_S channels, at C <= 128 all at once: the four
groups of a slice are summed, requantised and multiplied into the last layer, so that no more than one slice is alive.

1080p, C = 128: 510 programs; each reads 49 KB of weights from L2 (25 MB in all: 4.5 us), the picture moves 576 bytes
a pixel (19 MB: 4.3 us) for 57 KMAC (1.9 GMAC: 2.5 us). The integer units have about as much to do as L2: 9 taps of K
channels and 3 C + K requantisations a pixel. Four warps, as 64 pixels are one matrix instruction of one warp group: of
eight warps, half would repeat what the others do. 255 registers without a spill; two programs on a multiprocessor.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import clamp8, clamp16, requant, store_u8, view
from nvc.kernels.gpu._tile import tile_grid, tile_pixels

TILE = {"num_warps": 4, "num_stages": 1}
MAX_BLOCK_S = 64


@triton.jit
def _requant(acc, bias_ptr, mult_ptr, n, ok):
    bias = tl.load(bias_ptr + n, mask=ok, other=0)
    mult = tl.load(mult_ptr + n, mask=ok, other=0)
    return requant(acc, bias[None, :], mult[None, :])


@triton.jit
def _pixel(h_ptr, y, x, k, H, W, K: tl.constexpr):
    """int32 [16, BLOCK_K] of pixels (y, x) of h_ptr, the tile's first; outside the picture h is -128."""
    top, left = tl.program_id(1) * 4, tl.program_id(0) * 16
    ok = ((top + y >= 0) & (top + y < H) & (left + x >= 0) & (left + x < W))[:, None] & (k < K)[None, :]
    return tl.load(h_ptr + ((y * W + x) * K)[:, None] + k[None, :], mask=ok, other=-128).to(tl.int32)


@triton.jit
def _depthwise(h_ptr, w_ptr, bias_ptr, mult_ptr, H, W, K: tl.constexpr, BLOCK_K: tl.constexpr):
    """int8 [64, BLOCK_K]: the depthwise layer. A thread has four neighbours in a row, a0..a3: of the nine pixels that
    each needs two thirds are shared, and to widen a byte costs as much as to multiply it."""
    i, k = tl.arange(0, 16), tl.arange(0, BLOCK_K)
    k_ok = k < K
    a0 = tl.zeros((16, BLOCK_K), dtype=tl.int32)
    a1, a2, a3 = a0, a0, a0
    for dy in range(3):
        w0 = tl.load(w_ptr + 3 * dy * K + k, mask=k_ok, other=0).to(tl.int32)[None, :]
        w1 = tl.load(w_ptr + (3 * dy + 1) * K + k, mask=k_ok, other=0).to(tl.int32)[None, :]
        w2 = tl.load(w_ptr + (3 * dy + 2) * K + k, mask=k_ok, other=0).to(tl.int32)[None, :]
        y, x = (i >> 2) + dy - 1, (i & 3) * 4
        h = _pixel(h_ptr, y, x - 1, k, H, W, K)
        a0 += h * w0
        h = _pixel(h_ptr, y, x, k, H, W, K)
        a0 += h * w1
        a1 += h * w0
        h = _pixel(h_ptr, y, x + 1, k, H, W, K)
        a0 += h * w2
        a1 += h * w1
        a2 += h * w0
        h = _pixel(h_ptr, y, x + 2, k, H, W, K)
        a1 += h * w2
        a2 += h * w1
        a3 += h * w0
        h = _pixel(h_ptr, y, x + 3, k, H, W, K)
        a2 += h * w2
        a3 += h * w1
        h = _pixel(h_ptr, y, x + 4, k, H, W, K)
        a3 += h * w2
    a0 = clamp8(_requant(a0, bias_ptr, mult_ptr, k, k_ok))
    a1 = clamp8(_requant(a1, bias_ptr, mult_ptr, k, k_ok))
    a2 = clamp8(_requant(a2, bias_ptr, mult_ptr, k, k_ok))
    a3 = clamp8(_requant(a3, bias_ptr, mult_ptr, k, k_ok))
    d = tl.join(tl.join(a0, a2), tl.join(a1, a3))  # [16, BLOCK_K, 2, 2]
    return tl.permute(d, (0, 2, 3, 1)).reshape(64, BLOCK_K)


@triton.jit
def _transposed(w_ptr, k, n, STRIDE: tl.constexpr, k_ok, n_ok):
    """int8 [k, n] of weights [., STRIDE]."""
    return tl.load(w_ptr + n[None, :] * STRIDE + k[:, None], mask=k_ok[:, None] & n_ok[None, :], other=0)


@triton.jit
def _block_s16(
    # inputs
    h_ptr,  # int8 [H, W, K]
    x_ptr,  # int16 [H, W, C]
    w_dw_ptr,  # int8 [9, K]
    bias_dw_ptr,  # int32 [K]
    mult_dw_ptr,  # int32 [K]
    w_proj_ptr,  # int8 [C, K]
    bias_proj_ptr,  # int32 [C]
    mult_proj_ptr,  # int32 [C]
    w_up_ptr,  # int8 [2 C, C]
    bias_up_ptr,  # int32 [2 C]
    mult_up_ptr,  # int32 [K]
    w_down_ptr,  # int8 [C, K]
    bias_down_ptr,  # int32 [C]
    mult_down_ptr,  # int32 [C]
    w_next_ptr,  # int8 [N, C], or None, and so on
    bias_next_ptr,  # int32 [N]
    mult_next_ptr,  # int32 [N]
    # output
    out_ptr,  # int16 [H, W, C], may be x: a program reads no other pixels of x than it writes
    next_ptr,  # int8 [H, W, N]
    # sizes
    H,
    W,
    C: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,  # 0 where no layer follows
    # tile
    BLOCK_C: tl.constexpr,  # powers of two >= C and K, at least 32
    BLOCK_K: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_N: tl.constexpr,  # power of two >= N, at least 16
):
    y, x = tile_pixels()
    c, k = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_K)
    c_ok, k_ok = c < C, k < K
    # 64-bit addresses for the tile's first pixel alone: the others lie at 32-bit offsets, which take half the registers
    first = tl.program_id(1).to(tl.int64) * 4 * W + tl.program_id(0) * 16
    pixel = (tl.arange(0, 64) >> 4) * W + (tl.arange(0, 64) & 15)
    at = (pixel * C)[:, None] + c[None, :]
    ok = ((y < H) & (x < W))[:, None] & c_ok[None, :]

    d = _depthwise(h_ptr + first * K, w_dw_ptr, bias_dw_ptr, mult_dw_ptr, H, W, K, BLOCK_K)
    acc = tl.dot(d, _transposed(w_proj_ptr, k, c, K, k_ok, c_ok), out_dtype=tl.int32)
    x1 = tl.load(x_ptr + first * C + at, mask=ok, other=0).to(tl.int32) + _requant(
        acc, bias_proj_ptr, mult_proj_ptr, c, c_ok
    )
    x1 = clamp16(x1)
    a = view(x1)

    acc = tl.zeros((64, BLOCK_C), dtype=tl.int32)
    for s0 in range(0, K, BLOCK_S):
        s = s0 + tl.arange(0, BLOCK_S)
        s_ok = s < K
        total = tl.zeros((64, BLOCK_S), dtype=tl.int32)
        # unrolled here: ptxas 12.8 unrolls such a loop too, but for sm_90 it then loses the products of two groups
        for group in tl.static_range(4):
            n = group * K + s
            g = tl.dot(a, _transposed(w_up_ptr, c, n, C, c_ok, s_ok), out_dtype=tl.int32)
            total += tl.maximum(g + tl.load(bias_up_ptr + n, mask=s_ok, other=0)[None, :], 0)
        mult = tl.load(mult_up_ptr + s, mask=s_ok, other=0)
        hidden = store_u8(requant(total, 0, mult[None, :]))
        acc = tl.dot(hidden, _transposed(w_down_ptr, s, c, K, s_ok, c_ok), acc, out_dtype=tl.int32)

    out = clamp16(x1.to(tl.int32) + _requant(acc, bias_down_ptr, mult_down_ptr, c, c_ok))
    # places anew, from a width that the compiler does not know to be W: it would keep those of x over the whole chain,
    # and spill. Of many ways to write this, it spills in none of the six architectures (at N = 128 in sm_86, a little)
    width = tl.maximum(W, 1)
    i, j = tl.arange(0, 64) >> 4, tl.arange(0, 64) & 15
    if N > 0:
        first = tl.program_id(1).to(tl.int64) * 4 * width + tl.program_id(0) * 16
        y, x = tl.program_id(1) * 4 + i, tl.minimum(tl.program_id(0), width) * 16 + j
    inside, pixel = (y < H) & (x < width), i * width + j
    at = (pixel * C)[:, None] + c[None, :]
    tl.store(out_ptr + first * C + at, out, mask=inside[:, None] & c_ok[None, :])
    if N > 0:
        n = tl.arange(0, BLOCK_N)
        n_ok = n < N
        acc = tl.dot(view(out), _transposed(w_next_ptr, c, n, C, c_ok, n_ok), out_dtype=tl.int32)
        u = store_u8(_requant(acc, bias_next_ptr, mult_next_ptr, n, n_ok))
        at = (pixel * N)[:, None] + n[None, :]
        tl.store(next_ptr + first * N + at, u, mask=inside[:, None] & n_ok[None, :])


def run(h: Tensor, x: Tensor, *rest: Tensor | None) -> None:
    """Operands as in the contract, checked and contiguous: h, x, the tables in their order, then out and next."""
    H, W, C = x.shape
    K, N = C // 2, 0 if rest[-1] is None else rest[-1].shape[2]
    block_c, block_k = (max(32, triton.next_power_of_2(n)) for n in (C, K))
    blocks = {"BLOCK_C": block_c, "BLOCK_K": block_k, "BLOCK_S": min(MAX_BLOCK_S, block_k)}
    blocks["BLOCK_N"] = max(16, triton.next_power_of_2(N))
    _block_s16[tile_grid(H, W)](h, x, *rest, H, W, C, K, N, **blocks, **TILE)
