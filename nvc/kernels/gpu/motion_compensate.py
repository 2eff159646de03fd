"""Device code of motion_compensate: one program, a single warp, predicts BLOCKS neighbouring blocks, luma and chroma.

Tile: a block reads 23 x 23 luma samples and twice 11 x 11 chroma samples, writes 384 bytes, and makes six products of
about 16 x 16 x 32. 1080p has 8160 blocks: 4 rounds of 132 multiprocessors with 17 programs each. Bytes are few (6 MB:
1.5 us); the work is about 1100 instructions for a block, most of them to bring samples into the operands of the
products, and as many for each neighbour whose vector differs. One block a program, so that it branches around the
neighbours of this block that do not.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._motion import OVERLAP, OVERLAP_CHROMA
from nvc.kernels.gpu._interpolate import (
    chroma_taps_across,
    chroma_taps_down,
    interpolated,
    luma_taps,
    samples,
    tap_rows,
)

TILE = {"BLOCKS": 1, "num_warps": 1}
# four bits for each distance from the edge
LUMA_RAMP = tl.constexpr(sum(int(w) << 4 * d for d, w in enumerate(OVERLAP)))
CHROMA_RAMP = tl.constexpr(sum(int(w) << 4 * d for d, w in enumerate(OVERLAP_CHROMA)))


@triton.jit
def _vector(mv_ptr, i, j, ok, columns):
    """(dy, dx) [B, 1, 1] of blocks (i, j) [B]; zero where not ok."""
    at = (i.to(tl.int64) * columns + j) * 2
    dy = tl.load(mv_ptr + at, mask=ok, other=0).to(tl.int32)
    return dy[:, None, None], tl.load(mv_ptr + at + 1, mask=ok, other=0).to(tl.int32)[:, None, None]


@triton.jit
def _luma(y_ptr, taps_ptr, i, block, dy, dx, ok, H, W):
    """Samples 0..255 [B, 16, 16], columns first, of blocks moved by (dy, dx)."""
    row, column = tl.arange(0, 32)[None, :, None], tl.arange(0, 32)[None, None, :]  # of a patch
    n = tl.arange(0, 16)[None, :, None]  # column or row of a result
    top, left = 16 * i + (dy >> 2) - 3, 16 * block + (dx >> 2) - 3
    patch = samples(y_ptr, top + row, left + column, ok & (row < 23) & (column < 23), H, W)
    return interpolated(patch, luma_taps(taps_ptr, dx, n, 0), luma_taps(taps_ptr, dy, n, 0))


@triton.jit
def _chroma(u_ptr, v_ptr, taps_ptr, i, block, dy, dx, ok, H, W):
    """The same of both chroma planes: columns 0..7, the others idle, by rows 0..7 of U, then 0..7 of V."""
    row, column = tl.arange(0, 32)[None, :, None], tl.arange(0, 32)[None, None, :]
    n = tl.arange(0, 16)[None, :, None]
    plane = tl.where(row < 16, u_ptr, v_ptr)  # rows 0..15 of the patch are U, 16..31 V
    top, left = 8 * i + (dy >> 3) - 1, 8 * block + (dx >> 3) - 1
    used = ok & ((row & 15) < 11) & (column < 11)
    patch = samples(plane, top + (row & 15), left + column, used, H >> 1, W >> 1)
    return interpolated(patch, chroma_taps_across(taps_ptr, dx, n), chroma_taps_down(taps_ptr, dy, n))


@triton.jit
def _share(side, x, y, RAMP: tl.constexpr, HALF: tl.constexpr):
    """Weight of the neighbour number `side` (above, below, left, right) at a block's samples, in 32nds."""
    v = tl.where(side < 2, y, x)
    d = tl.where(side & 1 == 0, v, 2 * HALF - 1 - v)  # distance from the common edge
    return tl.where(d < HALF, (RAMP >> (4 * tl.minimum(d, HALF - 1))) & 15, 0)


