"""The passes of motion_search for numba. Each works on block rows row0..row1 and is independent of all other rows."""

import numpy as np
from numba import njit

from nvc.kernels._motion import JIT, LUMA, MV_MAX, WHOLE, predict
from nvc.kernels._vector_motion import luma_rows, luma_sad, means16, means64, sad16, scan5, scan8

MARGIN = 72  # pixels around the reference: 64 that a vector may reach, 1 of refinement, 4 of interpolation
COARSE_MARGIN, QUARTER_MARGIN = 10, 44
LARGE = 2**30
NEIGHBOURS = np.array(((0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)))
LENGTHS = np.array([n.bit_length() for n in range(2 * MV_MAX + 1)], np.uint8)


@njit(**JIT)
def replicate(plane, margin):
    """Fills the margin of a plane with copies of its border."""
    h, w = plane.shape[0] - 2 * margin, plane.shape[1] - 2 * margin
    for i in range(margin, margin + h):
        plane[i, :margin] = plane[i, margin]
        plane[i, margin + w :] = plane[i, margin + w - 1]
    for i in range(margin):
        plane[i] = plane[margin]
        plane[margin + h + i] = plane[margin + h - 1]


@njit(**JIT)
def shrink(src, src_margin, dst, margin):
    """Rounded 4x4 means to the inside of `dst`, and its margin; src_margin samples around `src` are left out."""
    columns, stride = dst.shape[1] - 2 * margin, src.shape[1]
    for i in range(dst.shape[0] - 2 * margin):
        y = src_margin + 4 * i
        at, to = y * stride + src_margin, (margin + i) * dst.shape[1] + margin
        j = 0
        while j + 16 <= columns:
            means64(src, at + 4 * j, stride, dst, to + j)
            j += 16
        while j + 4 <= columns:
            means16(src, at + 4 * j, stride, dst, to + j)
            j += 4
        for rest in range(j, columns):
            x = src_margin + 4 * rest
            total = np.int32(8)
            for r in range(4):
                for c in range(4):
                    total += np.int32(src[y + r, x + c])
            dst[margin + i, margin + rest] = np.uint8(total >> 4)
    replicate(dst, margin)


@njit(**JIT)
def reach(v, at, side):
    """v (quarter pel) clamped so that the block at `at` of a plane of `side` pixels stays within 64 pixels of it."""
    return min(max(v, -4 * (at + 64)), 4 * (side - 16 - at + 64))


@njit(**JIT)
def coarse(cur, ref, i, j):
    """Pass 1 of one block: (dy, dx) in samples of the coarse planes."""
    stride = ref.shape[1]
    at = (i + COARSE_MARGIN - 2) * stride + j + COARSE_MARGIN - 2
    cost, by, bx = LARGE, 0, 0
    for dy in range(-5, 6):
        key = scan5(cur, at, stride, ref, at + dy * stride - 8, stride, -8)
        total = (key >> 4) + abs(dy)
        if total < cost:
            cost, by, bx = total, dy, (key & 15) - 8
    return by, bx


@njit(**JIT)
def quarter(cur, ref, i, j, cy, cx):
    """Pass 2 of one block around zero and (cy, cx): (dy, dx) in samples of the quarter planes."""
    stride = ref.shape[1]
    at = (4 * i + QUARTER_MARGIN - 2) * stride + 4 * j + QUARTER_MARGIN - 2
    cost, by, bx = LARGE, 0, 0
    for n in range(23):
        dy, dx = (n - 8, -8) if n < 16 else (cy + n - 19, cx - 8)
        key = scan8(cur, at, stride, ref, at + dy * stride + dx, stride, dx)
        total = (key >> 4) + abs(dy)
        if total < cost:
            cost, by, bx = total, dy, (key & 15) + dx
    return by, bx


@njit(**JIT)
def hierarchy(cur16, ref16, cur4, ref4, side, mv, row0, row1):
    """Passes 1 and 2. side = (H, W)."""
    for i in range(row0, row1):
        for j in range(mv.shape[1]):
            cy, cx = coarse(cur16, ref16, i, j)
            dy, dx = quarter(cur4, ref4, i, j, 4 * cy, 4 * cx)
            mv[i, j, 0] = reach(16 * dy, 16 * i, side[0])
            mv[i, j, 1] = reach(16 * dx, 16 * j, side[1])


