"""Device code of motion_compensate: one program, a single warp, predicts BLOCKS neighbouring blocks, luma and chroma.

Tile: a block reads 23 x 23 luma samples and twice 11 x 11 chroma samples, writes 384 bytes, and makes six products of
about 16 x 16 x 32. 1080p has 8160 blocks: 4 rounds of 132 multiprocessors with 17 programs each. Bytes are few (6 MB:
1.5 us); the work is about 600 instructions for a block, most of them to bring samples into the operands of the
products, and 520 for each neighbour whose vector differs. One block a program, so that it branches around the
neighbours of this block that do not.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._interpolate import taps_on
from nvc.kernels.gpu._motion import vector
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

TILE = {"BLOCKS": 1, "num_warps": 1}


@triton.jit
def _motion_compensate(
    # inputs
    y_ptr,  # uint8 [H, W]
    u_ptr,  # uint8 [H / 2, W / 2]
    v_ptr,  # uint8 [H / 2, W / 2]
    mv_ptr,  # int16 [H / 16, W / 16, 2]
    overlap_ptr,  # uint8 [H / 16, W / 16]
    taps_ptr,  # `taps_on`
    shares_ptr,  # `shares_on`
    # output
    out_ptr,  # int8 [H / 8, W / 8, 96]
    # sizes
    H,
    W,
    # strides
    stride_oy,
    stride_ox,
    # tile
    BLOCKS: tl.constexpr,
):
    i, columns = tl.program_id(1), W >> 4
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)[:, None]
    ok = j < columns
    dy, dx = vector(mv_ptr, i, j, ok, columns)
    x, y = tl.arange(0, 16)[None, :, None], tl.arange(0, 16)[None, None, :]

    luma = moved_luma(y_ptr, taps_ptr, i, j, dy, dx, H, W)
    chroma = moved_chroma(u_ptr, v_ptr, taps_ptr, i, j, dy, dx, H, W)
    overlap = tl.load(overlap_ptr + i.to(tl.int64) * columns + j, mask=ok, other=0).to(tl.int32)[:, :, None]
    luma_kinds, chroma_kinds = kinds(overlap, x, y, 8), kinds(overlap, x & 7, y & 7, 4)
    luma_total, chroma_total = 32 * luma + 16, 32 * chroma + 16
    for side in range(4):
        ny, nx, differs = neighbour(mv_ptr, side, i, j, dy, dx, ok, H, W)
        if differs:
            other = moved_luma(y_ptr, taps_ptr, i, j, ny, nx, H, W)
            luma_total += luma_share(shares_ptr, side, luma_kinds, x, y) * (other - luma)
            other = moved_chroma(u_ptr, v_ptr, taps_ptr, i, j, ny, nx, H, W)
            chroma_total += chroma_share(shares_ptr, side, chroma_kinds, x & 7, y & 7) * (other - chroma)
    luma, chroma = luma_total >> 5, chroma_total >> 5

    store_luma(out_ptr, stride_oy, stride_ox, i, j, ok, luma)
    store_chroma(out_ptr, stride_oy, stride_ox, i, j, ok, chroma)


def run(y: Tensor, u: Tensor, v: Tensor, mv: Tensor, overlap: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked; all but `out` contiguous, `out` with contiguous channels."""
    H, W = y.shape
    grid = (triton.cdiv(W // 16, TILE["BLOCKS"]), H // 16)
    operands = y, u, v, mv, overlap, taps_on(y.device), shares_on(y.device), out
    _motion_compensate[grid](*operands, H, W, out.stride(0), out.stride(1), **TILE)
