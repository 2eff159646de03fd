"""What motion_compensate and choose_overlap share: blocks moved by vectors, weights of those around, the output."""

import functools

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._overlap import OVERLAP, OVERLAP_CHROMA, down_and_across
from nvc.kernels.gpu._interpolate import chroma_across, chroma_down, interpolated, luma_across, luma_down, patch
from nvc.kernels.gpu._motion import vector


def _shares() -> np.ndarray:
    """int32 [2, 4, 4, 16]: in 32nds, the weights of luma and chroma samples by neighbour (above, below, left, right),
    kind, and row or column of the block. They are 0 beyond the middle."""
    shares = np.zeros((2, 4, 4, 16), np.int32)
    for plane, ramp in enumerate((OVERLAP, OVERLAP_CHROMA)):
        half = len(ramp)
        for axis, weights in enumerate(down_and_across(ramp)):
            shares[plane, 2 * axis, :, :half] = weights[:, :half]
            shares[plane, 2 * axis + 1, :, half : 2 * half] = weights[:, half:]
    return shares


_SHARES = torch.from_numpy(_shares())


@functools.cache
def shares_on(device: torch.device) -> Tensor:
    """The weights for `luma_share` and `chroma_share`. Copied to a device once."""
    return _SHARES.to(device)


@triton.jit
def moved_luma(y_ptr, taps_ptr, i, j, dy, dx, H, W):
    """Samples less 128 [B, 16, 16], columns first, of blocks (i, j) moved by (dy, dx) [B, 1]."""
    row = tl.arange(0, 32)[None, :, None]  # of a patch
    top, left = 16 * i + (dy >> 2) - 3, 16 * j + (dx >> 2) - 3
    there = patch(y_ptr, top[:, :, None] + row, left[:, :, None], row < 24, H, W)
    return interpolated(there, luma_across(taps_ptr, dx, left & 3), luma_down(taps_ptr, dy, 0))


@triton.jit
def moved_chroma(u_ptr, v_ptr, taps_ptr, i, j, dy, dx, H, W):
    """The same of both chroma planes: columns 0..7, the others idle, by rows 0..7 of U, then 0..7 of V."""
    row = tl.arange(0, 32)[None, :, None]
    plane = tl.where(row < 16, u_ptr, v_ptr)  # rows 0..15 of the patch are U, 16..31 V
    top, left = 8 * i + (dy >> 3) - 1, 8 * j + (dx >> 3) - 1
    there = patch(plane, top[:, :, None] + (row & 15), left[:, :, None], (row & 15) < 12, H >> 1, W >> 1)
    return interpolated(there, chroma_across(taps_ptr, dx, left & 3), chroma_down(taps_ptr, dy))


@triton.jit
def neighbour(mv_ptr, side, i, j, dy, dx, ok, H, W):
    """(ny, nx, whether any differs): vectors of the neighbours number `side` (above, below, left, right) of blocks
    (i, j), whose own are (dy, dx) [B, 1] and stand for those that are not there."""
    columns = W >> 4
    ni = i + tl.where(side == 0, -1, 0) + tl.where(side == 1, 1, 0)
    nj = j + tl.where(side == 2, -1, 0) + tl.where(side == 3, 1, 0)
    there = ok & (ni >= 0) & (ni < (H >> 4)) & (nj >= 0) & (nj < columns)
    ny, nx = vector(mv_ptr, ni, nj, there, columns)
    ny, nx = tl.where(there, ny, dy), tl.where(there, nx, dx)
    return ny, nx, tl.sum(((ny ^ dy) | (nx ^ dx)).to(tl.int64) & 0xFFFFFFFF) != 0


@triton.jit
def kinds(overlap, x, y, HALF: tl.constexpr):
    """Two bits of a block's byte: those of the quarter that has the samples (x, y)."""
    return (overlap >> (4 * (y // HALF) + 2 * (x // HALF))) & 3


@triton.jit
def luma_share(shares_ptr, side, kind, x, y):
    """int32: weight of the neighbour number `side` (above, below, left, right) at a block's samples, in 32nds."""
    at = 64 * side + 16 * kind + tl.where(side < 2, y, x)
    return tl.load(shares_ptr + at.to(tl.uint32))  # of an unsigned offset an address is one instruction, else two


@triton.jit
def chroma_share(shares_ptr, side, kind, x, y):
    return luma_share(shares_ptr + 256, side, kind, x, y)


@triton.jit
def _corner(out_ptr, stride_oy, stride_ox, i, j):
    return out_ptr + (2 * i).to(tl.int64) * stride_oy + 2 * j[:, :, None].to(tl.int64) * stride_ox


@triton.jit
def store_luma(out_ptr, stride_oy, stride_ox, i, j, ok, luma):
    """Samples [B, 16, 16], columns first, of blocks (i, j)."""
    B: tl.constexpr = luma.shape[0]
    luma = luma.to(tl.int8).reshape(B, 2, 8, 2, 8)  # two columns of tiles, two rows
    luma = tl.permute(luma, (0, 3, 1, 4, 2)).reshape(B, 4, 64)
    tile = tl.arange(0, 4)[None, :, None]
    position = _corner(out_ptr, stride_oy, stride_ox, i, j)
    position += (tile >> 1).to(tl.int64) * stride_oy + (tile & 1).to(tl.int64) * stride_ox
    tl.store(position + tl.arange(0, 64)[None, None, :], luma, mask=ok[:, :, None])


@triton.jit
def store_chroma(out_ptr, stride_oy, stride_ox, i, j, ok, chroma):
    """Samples [B, 16, 16] as `moved_chroma` returns them."""
    B: tl.constexpr = chroma.shape[0]
    chroma = chroma.to(tl.int8).reshape(B, 4, 4, 2, 2, 4)  # columns of tiles; planes, rows of tiles
    chroma = tl.permute(chroma, (0, 4, 1, 3, 5, 2)).reshape(B, 8, 32)
    tile = tl.arange(0, 8)[None, :, None]  # 4 (row of tiles) + (column of tiles, 2 and 3 idle)
    position = _corner(out_ptr, stride_oy, stride_ox, i, j)
    position += (tile >> 2).to(tl.int64) * stride_oy + (tile & 3).to(tl.int64) * stride_ox
    tl.store(position + 64 + tl.arange(0, 32)[None, None, :], chroma, mask=ok[:, :, None] & ((tile & 3) < 2))
