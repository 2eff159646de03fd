"""Launches of motion_search, as a pass needs all vectors of the pass before: no block depends on another in one.

Scratch: means of 4x4 and 16x16 of both planes, 2 (H / 4) (W / 4) + 2 (H / 16) (W / 16) bytes where W is a multiple of
256, six fields of vectors, one for each precision, their SADs and what they are worth, 48 (H / 16) (W / 16 + 1) bytes:
670 KB at 1080p. The passes in whole pixels alternate between two of these; the last, a quarter of the blocks each,
work in place.
"""

import torch
import triton
from torch import Tensor

from nvc.kernels._motion import COARSEST, WHOLE
from nvc.kernels._motion_settle import SETTLING
from nvc.kernels.gpu._interpolate import taps_on
from nvc.kernels.gpu._motion_precision import WARPS, weigh
from nvc.kernels.gpu._motion_pyramid import HIERARCHY_TILE, SHRINK_TILE, hierarchy, shrink
from nvc.kernels.gpu._motion_refine import TILE, WHOLE_TILE, fraction, neighbourly, whole
from nvc.kernels.gpu._motion_settle import SETTLE_TILE, settle
from nvc.kernels.gpu._overlap import shares_on


def candidates(cur: Tensor, ref: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """Passes 1 to 4 -> int16 [6, H / 16, W / 16, 2], fields of vectors by precision; int64 [6, H / 16], what their rows
    are worth."""
    H, W = cur.shape
    rows, columns = H // 16, W // 16
    # rows begin at multiples of 16 bytes: of eight for `_plane`, and what is compiled for one width is for all
    fine = torch.empty((2, H // 4, -(-W // 64) * 16), dtype=torch.uint8, device=cur.device)
    coarse = torch.empty((2, rows, -(-columns // 16) * 16), dtype=torch.uint8, device=cur.device)
    units = COARSEST + 1
    n = units * rows * columns
    scratch = torch.empty(2 * (n + units * rows), dtype=torch.int32, device=cur.device)
    fields, sads = (
        scratch[:n].view(torch.int16).view(units, rows, columns, 2),
        scratch[n : 2 * n].view(units, rows, columns),
    )
    worth = scratch[2 * n :].view(torch.int64).view(units, rows)
    in_quarter, in_half, in_whole = fields[0], fields[1], fields[WHOLE]

    def grid(blocks):
        return triton.cdiv(columns, blocks), rows

    several = grid(TILE["BLOCKS"])
    strides = fine.stride(1), coarse.stride(1)
    shrink[grid(SHRINK_TILE["BLOCKS"])](cur, ref, fine, coarse, H, W, *strides, **SHRINK_TILE)
    hierarchy[grid(HIERARCHY_TILE["BLOCKS"])](fine, coarse, in_whole, H, W, *strides, **HIERARCHY_TILE)
    for again in (False, True):
        whole[grid(WHOLE_TILE["BLOCKS"])](cur, ref, rate, in_whole, in_half, H, W, int(again), **WHOLE_TILE)
        neighbourly[several](cur, ref, rate, in_half, in_whole, sads[WHOLE], H, W, LAST=again, **TILE)
    taps = taps_on(cur.device)
    fraction[several](cur, ref, rate, taps, in_whole, in_half, sads[1], H, W, PRECISION=1, **TILE)
    fraction[several](cur, ref, rate, taps, in_half, in_quarter, sads[0], H, W, PRECISION=0, **TILE)
    weigh[rows, units](fields, sads, rate, worth, rows, columns, BLOCK=triton.next_power_of_2(columns), num_warps=WARPS)
    return fields, worth


def run(cur: Tensor, ref: Tensor, rate: Tensor, out: Tensor, precision: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    H, W = cur.shape
    fields, worth = candidates(cur, ref, rate)
    half = triton.cdiv(W // 16, 2), triton.cdiv(H // 16, 2)
    operands = cur, ref, rate, fields, worth, taps_on(cur.device), shares_on(cur.device), out, precision
    for number, (first, colour) in enumerate(SETTLING):
        rows = triton.next_power_of_2(H // 16) if number == 0 else 1
        variant = {"FIRST": first, "ADOPT": number == 0, "ROWS": rows}
        settle[half](*operands, colour >> 1, colour & 1, H, W, **variant, **SETTLE_TILE)
