"""Device code of recon_u8: one program computes 4 x 16 positions, that is 32 x 128 luma samples with their chroma.

Luma and chroma are 64 and 32 of the 96 channels, both powers of two; each has a product for the residual and one for
the gate: 192 columns, 96 accumulators a thread. A tile is then permuted to the raster order of its plane, so that
stores are runs of 128 and 64 bytes. 1080p, C = 128: 15 x 34 programs; a position moves 2 C + 192 bytes (15 MB: 3 us)
for 25 KMAC; a block adds its symbols, 640 bytes (5 MB: 1 us). Slices of 64 channels keep the stages small, 8 KB of
features and 12 KB of weights: three programs run on a multiprocessor.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import clamp8, clamp16, requant, view
from nvc.kernels.gpu._tile import tile_grid, tile_pixels

TILE = {"num_warps": 4, "num_stages": 3}
MAX_BLOCK_C = 64
MAX_BLOCK_Q = 64


@triton.jit
def _weights(w_ptr, k, c, C: tl.constexpr):
    return tl.load(w_ptr + k[None, :] * C + c[:, None], mask=(c < C)[:, None], other=0)


@triton.jit
def _pixels(x, r, g, k, pred, copied, bias_ptr, mult_ptr):
    """Residuals x, their correction and gate of channels k with the prediction, or that alone, to uint8 samples."""
    r = clamp16(requant(r, tl.load(bias_ptr + k)[None, :], tl.load(mult_ptr + k)[None, :])).to(tl.int32)
    r += x.to(tl.int32)
    g = requant(g, tl.load(bias_ptr + 96 + k)[None, :], tl.load(mult_ptr + 96 + k)[None, :])
    g = tl.minimum(tl.maximum(g, 0), 64)
    s = clamp8((8 * r + g * pred.to(tl.int32) + 32) >> 6)
    return (tl.where(copied[:, None], pred.to(tl.int32), s.to(tl.int32)) + 128).to(tl.uint8)


@triton.jit
def _copied(q_ptr, mv_ptr, h, w, N: tl.constexpr, BLOCK_Q: tl.constexpr):
    """int1 [64]: whether each position of the tile, 2 x 8 blocks of 2 x 2 positions, lies in a copied block."""
    i = tl.arange(0, 16)
    a, b = tl.program_id(1) * 2 + (i >> 3), tl.program_id(0) * 8 + (i & 7)
    ok = (a < (h >> 1)) & (b < (w >> 1))
    block = a.to(tl.int64) * (w >> 1) + b
    busy = tl.load(mv_ptr + 2 * block, mask=ok, other=0) | tl.load(mv_ptr + 2 * block + 1, mask=ok, other=0)
    busy = (busy & 3).to(tl.int32)
    for n0 in range(0, N, BLOCK_Q):
        n = n0 + tl.arange(0, BLOCK_Q)
        q = tl.load(q_ptr + block[:, None] * N + n[None, :], mask=ok[:, None] & (n < N)[None, :], other=0)
        busy |= tl.max((q != 0).to(tl.int32), 1)
    busy = tl.broadcast_to(tl.reshape(busy, (2, 1, 8, 1)), (2, 2, 8, 2))
    return tl.reshape(busy, (64,)) == 0


@triton.jit
def _store(s, plane_ptr, h, w, SIDE: tl.constexpr):
    """Samples [64, SIDE^2] of the tile's positions to their SIDE x SIDE squares of a plane [SIDE h, SIDE w]."""
    s = tl.permute(tl.reshape(s, (4, 16, SIDE, SIDE)), (0, 2, 1, 3))
    s = tl.reshape(s, (4 * SIDE, 16 * SIDE))
    row = tl.program_id(1) * 4 * SIDE + tl.arange(0, 4 * SIDE)
    column = tl.program_id(0) * 16 * SIDE + tl.arange(0, 16 * SIDE)
    at = row.to(tl.int64)[:, None] * (w * SIDE) + column[None, :]
    tl.store(plane_ptr + at, s, mask=(row < h * SIDE)[:, None] & (column < w * SIDE)[None, :])


