"""Motion compensation of block rows for numba, and the choice of how blocks overlap.

A block whose taps stay inside the plane is read in place; another is first copied, coordinates clamped, to a small
patch. A phase of zero multiplies by 64, exactly undone by the shift, so one path serves every vector; only whole
vectors, the most frequent, have a second one.

A block whose neighbours all have its vector needs no overlap and goes straight to its place."""

import numpy as np
from numba import njit

from nvc.kernels._motion import CHROMA, JIT, LUMA
from nvc.kernels._overlap import OVERLAP, OVERLAP_CHROMA, QUARTERS, down_and_across
from nvc.kernels._vector_motion import (
    blend16,
    blend64,
    chroma_copy,
    chroma_copy_flat,
    chroma_copy_tall,
    chroma_predict,
    chroma_predict_flat,
    chroma_predict_tall,
    luma_copy,
    luma_copy_flat,
    luma_copy_tall,
    luma_predict,
    luma_predict_flat,
    luma_predict_tall,
    tile_satds,
)

BLOCK = 384  # samples of a block: four tiles of 64 luma, four of 16 U, four of 16 V
WHOLE, FLAT, TALL = range(3)  # parts of a block: all of it, one above the other, side by side
SIDES = np.array(((-1, 0), (1, 0), (0, -1), (0, 1)))  # above, below, left, right


