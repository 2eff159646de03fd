"""The last pass of motion_search for numba: vectors that settle together."""

import numpy as np
from numba import njit

from nvc.kernels._motion import JIT, LUMA, predict
from nvc.kernels._motion_cpu import LARGE, NEIGHBOURS, lengths, offset, reach, rows_at
from nvc.kernels._vector_motion import luma_satd, satd16

COLOURS = 4  # of blocks by the parities of row and column: no two blocks of one colour predict, or are predicted from,
# the same block
ROUNDS = 2  # of all colours


@njit(**JIT)
def satd_at(cur, y, x, ref, vy, vx, tmp):
    """Sum of the 8x8 Hadamard transforms of what the prediction for the vector (vy, vx) leaves of a block."""
    at = y * cur.shape[1] + x
    if vy & 3 == 0 and vx & 3 == 0:
        return satd16(cur, at, cur.shape[1], ref, offset(ref, y, x, vy, vx), ref.shape[1])
    rows_at(ref, y + (vy >> 2), x, vx, tmp)
    return luma_satd(cur, at, cur.shape[1], tmp, 0, LUMA, vy & 3)


@njit(**JIT)
def coded_lengths(mv, i, j):
    """`lengths` of what is coded for a block."""
    py, px = predict(mv, i, j)
    return lengths(mv[i, j, 0] - py, mv[i, j, 1] - px)


@njit(**JIT)
def dependent_lengths(mv, i, j):
    """`lengths` of what is coded for a block and for those that are predicted from it."""
    bh, bw = mv.shape[:2]
    total = coded_lengths(mv, i, j)
    if j + 1 < bw:
        total += coded_lengths(mv, i, j + 1)
    if i + 1 < bh:
        total += coded_lengths(mv, i + 1, j)
        if j > 0:
            total += coded_lengths(mv, i + 1, j - 1)
        if j == bw - 2:
            total += coded_lengths(mv, i + 1, j + 1)
    return total


@njit(**JIT)
def settled_price(mv, i, j, rate):
    fraction = np.int64((mv[i, j, 0] | mv[i, j, 1]) & 3 != 0)
    return (rate * 3 * (dependent_lengths(mv, i, j) + fraction)) >> 2


@njit(**JIT)
def recent(moved, i, j, since):
    """Whether a vector that counts for the choice of a block was given a new value in pass `since` or later."""
    for r in range(max(i - 1, 0), min(i + 2, moved.shape[0])):
        for c in range(max(j - 2, 0), min(j + 3, moved.shape[1])):
            if moved[r, c] >= since:
                return True
    return False


@njit(**JIT)
def settle(cur, ref, rate, colour, number, mv, moved, row0, row1):
    """Blocks of a colour in pairs of rows row0..row1, in place, in pass `number`. moved: when each vector was changed.

    A block whose surroundings have not changed since its last turn, COLOURS passes before, would choose the same.
    """
    tmp = np.empty((24, 16), np.int16)
    bh, bw = mv.shape[:2]
    for i in range(2 * row0 + (colour >> 1), min(2 * row1, bh), 2):
        for j in range(colour & 1, bw, 2):
            if number >= COLOURS and not recent(moved, i, j, number - COLOURS):
                continue
            y, x = 16 * i, 16 * j
            oy, ox = np.int64(mv[i, j, 0]), np.int64(mv[i, j, 1])
            by, bx = oy, ox
            py, px = predict(mv, i, j)
            cost = satd_at(cur, y, x, ref, oy, ox, tmp) + settled_price(mv, i, j, rate)
            top, filtered = (oy - 1) >> 2, np.int64(LARGE)  # the column that `tmp` holds from row `top` on
            for m in range(1, 16):
                vy, vx = np.int64(0), np.int64(0)
                if m == 2:
                    vy, vx = np.int64(py), np.int64(px)
                elif m > 6:
                    vy, vx = oy + (m - 7) % 3 - 1, ox + (m - 7) // 3 - 1
                elif m > 2:
                    ni, nj = i + NEIGHBOURS[m - 3, 0], j + NEIGHBOURS[m - 3, 1]
                    if 0 <= ni < bh and 0 <= nj < bw:
                        vy, vx = np.int64(mv[ni, nj, 0]), np.int64(mv[ni, nj, 1])
                vy, vx = reach(vy, y, cur.shape[0]), reach(vx, x, cur.shape[1])
                if (vy == oy and vx == ox) or (vy == by and vx == bx):
                    continue
                mv[i, j, 0], mv[i, j, 1] = vy, vx
                t = settled_price(mv, i, j, rate)
                if t >= cost:
                    continue
                if m > 6:
                    if filtered != vx:
                        rows_at(ref, y + top, x, vx, tmp)
                        filtered = vx
                    t += luma_satd(cur, y * cur.shape[1] + x, cur.shape[1], tmp, 16 * ((vy >> 2) - top), LUMA, vy & 3)
                else:
                    t += satd_at(cur, y, x, ref, vy, vx, tmp)
                if t < cost:
                    cost, by, bx = t, vy, vx
            mv[i, j, 0], mv[i, j, 1] = by, bx
            if by != oy or bx != ox:
                moved[i, j] = number
