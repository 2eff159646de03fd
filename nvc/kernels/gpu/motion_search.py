"""Launches of motion_search, as a pass needs all vectors of the pass before: no block depends on another in one.

Scratch: means of 4x4 and 16x16 of both planes, 2 (H / 4) (W / 4) + 2 (H / 16) (W / 16) bytes where W is a multiple of
128, and one more field of vectors, 4 (H / 16) (W / 16) bytes: 310 KB at 1080p. Passes alternate between that field and
`out`; the last, a quarter of the blocks each, work in place.
"""

import torch
import triton
from torch import Tensor

from nvc.kernels._motion_settle import SETTLING
from nvc.kernels.gpu._interpolate import taps_on
from nvc.kernels.gpu._motion_pyramid import HIERARCHY_TILE, SHRINK_TILE, hierarchy, shrink
from nvc.kernels.gpu._motion_refine import SETTLE_TILE, TILE, WHOLE_TILE, fraction, neighbourly, settle, whole
from nvc.kernels.gpu._overlap import shares_on


def run(cur: Tensor, ref: Tensor, rate: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    H, W = cur.shape
    rows, columns = H // 16, W // 16
    # rows begin at multiples of eight bytes, for `_plane`
    fine = torch.empty((2, H // 4, -(-W // 32) * 8), dtype=torch.uint8, device=cur.device)
    coarse = torch.empty((2, rows, -(-columns // 8) * 8), dtype=torch.uint8, device=cur.device)
    mv = torch.empty_like(out)

    def grid(blocks):
        return triton.cdiv(columns, blocks), rows

    several = grid(TILE["BLOCKS"])
    strides = fine.stride(1), coarse.stride(1)
    shrink[grid(SHRINK_TILE["BLOCKS"])](cur, ref, fine, coarse, H, W, *strides, **SHRINK_TILE)
    hierarchy[grid(HIERARCHY_TILE["BLOCKS"])](fine, coarse, out, H, W, *strides, **HIERARCHY_TILE)
    for again in (False, True):
        whole[grid(WHOLE_TILE["BLOCKS"])](cur, ref, rate, out, mv, H, W, AGAIN=again, **WHOLE_TILE)
        neighbourly[several](cur, ref, rate, mv, out, H, W, **TILE)
    taps, shares = taps_on(cur.device), shares_on(cur.device)
    fraction[several](cur, ref, rate, taps, out, mv, H, W, STEP=2, **TILE)
    fraction[several](cur, ref, rate, taps, mv, out, H, W, STEP=1, **TILE)
    half = triton.cdiv(columns, 2), triton.cdiv(rows, 2)
    for first, colour in SETTLING:
        settle[half](cur, ref, rate, taps, shares, out, colour >> 1, colour & 1, H, W, FIRST=first, **SETTLE_TILE)
