"""Device code of latent_up_s16: a program has 4 x 16 latents and one of the four positions above each.

So the upsampling is the addresses of what it loads and stores. 1080p, K = 320, C = N = 128: 8 x 17 tiles x 4
positions, 4 programs on each of 132 multiprocessors; 22 MB from HBM (5 us) for 98 KMAC a position (3.2 GMAC: 4.3 us at
1500 TOP/s). The latents are read four times, from L2. Eight warps hold two accumulators of 128 channels; half as many
channels and warps would read everything but the weights twice as often, 29 MB more.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._dot import blocks, split_dot, table_row, viewed_dot
from nvc.kernels.gpu._fixed import clamp16, requant
from nvc.kernels.gpu._tile import tile_grid, tile_pixels

TILE = {"num_warps": 8, "num_stages": 3}


@triton.jit
def _latent_up_s16(
    # inputs
    x_ptr,  # int16 [(h+1)/2, (w+1)/2, K]
    ctx_ptr,  # int16 [h, w, C]
    w1_ptr,  # int8 [4 N, K]
    w2_ptr,  # int8 [N, C]
    bias1_ptr,  # int32 [R, 4 N]
    mult1_ptr,  # int32 [R, 4 N]
    bias2_ptr,  # int32 [R, N]
    mult2_ptr,  # int32 [R, N]
    row_ptr,  # int32 [1]
    # output
    out_ptr,  # int16 [h, w, N]
    # sizes
    h,
    w,
    R,
    K: tl.constexpr,
    C: tl.constexpr,
    N: tl.constexpr,
    # tile
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    i = tl.program_id(2) & 3
    n = (tl.program_id(2) >> 2) * BLOCK_N + tl.arange(0, BLOCK_N)
    py, px = tile_pixels()
    y, x = 2 * py + (i >> 1), 2 * px + (i & 1)
    ok, n_ok = (y < h) & (x < w), n < N
    latent = py.to(tl.int64) * ((w + 1) >> 1) + px
    p = y.to(tl.int64) * w + x
    r = table_row(row_ptr, R)

    m = i * N + n
    acc = split_dot(x_ptr, w1_ptr, latent, m, ok, n_ok, K, 64, BLOCK_N, BLOCK_K)
    bias = tl.load(bias1_ptr + r * 4 * N + m, mask=n_ok, other=0)
    mult = tl.load(mult1_ptr + r * 4 * N + m, mask=n_ok, other=0)
    t = requant(acc, bias[None, :], mult[None, :])

    acc = tl.zeros((64, BLOCK_N), dtype=tl.int32)
    acc = viewed_dot(ctx_ptr, w2_ptr, acc, p, n, ok, n_ok, C, C, BLOCK_C)
    bias = tl.load(bias2_ptr + r * N + n, mask=n_ok, other=0)
    mult = tl.load(mult2_ptr + r * N + n, mask=n_ok, other=0)
    t += requant(acc, bias[None, :], mult[None, :])
    tl.store(out_ptr + p[:, None] * N + n[None, :], clamp16(t), mask=ok[:, None] & n_ok[None, :])


def run(
    x16: Tensor,
    ctx: Tensor,
    w1: Tensor,
    w2: Tensor,
    bias1: Tensor,
    mult1: Tensor,
    bias2: Tensor,
    mult2: Tensor,
    row: Tensor,
    out: Tensor,
) -> None:
    """Operands as in the contract, checked and contiguous."""
    (H, W, K), (h, w, C), N, R = x16.shape, ctx.shape, w2.shape[0], bias1.shape[0]
    sizes = blocks(K, N)
    tile = {"BLOCK_N": sizes["BLOCK_N"], "BLOCK_K": sizes["BLOCK_K"], "BLOCK_C": blocks(C, N)["BLOCK_K"], **TILE}
    slices = triton.cdiv(N, tile["BLOCK_N"])
    operands = x16, ctx, w1, w2, bias1, mult1, bias2, mult2, row, out
    _latent_up_s16[(*tile_grid(H, W), 4 * slices)](*operands, h, w, R, K, C, N, **tile)
