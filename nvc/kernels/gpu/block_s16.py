"""Device code of block_s16: one program takes 4 x 16 pixels through the whole chain, from nine shifted loads to the
stream.

Between the two halves of a block only h and the stream touch memory; d, x1, its view, the hidden sums and s stay in
registers and shared memory. The hidden layer goes in slices of BLOCK_S channels: the four groups of a slice are
summed, requantised and at once multiplied into the last layer, so that no more than one slice is alive.

1080p, C = 128: 510 programs; each reads 49 KB of weights from L2 (25 MB in all: 4.5 us), the picture moves 576 bytes
a pixel (19 MB: 4.3 us) for 57 KMAC (1.9 GMAC: 2.5 us). More than either, the integer units have to do: 9 taps of K
channels and 3 C + K requantisations a pixel. Eight warps halve the accumulators of a thread, so that nothing
spills: 167 registers on sm_90, 255 on sm_80.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import clamp8, clamp16, requant, store_u8, view
from nvc.kernels.gpu._tile import tile_grid, tile_pixels

TILE = {"num_warps": 8, "num_stages": 1}
MAX_BLOCK_S = 32


@triton.jit
def _depthwise(h_ptr, w_ptr, y, x, at, k, H, W, K: tl.constexpr, BLOCK_K: tl.constexpr):
    """int32 [64, BLOCK_K]: sums of the nine taps of the pixels `at` h_ptr; outside the picture h is -128."""
    acc = tl.zeros((64, BLOCK_K), dtype=tl.int32)
    for t in tl.static_range(9):
        dy = t // 3 - 1
        dx = t % 3 - 1
        ok = ((y + dy >= 0) & (y + dy < H) & (x + dx >= 0) & (x + dx < W))[:, None] & (k < K)[None, :]
        h = tl.load(h_ptr + ((at + dy * W + dx) * K)[:, None] + k[None, :], mask=ok, other=-128)
        w = tl.load(w_ptr + t * K + k, mask=k < K, other=0)
        acc += h.to(tl.int32) * w.to(tl.int32)[None, :]
    return acc


@triton.jit
def _requant(acc, bias_ptr, mult_ptr, n, ok):
    bias = tl.load(bias_ptr + n, mask=ok, other=0)
    mult = tl.load(mult_ptr + n, mask=ok, other=0)
    return requant(acc, bias[None, :], mult[None, :])


@triton.jit
def _transposed(w_ptr, k, n, STRIDE: tl.constexpr, k_ok, n_ok):
    """int8 [k, n] of weights [., STRIDE]."""
    return tl.load(w_ptr + n[None, :] * STRIDE + k[:, None], mask=k_ok[:, None] & n_ok[None, :], other=0)


@triton.jit
def _kernel(
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
    # output
    out_ptr,  # int16 [H, W, C], may be x: a program reads no other pixels of x than it writes
    # sizes
    H,
    W,
    C: tl.constexpr,
    K: tl.constexpr,
    # tile
    BLOCK_C: tl.constexpr,  # powers of two >= C and K, at least 32
    BLOCK_K: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    y, x = tile_pixels()
    c, k = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_K)
    c_ok, k_ok = c < C, k < K
    # 64-bit addresses for the tile's first pixel alone: the others lie at 32-bit offsets, which take half the registers
    first = tl.program_id(1).to(tl.int64) * 4 * W + tl.program_id(0) * 16
    pixel = (tl.arange(0, 64) >> 4) * W + (tl.arange(0, 64) & 15)
    at = (pixel * C)[:, None] + c[None, :]
    ok = ((y < H) & (x < W))[:, None] & c_ok[None, :]

    d = clamp8(
        _requant(
            _depthwise(h_ptr + first * K, w_dw_ptr, y, x, pixel, k, H, W, K, BLOCK_K), bias_dw_ptr, mult_dw_ptr, k, k_ok
        )
    )
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
        for group in range(4):
            n = group * K + s
            g = tl.dot(a, _transposed(w_up_ptr, c, n, C, c_ok, s_ok), out_dtype=tl.int32)
            total += tl.maximum(g + tl.load(bias_up_ptr + n, mask=s_ok, other=0)[None, :], 0)
        mult = tl.load(mult_up_ptr + s, mask=s_ok, other=0)
        hidden = store_u8(requant(total, 0, mult[None, :]))
        acc = tl.dot(hidden, _transposed(w_down_ptr, s, c, K, s_ok, c_ok), acc, out_dtype=tl.int32)

    out = clamp16(x1.to(tl.int32) + _requant(acc, bias_down_ptr, mult_down_ptr, c, c_ok))
    tl.store(out_ptr + first * C + at, out, mask=ok)


def run(h: Tensor, x: Tensor, *rest: Tensor) -> None:
    """Operands as in the contract, checked and contiguous: h, x, the tables in their order, then out."""
    H, W, C = x.shape
    K = C // 2
    block_c, block_k = (max(32, triton.next_power_of_2(n)) for n in (C, K))
    blocks = {"BLOCK_C": block_c, "BLOCK_K": block_k, "BLOCK_S": min(MAX_BLOCK_S, block_k)}
    _kernel[tile_grid(H, W)](h, x, *rest, H, W, C, K, **blocks, **TILE)