@triton.jit
def _motion_compensate(
    # inputs
    y_ptr,  # uint8 [H, W]
    u_ptr,  # uint8 [H / 2, W / 2]
    v_ptr,  # uint8 [H / 2, W / 2]
    mv_ptr,  # int16 [H / 16, W / 16, 2]
    taps_ptr,  # `tap_rows`
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
    j = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    j_ok = j < columns
    dy, dx = _vector(mv_ptr, i, j, j_ok, columns)
    ok, block = j_ok[:, None, None], j[:, None, None]
    x, y = tl.arange(0, 16)[None, :, None], tl.arange(0, 16)[None, None, :]

    luma = _luma(y_ptr, taps_ptr, i, block, dy, dx, ok, H, W)
    chroma = _chroma(u_ptr, v_ptr, taps_ptr, i, block, dy, dx, ok, H, W)
    luma_total, chroma_total = 32 * luma + 16, 32 * chroma + 16
    for side in range(4):
        ni = i + tl.where(side == 0, -1, 0) + tl.where(side == 1, 1, 0)
        nj = j + tl.where(side == 2, -1, 0) + tl.where(side == 3, 1, 0)
        there = j_ok & (ni >= 0) & (ni < (H >> 4)) & (nj >= 0) & (nj < columns)
        ny, nx = _vector(mv_ptr, ni, nj, there, columns)
        ny, nx = tl.where(there[:, None, None], ny, dy), tl.where(there[:, None, None], nx, dx)
        if tl.sum(((ny ^ dy) | (nx ^ dx)).to(tl.int64) & 0xFFFFFFFF) != 0:
            other = _luma(y_ptr, taps_ptr, i, block, ny, nx, ok, H, W)
            luma_total += _share(side, x, y, LUMA_RAMP, 8) * (other - luma)
            other = _chroma(u_ptr, v_ptr, taps_ptr, i, block, ny, nx, ok, H, W)
            chroma_total += _share(side, x & 7, y & 7, CHROMA_RAMP, 4) * (other - chroma)
    luma, chroma = (luma_total >> 5) - 128, (chroma_total >> 5) - 128

    corner = out_ptr + (2 * i).to(tl.int64) * stride_oy + 2 * block.to(tl.int64) * stride_ox
    luma = luma.to(tl.int8).reshape(BLOCKS, 2, 8, 2, 8)  # two columns of tiles, two rows
    luma = tl.permute(luma, (0, 3, 1, 4, 2)).reshape(BLOCKS, 4, 64)
    tile = tl.arange(0, 4)[None, :, None]
    position = corner + (tile >> 1).to(tl.int64) * stride_oy + (tile & 1).to(tl.int64) * stride_ox
    tl.store(position + tl.arange(0, 64)[None, None, :], luma, mask=ok)

    chroma = chroma.to(tl.int8).reshape(BLOCKS, 4, 4, 2, 2, 4)  # columns of tiles; planes, rows of tiles
    chroma = tl.permute(chroma, (0, 4, 1, 3, 5, 2)).reshape(BLOCKS, 8, 32)
    tile = tl.arange(0, 8)[None, :, None]  # 4 (row of tiles) + (column of tiles, 2 and 3 idle)
    position = corner + (tile >> 2).to(tl.int64) * stride_oy + (tile & 3).to(tl.int64) * stride_ox
    tl.store(position + 64 + tl.arange(0, 32)[None, None, :], chroma, mask=ok & ((tile & 3) < 2))


def run(y: Tensor, u: Tensor, v: Tensor, mv: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked; all but `out` contiguous, `out` with contiguous channels."""
    H, W = y.shape
    grid = (triton.cdiv(W // 16, TILE["BLOCKS"]), H // 16)
    _motion_compensate[grid](y, u, v, mv, tap_rows(y.device), out, H, W, out.stride(0), out.stride(1), **TILE)
