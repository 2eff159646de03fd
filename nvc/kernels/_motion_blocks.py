"""Motion compensation of block rows for numba. A block whose taps stay inside the plane is read in place; another is
first copied, coordinates clamped, to a small patch. A phase of zero multiplies by 64, exactly undone by the shift, so
one path serves every vector; only whole vectors, the most frequent, have a second one.

A block whose neighbours all have its vector needs no overlap and goes straight to its place."""

import numpy as np
from numba import njit

from nvc.kernels._motion import CHROMA, JIT, LUMA, OVERLAP, OVERLAP_CHROMA
from nvc.kernels._vector import chroma_copy, chroma_rows, chroma_store, luma_copy, luma_rows, luma_store

BLOCK = 384  # samples of a block: four tiles of 64 luma, four of 16 U, four of 16 V
SIDES = np.array(((-1, 0), (1, 0), (0, -1), (0, 1)))  # above, below, left, right


def _weights(overlap: np.ndarray) -> np.ndarray:
    """int16 [2, 4, n * n]: weights of the vertical and of the horizontal neighbour's prediction in each tile."""
    n = len(overlap)
    edges = overlap, overlap[::-1]  # of a tile: the neighbour is before its first or after its last sample
    down = [np.repeat(edges[t >> 1], n) for t in range(4)]
    across = [np.tile(edges[t & 1], n) for t in range(4)]
    return np.array((down, across), np.int16)


LUMA_WEIGHTS, CHROMA_WEIGHTS = _weights(OVERLAP), _weights(OVERLAP_CHROMA)


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
def blend(parts, own, vertical, horizontal, weights, n, out, at):
    """n samples to `out` from `at` on: a tile's, of the three predictions that begin at these elements of `parts`."""
    down, across = weights[0], weights[1]
    for k in range(n):
        o, v, h = np.int32(parts[own + k]), np.int32(parts[vertical + k]), np.int32(parts[horizontal + k])
        total = np.int32(32) * o + np.int32(down[k]) * (v - o) + np.int32(across[k]) * (h - o) + np.int32(16)
        out[at + k] = np.int8(np.int32(total) >> np.int32(5))


@njit(**JIT)
def overlapped(parts, sources, out, at, across, along):
    """The blocks at elements sources[0] (own), sources[1..4] (SIDES) of `parts` to the four positions of a block."""
    for t in range(4):
        to = at + (t >> 1) * across + (t & 1) * along
        own, vertical, horizontal = sources[0], sources[1 + (t >> 1)], sources[3 + (t & 1)]
        m = 64 * t
        blend(parts, own + m, vertical + m, horizontal + m, LUMA_WEIGHTS[:, t], 64, out, to)
        for plane in range(2):
            m = 256 + 64 * plane + 16 * t
            place = to + 64 + 16 * plane
            blend(parts, own + m, vertical + m, horizontal + m, CHROMA_WEIGHTS[:, t], 16, out, place)


@njit(**JIT)
def moved(y, u, v, i, j, vy, vx, patch, tmp, parts, base):
    """Block (i, j) moved by (vy, vx), tile after tile, to `parts` from `base` on."""
    luma(y, i, j, vy, vx, patch, tmp, parts, base, 128, 64)
    chroma(u, i, j, vy, vx, patch, tmp, parts, base + 256, 32, 16)
    chroma(v, i, j, vy, vx, patch, tmp, parts, base + 320, 32, 16)


@njit(**JIT)
def compensate(y, u, v, mv, out, across, along, row0, row1):
    """Block rows row0..row1 to `out`, flat; positions are `across` elements apart down and `along` to the right."""
    patch, tmp = np.empty((24, 24), np.uint8), np.empty((24, 16), np.int16)
    parts, sources = np.empty(5 * BLOCK, np.int8), np.empty(5, np.int64)
    bh, bw = mv.shape[:2]
    for i in range(row0, row1):
        for j in range(bw):
            vy, vx = np.int64(mv[i, j, 0]), np.int64(mv[i, j, 1])
            at = 2 * i * across + 2 * j * along
            sources[:] = 0
            for n in range(4):
                ni, nj = i + SIDES[n, 0], j + SIDES[n, 1]
                if ni < 0 or nj < 0 or ni >= bh or nj >= bw:
                    continue
                ny, nx = np.int64(mv[ni, nj, 0]), np.int64(mv[ni, nj, 1])
                if ny != vy or nx != vx:
                    sources[1 + n] = (1 + n) * BLOCK
                    moved(y, u, v, i, j, ny, nx, patch, tmp, parts, sources[1 + n])
            if sources[1] | sources[2] | sources[3] | sources[4]:
                moved(y, u, v, i, j, vy, vx, patch, tmp, parts, 0)
                overlapped(parts, sources, out, at, across, along)
            else:
                luma(y, i, j, vy, vx, patch, tmp, out, at, across, along)
                chroma(u, i, j, vy, vx, patch, tmp, out, at + 64, across, along)
                chroma(v, i, j, vy, vx, patch, tmp, out, at + 80, across, along)