@njit(**JIT)
def nearest(v, step):
    """The multiple of `step`, a power of two, that is nearest to v, of two the higher."""
    return (v + (step >> 1)) & -step


@njit(**JIT)
def lengths(dy, dx, precision):
    """Number of bits of |dy| and of |dx| together, in units of 2^precision."""
    return np.int64(LENGTHS[abs(dy) >> precision]) + np.int64(LENGTHS[abs(dx) >> precision])


@njit(**JIT)
def price(dy, dx, rate, precision):
    return (rate * (2 * lengths(dy, dx, precision) + 2)) >> 4


@njit(**JIT)
def offset(ref, y, x, vy, vx):
    """Of a block's first sample in a plane with its margin, moved by the whole vector (vy, vx)."""
    return (MARGIN + y + (vy >> 2)) * ref.shape[1] + MARGIN + x + (vx >> 2)


@njit(**JIT)
def whole_sad(cur, y, x, ref, vy, vx):
    return sad16(cur, y * cur.shape[1] + x, cur.shape[1], ref, offset(ref, y, x, vy, vx), ref.shape[1])


@njit(**JIT)
def rows_at(ref, y, x, vx, tmp):
    """tmp: 24 rows of `ref` from row y - 3 of the picture, filtered at column x + vx / 4."""
    stride = ref.shape[1]
    luma_rows(ref, (MARGIN + y - 3) * stride + MARGIN + x + (vx >> 2) - 3, stride, LUMA, vx & 3, tmp)


@njit(**JIT)
def sad_at(cur, y, x, ref, vy, vx, tmp):
    """SAD of a block with the prediction of `motion_compensate` for the vector (vy, vx)."""
    if vy & 3 == 0 and vx & 3 == 0:
        return whole_sad(cur, y, x, ref, vy, vx)
    rows_at(ref, y + (vy >> 2), x, vx, tmp)
    return luma_sad(cur, y * cur.shape[1] + x, cur.shape[1], tmp, 0, LUMA, vy & 3)


@njit(**JIT)
def listed(tried, n, vy, vx):
    found = False
    for k in range(n):
        found |= tried[k, 0] == vy and tried[k, 1] == vx
    return found


@njit(**JIT)
def neighbourly(cur, ref, rate, src, src_sad, dst, dst_sad, row0, row1):
    """Own vector, zero, the prediction and the neighbours' vectors. Sums of absolute differences come along."""
    tmp, tried = np.empty((24, 16), np.int16), np.empty((11, 2), np.int64)
    bh, bw = src.shape[:2]
    for i in range(row0, row1):
        for j in range(bw):
            y, x = 16 * i, 16 * j
            py, px = predict(src, i, j)
            by, bx = np.int64(src[i, j, 0]), np.int64(src[i, j, 1])
            sad = src_sad[i, j]
            cost = sad + price(by - py, bx - px, rate, WHOLE)
            tried[0] = by, bx
            count = 1
            for n in range(-2, 8):
                vy, vx = np.int64(0), np.int64(0)
                if n == -1:
                    vy, vx = reach(py, y, cur.shape[0]), reach(px, x, cur.shape[1])
                if n >= 0:
                    ni, nj = i + NEIGHBOURS[n, 0], j + NEIGHBOURS[n, 1]
                    if ni < 0 or nj < 0 or ni >= bh or nj >= bw:
                        continue
                    vy, vx = reach(src[ni, nj, 0], y, cur.shape[0]), reach(src[ni, nj, 1], x, cur.shape[1])
                if listed(tried, count, vy, vx):
                    continue
                tried[count] = vy, vx
                count += 1
                bits = price(vy - py, vx - px, rate, WHOLE)
                if bits >= cost:
                    continue
                s = sad_at(cur, y, x, ref, vy, vx, tmp)
                if s + bits < cost:
                    cost, sad, by, bx = s + bits, s, vy, vx
            dst[i, j, 0], dst[i, j, 1], dst_sad[i, j] = by, bx, sad


