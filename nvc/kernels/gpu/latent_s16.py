"""Device code of latent_s16: 16-bit latents in two halves, two products, one requantisation, the residual.

1080p (8160 positions), K = 320, N = 128: 128 programs of 64 positions; a position reads 896 and writes 256 bytes (9 MB:
2 us) for 2 x 41 KMAC (0.7 GMAC: 0.9 us).
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._dot import blocks, split_dot
from nvc.kernels.gpu._fixed import clamp16, requant


@triton.jit
def _latent_s16(
    # inputs
    x_ptr,  # int16 [P, K]
    res_ptr,  # int16 [P, N]
    w_ptr,  # int8 [N, K]
    bias_ptr,  # int32 [N]
    mult_ptr,  # int32 [N]
    # output
    out_ptr,  # int16 [P, N]
    # sizes
    P,
    K: tl.constexpr,
    N: tl.constexpr,
    # tile
    BLOCK_P: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    p = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    p_ok, n_ok = p < P, n < N
    ok = p_ok[:, None] & n_ok[None, :]

    acc = split_dot(x_ptr, w_ptr, p, n, p_ok, n_ok, K, BLOCK_P, BLOCK_N, BLOCK_K)

    bias = tl.load(bias_ptr + n, mask=n_ok, other=0)
    mult = tl.load(mult_ptr + n, mask=n_ok, other=0)
    res = tl.load(res_ptr + p[:, None] * N + n[None, :], mask=ok, other=0).to(tl.int32)
    y = clamp16(res + requant(acc, bias[None, :], mult[None, :]))
    tl.store(out_ptr + p[:, None] * N + n[None, :], y, mask=ok)


def run(x: Tensor, res: Tensor, w: Tensor, bias: Tensor, mult: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    (H, W, K), N = x.shape, w.shape[0]
    sizes = blocks(K, min(N, 64))  # two accumulators: half as wide
    grid = (triton.cdiv(H * W, sizes["BLOCK_P"]), triton.cdiv(N, sizes["BLOCK_N"]))
    _latent_s16[grid](x, res, w, bias, mult, out, H * W, K, N, **sizes)
