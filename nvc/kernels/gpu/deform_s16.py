"""Device code of deform_s16: one program samples a square of 8x8 positions and multiplies with BLOCK_M results.

Tile: slices of 64 channels (groups, or parts of one) one after the other, and in each the 9 N taps: [64, 64] samples of
four gathers each, then an int8 product with [64, BLOCK_M], summed in registers all the way. Sampling, about 16
instructions a sample, outweighs the product; yet 256 results a program, sampled once, would spill on sm_80. The square
and the slice keep what taps and neighbours share in the first-level cache: about 13 KB of a support, when the motion is
smooth. 1080p at 1/8 is 510 squares, about four for each of 132 multiprocessors.
"""

from math import gcd

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import clamp8, clamp16, requant
from nvc.kernels.gpu._plane import clamped

TILE = {"num_warps": 8, "num_stages": 1}
BLOCK_M, SLICE = 128, 64


@triton.jit
def _gathered(x_ptr, position, C: tl.constexpr, channel, ok, weight):
    """Weighted samples at positions [64, BLOCK_G] of all supports: int32 [64, BLOCK_G, BLOCK_C]."""
    return tl.load(x_ptr + position[:, :, None] * C + channel, mask=ok, other=0) * weight[:, :, None]


@triton.jit
def _deform_s16(
    # inputs
    x_ptr,  # int16 [N, H, W, C]
    offset_ptr,  # int16 [H, W, N, G, 9, 2]
    mask_ptr,  # uint8 [H, W, N, G, 9]
    w_ptr,  # int8 [M, 9 N C]
    bias_ptr,  # int32 [M]
    mult_ptr,  # int32 [M]
    # output
    out_ptr,  # int16 [H, W, M]
    # sizes
    H,
    W,
    N: tl.constexpr,
    C: tl.constexpr,
    G: tl.constexpr,
    M: tl.constexpr,
    # tile
    BLOCK_G: tl.constexpr,  # groups of a slice, a power of two
    BLOCK_C: tl.constexpr,  # channels of each, a power of two; BLOCK_G * BLOCK_C >= 32: what an int8 tl.dot needs
    ALIGNED: tl.constexpr,  # greatest common divisor of C / G and BLOCK_C
    BLOCK_M: tl.constexpr,
):
    q = tl.arange(0, 64)
    y, x = 8 * tl.program_id(1) + (q >> 3), 8 * tl.program_id(0) + (q & 7)
    p, p_ok = y.to(tl.int64) * W + x, (y < H) & (x < W)
    m = tl.program_id(2) * BLOCK_M + tl.arange(0, BLOCK_M)
    m_ok = m < M
    w_ptr += m.to(tl.int64)[None, :] * (9 * N * C)

    acc = tl.zeros((64, BLOCK_M), tl.int32)
    for first_g in range(0, G, BLOCK_G):
        for first_c in range(0, C // G, BLOCK_C):
            g, c = first_g + tl.arange(0, BLOCK_G)[None, :], first_c + tl.arange(0, BLOCK_C)[None, None, :]
            g_ok, c_ok = p_ok[:, None] & (g < G), (g < G)[:, :, None] & (c < C // G)
            ok = p_ok[:, None, None] & c_ok  # [64, BLOCK_G, BLOCK_C]
            channel = (g * (C // G))[:, :, None] + c
            # the compiler must be told what it would know before `reshape`, or it reads weights byte by byte
            k = tl.max_contiguous(tl.multiple_of(channel.reshape(BLOCK_G * BLOCK_C), ALIGNED), BLOCK_C)
            k_ok = tl.max_constancy(c_ok.reshape(BLOCK_G * BLOCK_C), ALIGNED)
            for tap in range(9 * N):
                n = (tap * 7282) >> 16  # tap / 9 for tap <= 4608
                t = tap - 9 * n
                i = (t * 11) >> 5  # t / 3
                at = ((p * N + n)[:, None] * G + g) * 9 + t
                dy = tl.load(offset_ptr + 2 * at, mask=g_ok, other=0).to(tl.int32)
                dx = tl.load(offset_ptr + 2 * at + 1, mask=g_ok, other=0).to(tl.int32)
                scale = tl.load(mask_ptr + at, mask=g_ok, other=0).to(tl.int32)

                top, left = y[:, None] + i - 1 + (dy >> 4), x[:, None] + t - 3 * i - 1 + (dx >> 4)
                column, beside = clamped(left, W), clamped(left + 1, W)
                row, below = (n * H + clamped(top, H)).to(tl.int64) * W, (n * H + clamped(top + 1, H)).to(tl.int64) * W
                upper, lower, right = (16 - (dy & 15)) * scale, (dy & 15) * scale, dx & 15
                s = _gathered(x_ptr, row + column, C, channel, ok, upper * (16 - right))
                s += _gathered(x_ptr, row + beside, C, channel, ok, upper * right)
                s += _gathered(x_ptr, below + column, C, channel, ok, lower * (16 - right))
                s += _gathered(x_ptr, below + beside, C, channel, ok, lower * right)
                a = clamp8((s + 2**17) >> 18).reshape(64, BLOCK_G * BLOCK_C)
                w = tl.load(w_ptr + tap * C + k[:, None], mask=m_ok[None, :] & k_ok[:, None], other=0)
                acc = tl.dot(a, w, acc, out_dtype=tl.int32)

    bias = tl.load(bias_ptr + m, mask=m_ok, other=0)
    mult = tl.load(mult_ptr + m, mask=m_ok, other=0)
    v = clamp16(requant(acc, bias[None, :], mult[None, :]))
    tl.store(out_ptr + p[:, None] * M + m[None, :], v, mask=p_ok[:, None] & m_ok[None, :])


def run(x: Tensor, offset: Tensor, mask: Tensor, w: Tensor, bias: Tensor, mult: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    (N, H, W, C), G, M = x.shape, mask.shape[3], w.shape[0]
    block_m = min(BLOCK_M, max(16, triton.next_power_of_2(M)))
    block_c = min(SLICE, triton.next_power_of_2(C // G))
    block_g = min(SLICE // block_c, triton.next_power_of_2(G))
    block_c = max(block_c, 32 // block_g)
    blocks = {"BLOCK_G": block_g, "BLOCK_C": block_c, "ALIGNED": gcd(C // G, block_c), "BLOCK_M": block_m}
    grid = (triton.cdiv(W, 8), triton.cdiv(H, 8), triton.cdiv(M, block_m))
    _deform_s16[grid](x, offset, mask, w, bias, mult, out, H, W, N, C, G, M, **blocks, **TILE)
