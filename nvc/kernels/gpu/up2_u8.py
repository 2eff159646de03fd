"""Device code of up2_u8: one program computes one of the four output phases of 4 x 16 input pixels, BLOCK_N channels.

Channels (dy, dx, n) of one phase are consecutive, so a program has one (dy, dx) and stores whole pixels, BLOCK_N bytes
side by side. 1080p, K = 128, N = 256: 4 x 9 tiles x 4 phases x 2 = 288 programs of 1 MMAC; each reads 8 KB of picture
(2 MB from L2 in all) and 16 KB of weights. The output is 2 MB: the time is that of a launch and of a few loads from L2.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import requant, store_u8
from nvc.kernels.gpu._tile import block_n, tile_grid, tile_pixels

TILE = {"num_warps": 4, "num_stages": 3}
MAX_BLOCK_K = 128


@triton.jit
def _up2_u8(
    # inputs
    x_ptr,  # int8 [H, W, K]
    w_ptr,  # int8 [4 N, K]
    bias_ptr,  # int32 [4 N]
    mult_ptr,  # int32 [4 N]
    # output
    out_ptr,  # int8 [height, width, N]
    # sizes
    height,
    width,
    K: tl.constexpr,
    N: tl.constexpr,
    # tile
    BLOCK_K: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    H, W = (height + 1) >> 1, (width + 1) >> 1
    y, x = tile_pixels()
    phase = tl.program_id(2) & 3
    n = (tl.program_id(2) >> 2) * BLOCK_N + tl.arange(0, BLOCK_N)
    n_ok, p_ok = n < N, (y < H) & (x < W)
    p, m = y.to(tl.int64) * W + x, phase * N + n

    acc = tl.zeros((64, BLOCK_N), dtype=tl.int32)
    for k0 in range(0, K, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        a = tl.load(x_ptr + p[:, None] * K + k[None, :], mask=p_ok[:, None] & (k < K)[None, :], other=0)
        w = tl.load(w_ptr + m[None, :] * K + k[:, None], mask=n_ok[None, :] & (k < K)[:, None], other=0)
        acc = tl.dot(a, w, acc, out_dtype=tl.int32)

    bias = tl.load(bias_ptr + m, mask=n_ok, other=0)
    mult = tl.load(mult_ptr + m, mask=n_ok, other=0)
    u = store_u8(requant(acc, bias[None, :], mult[None, :]))
    i, j = 2 * y + (phase >> 1), 2 * x + (phase & 1)
    at = (i.to(tl.int64) * width + j) * N
    tl.store(out_ptr + at[:, None] + n[None, :], u, mask=((i < height) & (j < width))[:, None] & n_ok[None, :])


def run(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous; the shape of `out` says how much is cropped."""
    (H, W, K), (height, width, N) = x.shape, out.shape
    n = block_n(H, W, N, parts=4)
    grid = (*tile_grid(H, W), 4 * triton.cdiv(N, n))
    blocks = {"BLOCK_K": min(MAX_BLOCK_K, max(32, triton.next_power_of_2(K))), "BLOCK_N": n}
    _up2_u8[grid](x, w, bias, mult, out, height, width, K, N, **blocks, **TILE)
