"""Device code of conv1x1_u8: one program computes BLOCK_P pixels x all N channels.

Tile: at N = 64, C = 128 a program of 128 pixels reads 32 KB of stream and 8 KB of weights from L2, writes 8 KB, and
does 1.05 MMAC; 1080p (32400 pixels) is 254 programs, about two waves of 132 multiprocessors. Memory limits, not the
tensor cores: 40 bytes a pixel-channel of traffic against 8192 MACs a pixel.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import requant, store_u8, view

TILE = {"BLOCK_P": 128, "num_warps": 8}


@triton.jit
def _conv1x1_u8(
    # inputs
    x_ptr,  # int16 [P, C]
    w_ptr,  # int8 [N, C]
    bias_ptr,  # int32 [N]
    mult_ptr,  # int32 [N]
    # output
    out_ptr,  # int8 [P, N]
    # sizes
    P,
    C: tl.constexpr,
    N: tl.constexpr,
    # tile
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,  # power of two >= C, at least 32: what an int8 tl.dot needs
    BLOCK_N: tl.constexpr,  # power of two >= N, at least 16
):
    p = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    c, n = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_N)
    p_ok, c_ok, n_ok = p < P, c < C, n < N

    x = tl.load(x_ptr + p[:, None] * C + c[None, :], mask=p_ok[:, None] & c_ok[None, :], other=0)
    w = tl.load(w_ptr + n[None, :] * C + c[:, None], mask=n_ok[None, :] & c_ok[:, None], other=0)
    acc = tl.dot(view(x), w, out_dtype=tl.int32)  # [BLOCK_P, BLOCK_N]

    bias = tl.load(bias_ptr + n, mask=n_ok, other=0)
    mult = tl.load(mult_ptr + n, mask=n_ok, other=0)
    u = store_u8(requant(acc, bias[None, :], mult[None, :]))
    tl.store(out_ptr + p[:, None] * N + n[None, :], u, mask=p_ok[:, None] & n_ok[None, :])


def run(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    (H, W, C), N = x.shape, w.shape[0]
    P = H * W
    grid = (triton.cdiv(P, TILE["BLOCK_P"]),)
    blocks = {"BLOCK_C": max(32, triton.next_power_of_2(C)), "BLOCK_N": max(16, triton.next_power_of_2(N))}
    _conv1x1_u8[grid](x, w, bias, mult, out, P, C, N, **blocks, **TILE)