@njit(**JIT)
def coarser(cur, ref, rate, precision, before, src, dst, dst_sad, row0, row1):
    """Multiples of 2^precision: the nearest to a block's own vector and the four around. before: predicts."""
    step = 1 << precision
    for i in range(row0, row1):
        for j in range(src.shape[1]):
            y, x = 16 * i, 16 * j
            py, px = predict(before, i, j)
            py, px = nearest(py, step), nearest(px, step)
            oy, ox = nearest(np.int64(src[i, j, 0]), step), nearest(np.int64(src[i, j, 1]), step)
            cost = LARGE
            for n in range(-1, 4):
                dy, dx = (NEIGHBOURS[n, 0], NEIGHBOURS[n, 1]) if n >= 0 else (0, 0)
                vy, vx = reach(oy + step * dy, y, cur.shape[0]), reach(ox + step * dx, x, cur.shape[1])
                bits = price(vy - py, vx - px, rate, precision)
                if bits >= cost:
                    continue
                s = whole_sad(cur, y, x, ref, vy, vx)
                if s + bits < cost:
                    cost, dst_sad[i, j] = s + bits, s
                    dst[i, j, 0], dst[i, j, 1] = vy, vx


@njit(**JIT)
def whole(cur, ref, rate, again, src, src_sad, dst, dst_sad, row0, row1):
    """Own vector, which is whole, and the 7x7 around it. again: but where `dst` has it already, nothing."""
    for i in range(row0, row1):
        for j in range(src.shape[1]):
            y, x = 16 * i, 16 * j
            oy, ox = np.int64(src[i, j, 0]), np.int64(src[i, j, 1])
            if again and oy == dst[i, j, 0] and ox == dst[i, j, 1]:
                dst_sad[i, j] = src_sad[i, j]
                continue
            py, px = predict(src, i, j)
            by, bx, sad = oy, ox, whole_sad(cur, y, x, ref, oy, ox)
            cost = sad + price(oy - py, ox - px, rate, WHOLE)
            for dy in range(-3, 4):
                vy = reach(oy + 4 * dy, y, cur.shape[0])
                for dx in range(-3, 4):
                    vx = reach(ox + 4 * dx, x, cur.shape[1])
                    s = whole_sad(cur, y, x, ref, vy, vx)
                    t = s + price(vy - py, vx - px, rate, WHOLE)
                    if t < cost:
                        cost, sad, by, bx = t, s, vy, vx
            dst[i, j, 0], dst[i, j, 1], dst_sad[i, j] = by, bx, sad


@njit(**JIT)
def fraction(cur, ref, rate, precision, src, src_sad, dst, dst_sad, row0, row1):
    """The eight positions at 2^precision quarter pels, column by column: dx outer, dy inner."""
    tmp, step = np.empty((24, 16), np.int16), 1 << precision
    for i in range(row0, row1):
        for j in range(src.shape[1]):
            y, x = 16 * i, 16 * j
            py, px = predict(src, i, j)
            oy, ox = np.int64(src[i, j, 0]), np.int64(src[i, j, 1])
            by, bx, sad = oy, ox, src_sad[i, j]
            cost = sad + price(oy - py, ox - px, rate, precision)
            top = (oy - step) >> 2
            for dx in range(-step, step + 1, step):
                vx = reach(ox + dx, x, cur.shape[1])
                rows_at(ref, y + top, x, vx, tmp)
                for dy in range(-step, step + 1, step):
                    vy = reach(oy + dy, y, cur.shape[0])
                    if vy == oy and vx == ox:
                        continue
                    s = luma_sad(cur, y * cur.shape[1] + x, cur.shape[1], tmp, 16 * ((vy >> 2) - top), LUMA, vy & 3)
                    t = s + price(vy - py, vx - px, rate, precision)
                    if t < cost:
                        cost, sad, by, bx = t, s, vy, vx
            dst[i, j, 0], dst[i, j, 1], dst_sad[i, j] = by, bx, sad


@njit(**JIT)
def worth(mv, sad, rate, precision):
    """What a field of vectors leaves and costs, in 32nds of a SAD unit; its vectors are multiples of 2^precision."""
    total = np.int64(0)
    for i in range(mv.shape[0]):
        for j in range(mv.shape[1]):
            py, px = predict(mv, i, j)
            total += 32 * np.int64(sad[i, j]) + 3 * rate * lengths(mv[i, j, 0] - py, mv[i, j, 1] - px, precision)
    return total
