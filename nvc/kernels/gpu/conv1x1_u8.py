"""Device code of conv1x1_u8.

1080p, C = 128, N = 64: 510 programs, 3.9 on each of 132 multiprocessors; a pixel reads 256 and writes 64 bytes (10 MB:
2.4 us from HBM) for 8 KMAC (0.27 GMAC: 0.4 us). Memory limits.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._dot import blocks, viewed_dot
from nvc.kernels.gpu._fixed import requant, store_u8


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
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    p = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    p_ok, n_ok = p < P, n < N

    acc = tl.zeros((BLOCK_P, BLOCK_N), dtype=tl.int32)
    acc = viewed_dot(x_ptr, w_ptr, acc, p, n, p_ok, n_ok, C, C, BLOCK_K)

    bias = tl.load(bias_ptr + n, mask=n_ok, other=0)
    mult = tl.load(mult_ptr + n, mask=n_ok, other=0)
    u = store_u8(requant(acc, bias[None, :], mult[None, :]))
    tl.store(out_ptr + p[:, None] * N + n[None, :], u, mask=p_ok[:, None] & n_ok[None, :])


def run(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    (H, W, C), N = x.shape, w.shape[0]
    sizes = blocks(C, N)
    grid = triton.cdiv(H * W, sizes["BLOCK_P"]), triton.cdiv(N, sizes["BLOCK_N"])
    _conv1x1_u8[grid](x, w, bias, mult, out, H * W, C, N, **sizes)