@triton.jit
def _recon_u8(
    # inputs
    x_ptr,  # int16 [h, w, C]
    pred_ptr,  # int8 [h, w, 96], channels contiguous
    w_ptr,  # int8 [192, C]
    bias_ptr,  # int32 [R, 192]
    mult_ptr,  # int32 [R, 192]
    row_ptr,  # int32 [1]
    q_ptr,  # int16 [h / 2, w / 2, N]
    mv_ptr,  # int16 [h / 2, w / 2, 2]
    # outputs
    y_ptr,  # uint8 [8 h, 8 w]
    u_ptr,  # uint8 [4 h, 4 w]
    v_ptr,  # uint8 [4 h, 4 w]
    # sizes, then strides of pred in elements
    h,
    w,
    R,
    stride_py,
    stride_px,
    C: tl.constexpr,
    N: tl.constexpr,  # 0 in a keyframe, which copies nothing
    # tile
    BLOCK_C: tl.constexpr,
    BLOCK_Q: tl.constexpr,
):
    a, b = tile_pixels()
    p_ok = (a < h) & (b < w)
    p = a.to(tl.int64) * w + b
    luma, chroma = tl.arange(0, 64), 64 + tl.arange(0, 32)

    r0, g0 = tl.zeros((64, 64), dtype=tl.int32), tl.zeros((64, 64), dtype=tl.int32)
    r1, g1 = tl.zeros((64, 32), dtype=tl.int32), tl.zeros((64, 32), dtype=tl.int32)
    for c0 in range(0, C, BLOCK_C):
        c = c0 + tl.arange(0, BLOCK_C)
        x = view(tl.load(x_ptr + p[:, None] * C + c[None, :], mask=p_ok[:, None] & (c < C)[None, :], other=0))
        r0 = tl.dot(x, _weights(w_ptr, luma, c, C), r0, out_dtype=tl.int32)
        g0 = tl.dot(x, _weights(w_ptr, 96 + luma, c, C), g0, out_dtype=tl.int32)
        r1 = tl.dot(x, _weights(w_ptr, chroma, c, C), r1, out_dtype=tl.int32)
        g1 = tl.dot(x, _weights(w_ptr, 96 + chroma, c, C), g1, out_dtype=tl.int32)

    copied = tl.zeros((64,), dtype=tl.int1)
    if N > 0:
        copied = _copied(q_ptr, mv_ptr, h, w, N, BLOCK_Q)
    row = tl.minimum(tl.maximum(tl.load(row_ptr), 0), R - 1)  # never past the tables, whatever the row says
    bias_ptr += row * 192
    mult_ptr += row * 192
    pred_at = pred_ptr + (a.to(tl.int64) * stride_py + b.to(tl.int64) * stride_px)[:, None]
    pred = tl.load(pred_at + luma[None, :], mask=p_ok[:, None], other=0)
    x = tl.load(x_ptr + p[:, None] * C + luma[None, :], mask=p_ok[:, None], other=0)
    _store(_pixels(x, r0, g0, luma, pred, copied, bias_ptr, mult_ptr), y_ptr, h, w, 8)
    pred = tl.load(pred_at + chroma[None, :], mask=p_ok[:, None], other=0)
    x = tl.load(x_ptr + p[:, None] * C + chroma[None, :], mask=p_ok[:, None], other=0)
    s = _pixels(x, r1, g1, chroma, pred, copied, bias_ptr, mult_ptr)
    u, v = tl.split(tl.permute(tl.reshape(s, (64, 2, 16)), (0, 2, 1)))
    _store(u, u_ptr, h, w, 4)
    _store(v, v_ptr, h, w, 4)


def run(
    x: Tensor,
    pred: Tensor,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    q: Tensor | None,
    mv: Tensor | None,
    y: Tensor,
    u: Tensor,
    v: Tensor,
) -> None:
    """Operands as in the contract, checked; contiguous except for the rows and columns of `pred`."""
    H, W, C = x.shape
    N = 0 if q is None else q.shape[2]
    strides = pred.stride(0), pred.stride(1)
    sizes = {"BLOCK_C": min(MAX_BLOCK_C, max(32, triton.next_power_of_2(C)))}
    sizes["BLOCK_Q"] = min(MAX_BLOCK_Q, triton.next_power_of_2(max(N, 1)))
    operands = x, pred, w, bias, mult, row, q, mv, y, u, v
    _recon_u8[tile_grid(H, W)](*operands, H, W, bias.shape[0], *strides, C, N, **sizes, **TILE)
