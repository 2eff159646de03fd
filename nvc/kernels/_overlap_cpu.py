"""choose_overlap for numba: block rows, each independent of all others."""

import numpy as np
from numba import njit

from nvc.kernels._motion import JIT
from nvc.kernels._motion_blocks import (
    BLOCK,
    LUMA_ACROSS,
    LUMA_DOWN,
    SIDES,
    WHOLE,
    differing,
    luma,
    neighbour_luma,
)
from nvc.kernels._vector_motion import blend64, luma_copy, tile_satds


@njit(**JIT)
def chosen(costs, rate):
    """A block's byte: costs int32 [4 kinds, 4 quarters], flat."""
    total, blended, byte = np.int64(rate), np.int64(0), 0
    for quarter in range(4):
        best, kind = np.int64(costs[quarter]), 0
        blended += best
        for k in range(1, 4):
            cost = np.int64(costs[4 * k + quarter]) + rate
            if cost < best:
                best, kind = cost, k
        total += best
        byte |= kind << (2 * quarter)
    return byte if total < blended else 0


@njit(**JIT)
def choose(cur, ref, mv, rate, out, row0, row1):
    """Block rows row0..row1 of `out`."""
    patch, tmp = np.empty((24, 24), np.uint8), np.empty((24, 16), np.int16)
    parts, sources = np.empty(5 * BLOCK, np.int8), np.empty(5, np.int64)
    here, there, costs = np.empty(256, np.int8), np.empty(256, np.int8), np.empty(16, np.int32)
    for i in range(row0, row1):
        for j in range(mv.shape[1]):
            if not differing(mv, i, j, sources):
                out[i, j] = 0
                continue
            luma(ref, 16 * i, 16 * j, np.int64(mv[i, j, 0]), np.int64(mv[i, j, 1]), WHOLE, patch, tmp, parts, 0, 128, 64)
            for side in range(4):
                base = sources[1 + side]
                if base:
                    ni, nj = i + SIDES[side, 0], j + SIDES[side, 1]
                    vy, vx = np.int64(mv[ni, nj, 0]), np.int64(mv[ni, nj, 1])
                    neighbour_luma(ref, i, j, side, vy, vx, patch, tmp, parts, base)
            luma_copy(cur, 16 * i * cur.shape[1] + 16 * j, cur.shape[1], here, 0, 128, 64)
            for kind in range(4):
                for t in range(4):
                    vertical, horizontal, m = sources[1 + (t >> 1)], sources[3 + (t & 1)], 64 * t
                    weights = 256 * kind + m
                    blend64(parts, m, vertical + m, horizontal + m, LUMA_DOWN, LUMA_ACROSS, weights, there, m)
                tile_satds(here, there, costs, 4 * kind)
            out[i, j] = chosen(costs, rate)
