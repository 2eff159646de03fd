"""The last pass of motion_search for numba: vectors that settle together."""

import numpy as np
from numba import njit

from nvc.kernels._motion import JIT, LUMA, predict
from nvc.kernels._motion_blocks import SIDES, WHOLE, blended_luma, differing, luma, neighbour_luma
from nvc.kernels._motion_cpu import LARGE, NEIGHBOURS, lengths, listed, offset, reach, rows_at
from nvc.kernels._overlap import BLENDED
from nvc.kernels._vector_motion import luma_copy, luma_satd, satd16, tile_satds

TILES = 256  # luma samples of a block
# passes: whether of the first round, and which of four colours of blocks, by the parities of row and column: no two
# blocks of one colour predict, or are predicted from, the same block
SETTLING = tuple((first, colour) for first in (True, False) for colour in range(4))


@njit(**JIT)
def satd_at(cur, y, x, ref, vy, vx, tmp):
    """Sum of the 8x8 Hadamard transforms of what the prediction for the vector (vy, vx) leaves of a block."""
    at = y * cur.shape[1] + x
    if vy & 3 == 0 and vx & 3 == 0:
        return satd16(cur, at, cur.shape[1], ref, offset(ref, y, x, vy, vx), ref.shape[1])
    rows_at(ref, y + (vy >> 2), x, vx, tmp)
    return luma_satd(cur, at, cur.shape[1], tmp, 0, LUMA, vy & 3)


@njit(**JIT)
def surroundings(ref, mv, i, j, patch, tmp, parts, sources):
    """A block's luma as its neighbours' vectors predict it, to tiles of `parts`, and in sources [5] where these begin:
    0, the place of its own, where there is no neighbour."""
    sources[0] = 0
    for side in range(4):
        ni, nj = i + SIDES[side, 0], j + SIDES[side, 1]
        sources[1 + side] = 0
        if 0 <= ni < mv.shape[0] and 0 <= nj < mv.shape[1]:
            sources[1 + side] = TILES * (1 + side)
            vy, vx = np.int64(mv[ni, nj, 0]), np.int64(mv[ni, nj, 1])
            neighbour_luma(ref, i, j, side, vy, vx, patch, tmp, parts, sources[1 + side])


@njit(**JIT)
def shared_satd(here, ref, y, x, vy, vx, rate, patch, tmp, parts, sources, there, costs):
    """Of each quarter of a block, whose tiles are `here`, the less of what the vector leaves blended with
    `surroundings`, and alone, which costs `rate` more."""
    luma(ref, y, x, vy, vx, WHOLE, patch, tmp, parts, 0, 128, 64)
    tile_satds(here, parts, costs, 0)
    blended_luma(parts, sources, BLENDED, there)
    tile_satds(here, there, costs, 4)
    total = np.int64(0)
    for quarter in range(4):
        total += min(np.int64(costs[quarter]) + rate, np.int64(costs[4 + quarter]))
    return total


@njit(**JIT)
def coded_lengths(mv, i, j, precision):
    """`lengths` of what is coded for a block."""
    py, px = predict(mv, i, j)
    return lengths(mv[i, j, 0] - py, mv[i, j, 1] - px, precision)


@njit(**JIT)
def dependent_lengths(mv, i, j, precision):
    """`lengths` of what is coded for a block and for those that are predicted from it."""
    bh, bw = mv.shape[:2]
    total = coded_lengths(mv, i, j, precision)
    if j + 1 < bw:
        total += coded_lengths(mv, i, j + 1, precision)
    if i + 1 < bh:
        total += coded_lengths(mv, i + 1, j, precision)
        if j > 0:
            total += coded_lengths(mv, i + 1, j - 1, precision)
        if j == bw - 2:
            total += coded_lengths(mv, i + 1, j + 1, precision)
    return total


@njit(**JIT)
def settled_price(mv, i, j, rate, precision):
    fraction = np.int64((mv[i, j, 0] | mv[i, j, 1]) & 3 != 0)
    return (rate * 3 * (dependent_lengths(mv, i, j, precision) + fraction)) >> 2


@njit(**JIT)
def offer(mv, i, j, precision, first, offered):
    """(dy, dx) of the eight candidates of a block, int64 [8, 2], the last of the first round its own once more."""
    oy, ox = mv[i, j, 0], mv[i, j, 1]
    py, px = predict(mv, i, j)
    for m in range(8):
        offered[m, 0], offered[m, 1] = oy, ox
    if first:
        offered[1, 0], offered[1, 1], offered[2, 0], offered[2, 1] = 0, 0, py, px
    else:
        offered[1, 0], offered[1, 1] = py, px
    for n in range(4):
        dy, dx = NEIGHBOURS[n, 0], NEIGHBOURS[n, 1]
        if first or n > 1:
            m = 3 + n if first else n
            there = 0 <= i + dy < mv.shape[0] and 0 <= j + dx < mv.shape[1]
            offered[m, 0] = mv[i + dy, j + dx, 0] if there else 0
            offered[m, 1] = mv[i + dy, j + dx, 1] if there else 0
        if not first:
            offered[4 + n, 0], offered[4 + n, 1] = oy + (dy << precision), ox + (dx << precision)


@njit(**JIT)
def settle(cur, wide, ref, rate, precision, colour, first, mv, row0, row1):
    """Blocks of a colour in pairs of rows row0..row1, in place, in the first or the second round. wide: `ref` with its
    margin."""
    tmp, offered = np.empty((24, 16), np.int16), np.empty((8, 2), np.int64)
    patch, parts, sources = np.empty((24, 24), np.uint8), np.empty(5 * TILES, np.int8), np.empty(5, np.int64)
    here, there, costs = np.empty(TILES, np.int8), np.empty(TILES, np.int8), np.empty(8, np.int32)
    bh, bw = mv.shape[:2]
    for i in range(2 * row0 + (colour >> 1), min(2 * row1, bh), 2):
        for j in range(colour & 1, bw, 2):
            y, x = 16 * i, 16 * j
            offer(mv, i, j, precision, first, offered)
            # of the candidates, those that predict alone: all, or its own vector where the neighbours have it too
            plain, ready = 8 if first else np.int64(not differing(mv, i, j, sources)), False
            cost, best = LARGE, 0
            for m in range(8):
                vy, vx = reach(offered[m, 0], y, cur.shape[0]), reach(offered[m, 1], x, cur.shape[1])
                if listed(offered, m, vy, vx):
                    continue
                offered[m, 0], offered[m, 1] = vy, vx
                mv[i, j, 0], mv[i, j, 1] = vy, vx
                total = settled_price(mv, i, j, rate, precision)
                if total >= cost:
                    continue
                if m < plain:
                    total += satd_at(cur, y, x, wide, vy, vx, tmp)
                else:
                    if not ready:
                        luma_copy(cur, y * cur.shape[1] + x, cur.shape[1], here, 0, 128, 64)
                        surroundings(ref, mv, i, j, patch, tmp, parts, sources)
                        ready = True
                    total += shared_satd(here, ref, y, x, vy, vx, rate, patch, tmp, parts, sources, there, costs)
                if total < cost:
                    cost, best = total, m
            mv[i, j, 0], mv[i, j, 1] = offered[best, 0], offered[best, 1]
