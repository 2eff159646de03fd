"""Motion compensation of block rows for numba. A block whose taps stay inside the plane is read in place; another is
first copied, coordinates clamped, to a small patch. A phase of zero multiplies by 64, exactly undone by the shift, so
one path serves every vector; only whole vectors, the most frequent, have a second one."""

import numpy as np
from numba import njit

from nvc.kernels._motion import CHROMA, JIT, LUMA
from nvc.kernels._vector import chroma_copy, chroma_rows, chroma_store, luma_copy, luma_rows, luma_store


@njit(**JIT)
def fetch(plane, y, x, size, patch):
    """The size x size square of `plane` at (y, x), coordinates clamped to it, to the corner of `patch`."""
    h, w = plane.shape
    for r in range(size):
        row = min(max(y + r, 0), h - 1)
        for c in range(size):
            patch[r, c] = plane[row, min(max(x + c, 0), w - 1)]


@njit(**JIT)
def outside(plane, y, x, size):
    return y < 0 or x < 0 or y + size > plane.shape[0] or x + size > plane.shape[1]


@njit(**JIT)
def luma(plane, i, j, vy, vx, patch, tmp, out, base, across, along):
    y, x = 16 * i + (vy >> 2) - 3, 16 * j + (vx >> 2) - 3
    src = plane
    if outside(plane, y, x, 24):
        fetch(plane, y, x, 24, patch)
        src, y, x = patch, 0, 0
    stride = src.shape[1]
    if vy & 3 == 0 and vx & 3 == 0:
        luma_copy(src, (y + 3) * stride + x + 3, stride, out, base, across, along)
    else:
        luma_rows(src, y * stride + x, stride, LUMA, vx & 3, tmp)
        luma_store(tmp, LUMA, vy & 3, out, base, across, along)


@njit(**JIT)
def chroma(plane, i, j, vy, vx, patch, tmp, out, base, across, along):
    y, x = 8 * i + (vy >> 3) - 1, 8 * j + (vx >> 3) - 1
    src = plane
    if outside(plane, y, x, 11):
        fetch(plane, y, x, 11, patch)
        src, y, x = patch, 0, 0
    stride = src.shape[1]
    if vy & 7 == 0 and vx & 7 == 0:
        chroma_copy(src, (y + 1) * stride + x + 1, stride, out, base, across, along)
    else:
        chroma_rows(src, y * stride + x, stride, CHROMA, vx & 7, tmp)
        chroma_store(tmp, CHROMA, vy & 7, out, base, across, along)


@njit(**JIT)
def compensate(y, u, v, mv, out, across, along, row0, row1):
    """Block rows row0..row1 to `out`, flat; positions are `across` elements apart down and `along` to the right."""
    patch, tmp = np.empty((24, 24), np.uint8), np.empty((24, 16), np.int16)
    for i in range(row0, row1):
        for j in range(mv.shape[1]):
            vy, vx = np.int64(mv[i, j, 0]), np.int64(mv[i, j, 1])
            at = 2 * i * across + 2 * j * along
            luma(y, i, j, vy, vx, patch, tmp, out, at, across, along)
            chroma(u, i, j, vy, vx, patch, tmp, out, at + 64, across, along)
            chroma(v, i, j, vy, vx, patch, tmp, out, at + 80, across, along)