def _weights(overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int16 [4 kinds, 4 quarters, n n], flat: of the vertical and of the horizontal neighbour's prediction in each tile
    of n x n."""
    n = len(overlap)
    down, across = (w.reshape(4, 2, n) for w in down_and_across(overlap))
    return (
        np.concatenate([np.repeat(down[kind, row], n) for kind in range(4) for row, _ in QUARTERS]),
        np.concatenate([np.tile(across[kind, column], n) for kind in range(4) for _, column in QUARTERS]),
    )


(LUMA_DOWN, LUMA_ACROSS), (CHROMA_DOWN, CHROMA_ACROSS) = _weights(OVERLAP), _weights(OVERLAP_CHROMA)


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
def luma(plane, y, x, vy, vx, part, patch, tmp, out, base, across, along):
    """The `part` of a block whose first sample is (y, x), moved by (vy, vx), to tiles of `out`."""
    y, x = y + (vy >> 2) - 3, x + (vx >> 2) - 3
    src = plane
    if outside(plane, y, x, 24):
        fetch(plane, y, x, 24, patch)
        src, y, x = patch, 0, 0
    stride = src.shape[1]
    at, inner = y * stride + x, (y + 3) * stride + x + 3
    if (vy | vx) & 3 == 0:
        if part == WHOLE:
            luma_copy(src, inner, stride, out, base, across, along)
        elif part == FLAT:
            luma_copy_flat(src, inner, stride, out, base, across, along)
        else:
            luma_copy_tall(src, inner, stride, out, base, across, along)
    elif part == WHOLE:
        luma_predict(src, at, stride, LUMA, vx & 3, vy & 3, tmp, out, base, across, along)
    elif part == FLAT:
        luma_predict_flat(src, at, stride, LUMA, vx & 3, vy & 3, tmp, out, base, across, along)
    else:
        luma_predict_tall(src, at, stride, LUMA, vx & 3, vy & 3, tmp, out, base, across, along)


@njit(**JIT)
def chroma(plane, y, x, vy, vx, part, patch, tmp, out, base, across, along):
    """The `part` of a block whose first sample is (y, x), moved by (vy, vx), to tiles of `out`."""
    y, x = y + (vy >> 3) - 1, x + (vx >> 3) - 1
    src = plane
    if outside(plane, y, x, 11):
        fetch(plane, y, x, 11, patch)
        src, y, x = patch, 0, 0
    stride = src.shape[1]
    at, inner = y * stride + x, (y + 1) * stride + x + 1
    if (vy | vx) & 7 == 0:
        if part == WHOLE:
            chroma_copy(src, inner, stride, out, base, across, along)
        elif part == FLAT:
            chroma_copy_flat(src, inner, stride, out, base, across, along)
        else:
            chroma_copy_tall(src, inner, stride, out, base, across, along)
    elif part == WHOLE:
        chroma_predict(src, at, stride, CHROMA, vx & 7, vy & 7, tmp, out, base, across, along)
    elif part == FLAT:
        chroma_predict_flat(src, at, stride, CHROMA, vx & 7, vy & 7, tmp, out, base, across, along)
    else:
        chroma_predict_tall(src, at, stride, CHROMA, vx & 7, vy & 7, tmp, out, base, across, along)


@njit(**JIT)
def overlapped(parts, sources, overlap, out, at, across, along):
    """The blocks at elements sources[0] (own), sources[1..4] (SIDES) of `parts` to the four positions of a block."""
    for t in range(4):
        kind = np.int64(overlap >> (2 * t)) & 3
        to = at + (t >> 1) * across + (t & 1) * along
        own, vertical, horizontal = sources[0], sources[1 + (t >> 1)], sources[3 + (t & 1)]
        m = 64 * t
        blend64(parts, own + m, vertical + m, horizontal + m, LUMA_DOWN, LUMA_ACROSS, 256 * kind + m, out, to)
        for plane in range(2):
            m = 256 + 64 * plane + 16 * t
            place = to + 64 + 16 * plane
            weights = 64 * kind + 16 * t
            blend16(parts, own + m, vertical + m, horizontal + m, CHROMA_DOWN, CHROMA_ACROSS, weights, out, place)


@njit(**JIT)
def neighbour_luma(y, i, j, side, vy, vx, patch, tmp, parts, base):
    """The half of block (i, j) that is next to its neighbour on `side`, moved by that one's vector, where it would lie
    among the tiles of the whole block at `base` of `parts`."""
    part = FLAT if side < 2 else TALL
    down, right = np.int64(side == 1), np.int64(side == 3)
    at = base + 128 * down + 64 * right
    luma(y, 16 * i + 8 * down, 16 * j + 8 * right, vy, vx, part, patch, tmp, parts, at, 128, 64)


@njit(**JIT)
def neighbour_chroma(u, v, i, j, side, vy, vx, patch, tmp, parts, base):
    """The same of both chroma planes."""
    part = FLAT if side < 2 else TALL
    down, right = np.int64(side == 1), np.int64(side == 3)
    at = base + 256 + 32 * down + 16 * right
    chroma(u, 8 * i + 4 * down, 8 * j + 4 * right, vy, vx, part, patch, tmp, parts, at, 32, 16)
    chroma(v, 8 * i + 4 * down, 8 * j + 4 * right, vy, vx, part, patch, tmp, parts, at + 64, 32, 16)


@njit(**JIT)
def differing(mv, i, j, sources):
    """sources [5]: where the predictions of a block begin among those of BLOCK samples each: its own, and those for the
    vectors of SIDES, the own one where they are the same. Returns whether there is another."""
    bh, bw = mv.shape[:2]
    sources[:] = 0
    for side in range(4):
        ni, nj = i + SIDES[side, 0], j + SIDES[side, 1]
        if ni < 0 or nj < 0 or ni >= bh or nj >= bw:
            continue
        if mv[ni, nj, 0] != mv[i, j, 0] or mv[ni, nj, 1] != mv[i, j, 1]:
            sources[1 + side] = (1 + side) * BLOCK
    return (sources[1] | sources[2] | sources[3] | sources[4]) != 0


@njit(**JIT)
def predictions(y, u, v, mv, i, j, sources, patch, tmp, parts):
    """Fills those of `differing` in `parts`."""
    vy, vx = np.int64(mv[i, j, 0]), np.int64(mv[i, j, 1])
    for side in range(4):
        base = sources[1 + side]
        if base:
            ni, nj = i + SIDES[side, 0], j + SIDES[side, 1]
            ny, nx = np.int64(mv[ni, nj, 0]), np.int64(mv[ni, nj, 1])
            neighbour_luma(y, i, j, side, ny, nx, patch, tmp, parts, base)
            neighbour_chroma(u, v, i, j, side, ny, nx, patch, tmp, parts, base)
    luma(y, 16 * i, 16 * j, vy, vx, WHOLE, patch, tmp, parts, 0, 128, 64)
    chroma(u, 8 * i, 8 * j, vy, vx, WHOLE, patch, tmp, parts, 256, 32, 16)
    chroma(v, 8 * i, 8 * j, vy, vx, WHOLE, patch, tmp, parts, 320, 32, 16)


@njit(**JIT)
def alone(y, u, v, mv, i, j, patch, tmp, out, at, across, along):
    """A block without other predictions, straight to its four positions."""
    vy, vx = np.int64(mv[i, j, 0]), np.int64(mv[i, j, 1])
    luma(y, 16 * i, 16 * j, vy, vx, WHOLE, patch, tmp, out, at, across, along)
    chroma(u, 8 * i, 8 * j, vy, vx, WHOLE, patch, tmp, out, at + 64, across, along)
    chroma(v, 8 * i, 8 * j, vy, vx, WHOLE, patch, tmp, out, at + 80, across, along)


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
def blended_luma(parts, sources, kind, out):
    """The luma tiles of a block whose quarters are all of one kind, from predictions as in `overlapped`."""
    for t in range(4):
        own, vertical, horizontal, m = sources[0], sources[1 + (t >> 1)], sources[3 + (t & 1)], 64 * t
        weights = 256 * kind + m
        blend64(parts, own + m, vertical + m, horizontal + m, LUMA_DOWN, LUMA_ACROSS, weights, out, m)


@njit(**JIT)
def choose(cur, i, j, rate, parts, sources, here, there, costs):
    """The byte of block (i, j) of the luma plane `cur`, whose `predictions` are in `parts`."""
    luma_copy(cur, 16 * i * cur.shape[1] + 16 * j, cur.shape[1], here, 0, 128, 64)
    for kind in range(4):
        blended_luma(parts, sources, kind, there)
        tile_satds(here, there, costs, 4 * kind)
    return chosen(costs, rate)


@njit(**JIT)
def compensate(cur, rate, y, u, v, mv, overlap, out, across, along, row0, row1):
    """Block rows row0..row1 to `out`, flat; positions are `across` elements apart down and `along` to the right. With a
    plane `cur` that is not empty, `overlap` is chosen for it."""
    patch, tmp = np.empty((24, 24), np.uint8), np.empty((24, 16), np.int16)
    parts, sources = np.empty(5 * BLOCK, np.int8), np.empty(5, np.int64)
    here, there, costs = np.empty(256, np.int8), np.empty(256, np.int8), np.empty(16, np.int32)
    for i in range(row0, row1):
        for j in range(mv.shape[1]):
            at = 2 * i * across + 2 * j * along
            if differing(mv, i, j, sources):
                predictions(y, u, v, mv, i, j, sources, patch, tmp, parts)
                if cur.size:
                    overlap[i, j] = choose(cur, i, j, rate, parts, sources, here, there, costs)
                overlapped(parts, sources, overlap[i, j], out, at, across, along)
            else:
                alone(y, u, v, mv, i, j, patch, tmp, out, at, across, along)
                if cur.size:
                    overlap[i, j] = 0
