"""Device code of choose_overlap: one program, a single warp, chooses for the quarters of one block and predicts it.

As motion_compensate, and between luma and chroma about 600 instructions more for the 16 transforms of all kinds. A
block like its neighbours needs none of these.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._hadamard import quarter_satd
from nvc.kernels.gpu._interpolate import taps_on
from nvc.kernels.gpu._motion import limited, vector
from nvc.kernels.gpu._overlap import (
    chroma_share,
    kinds,
    luma_share,
    moved_chroma,
    moved_luma,
    neighbour,
    shares_on,
    store_chroma,
    store_luma,
)
from nvc.kernels.gpu._plane import pixels

TILE = {"num_warps": 1}


@triton.jit
def _chosen(satd, rate):
    """A block's byte: satd int32 [4 kinds, 2, 2]."""
    k = tl.arange(0, 4)[:, None, None]
    cost = satd + tl.where(k > 0, rate, 0)
    best = tl.min((cost << 2) + k, axis=0)
    row, column = tl.arange(0, 2)[:, None], tl.arange(0, 2)[None, :]
    byte = tl.sum(tl.sum((best & 3) << (4 * row + 2 * column), axis=1), axis=0)
    total = tl.sum(tl.sum(best >> 2, axis=1), axis=0) + rate
    blended = tl.sum(tl.sum(tl.sum(tl.where(k == 0, satd, 0), axis=2), axis=1), axis=0)
    return tl.where(total < blended, byte, 0)


@triton.jit
def _choose_overlap(
    # inputs
    cur_ptr,  # uint8 [H, W]
    y_ptr,  # uint8 [H, W]
    u_ptr,  # uint8 [H / 2, W / 2]
    v_ptr,  # uint8 [H / 2, W / 2]
    mv_ptr,  # int16 [H / 16, W / 16, 2]
    rate_ptr,  # int32 [1]
    taps_ptr,  # `taps_on`
    shares_ptr,  # `shares_on`
    # outputs
    overlap_ptr,  # uint8 [H / 16, W / 16]
    out_ptr,  # int8 [H / 8, W / 8, 96]
    # sizes
    H,
    W,
    # strides
    stride_oy,
    stride_ox,
):
    i, j = tl.program_id(1), tl.program_id(0) + tl.zeros((1, 1), tl.int32)
    ok = j < (W >> 4)
    dy, dx = vector(mv_ptr, i, j, ok, W >> 4)
    x, y = tl.arange(0, 16)[None, :, None], tl.arange(0, 16)[None, None, :]
    kind = tl.arange(0, 4)[:, None, None]
    luma = moved_luma(y_ptr, taps_ptr, i, j, dy, dx, H, W)
    total = 32 * luma + 16 + 0 * kind
    moving = 0
    for side in range(4):
        ny, nx, differs = neighbour(mv_ptr, side, i, j, dy, dx, ok, H, W)
        if differs:
            other = moved_luma(y_ptr, taps_ptr, i, j, ny, nx, H, W)
            total += luma_share(shares_ptr, side, kind, x, y) * (other - luma)
            moving = 1
    byte = 0
    if moving > 0:
        cur = pixels(cur_ptr, 16 * i + y, 16 * j[:, :, None] + x, H, W) - 128
        satd = quarter_satd(total >> 5, tl.broadcast_to(cur, (4, 16, 16)), 4)
        byte = _chosen(satd, limited(rate_ptr))
    tl.store(overlap_ptr + i.to(tl.int64) * (W >> 4) + j, (byte + 0 * j).to(tl.uint8), mask=ok)
    luma = tl.sum(tl.where(kind == kinds(byte, x, y, 8), total >> 5, 0), axis=0)[None, :, :]
    store_luma(out_ptr, stride_oy, stride_ox, i, j, ok, luma)

    chroma = moved_chroma(u_ptr, v_ptr, taps_ptr, i, j, dy, dx, H, W)
    total = 32 * chroma + 16
    if moving > 0:
        for side in range(4):
            ny, nx, differs = neighbour(mv_ptr, side, i, j, dy, dx, ok, H, W)
            if differs:
                other = moved_chroma(u_ptr, v_ptr, taps_ptr, i, j, ny, nx, H, W)
                total += chroma_share(shares_ptr, side, kinds(byte, x & 7, y & 7, 4), x & 7, y & 7) * (other - chroma)
    store_chroma(out_ptr, stride_oy, stride_ox, i, j, ok, total >> 5)


def run(cur: Tensor, y: Tensor, u: Tensor, v: Tensor, mv: Tensor, rate: Tensor, overlap: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked; all but `out` contiguous, `out` with contiguous channels."""
    H, W = cur.shape
    operands = cur, y, u, v, mv, rate, taps_on(cur.device), shares_on(cur.device), overlap, out
    _choose_overlap[(W // 16, H // 16)](*operands, H, W, out.stride(0), out.stride(1), **TILE)
