"""Pieces shared by the motion kernels: interpolation taps, the vector predictor, its price, block distances.

Bounds. The positive luma taps of a phase sum to at most 88 and the negative ones to at least -24, so one pass over
8-bit samples lies in [-24 * 255, 88 * 255] = [-6120, 22440] and fits int16; the second stays within
88 * 22440 + 24 * 6120 < 2^22. Chroma: at most 74 and -10, so [-2550, 18870], then 74 * 18870 + 10 * 2550 < 2^21. Sums
of one pass fit int16 and those of two int32, in any order, as wrapping intermediate sums do no harm.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

BLOCK = 16
MV_MAX = 2047  # magnitude of a vector component, in quarter pel
WHOLE, COARSEST = 2, 5  # precisions p of a frame, whose vectors are multiples of 2^p: of one pixel, of eight
LUMA = np.array(
    (
        (0, 0, 0, 64, 0, 0, 0, 0),
        (-1, 4, -10, 58, 17, -5, 1, 0),
        (-1, 4, -11, 40, 40, -11, 4, -1),
        (0, 1, -5, 17, 58, -10, 4, -1),
    ),
    np.int16,
)
CHROMA = np.array(
    (
        (0, 64, 0, 0),
        (-2, 58, 10, -2),
        (-4, 54, 16, -2),
        (-6, 46, 28, -4),
        (-4, 36, 36, -4),
        (-4, 28, 46, -6),
        (-2, 16, 54, -4),
        (-2, 10, 58, -2),
    ),
    np.int16,
)
JIT: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


def require_plane(name: str, plane: Tensor, multiple: int) -> None:
    """Raises ValueError unless `plane` is a uint8 matrix, not empty, with sides that are multiples of `multiple`."""
    if plane.dtype != torch.uint8 or plane.ndim != 2:
        raise ValueError(f"{name} must be a uint8 matrix, not {plane.dtype} {tuple(plane.shape)}")
    if not plane.numel() or plane.shape[0] % multiple or plane.shape[1] % multiple:
        raise ValueError(f"{name}: sides {tuple(plane.shape)} must be positive multiples of {multiple}")


def require_precision(name: str, precision: Tensor) -> None:
    """Raises ValueError unless the precision of kernel `name` is int32 [1]."""
    if precision.dtype != torch.int32 or precision.shape != (1,):
        raise ValueError(f"{name}: precision must be int32 [1], not {precision.dtype} {tuple(precision.shape)}")


def limited(precision: Tensor) -> int:
    """The precision p that a value means: vectors in 2^p quarter pixels, up to 8 pixels."""
    return min(max(int(precision), 0), COARSEST)


def windows(plane: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """int64 [bh, bw, size, size]: the squares of `plane` at int64 [bh, bw] corners, clamped to the plane."""
    step = torch.arange(size)
    rows = (top[..., None] + step).clamp(0, plane.shape[0] - 1)
    cols = (left[..., None] + step).clamp(0, plane.shape[1] - 1)
    return plane[rows[..., :, None], cols[..., None, :]].long()


def interpolated(plane: Tensor, mv: Tensor, taps: np.ndarray, size: int) -> Tensor:
    """int64 [bh, bw, size, size], 0..255: every block of `size` samples of `plane` moved by its vector.

    mv int64 [bh, bw, 2] in units of 1 / len(taps) sample.
    """
    f = torch.from_numpy(taps).long()
    shift, n = len(taps).bit_length() - 1, taps.shape[1]
    bh, bw = mv.shape[:2]
    whole, phase = mv >> shift, mv & (len(taps) - 1)
    top = torch.arange(bh)[:, None] * size + whole[..., 0] - (n // 2 - 1)
    left = torch.arange(bw)[None, :] * size + whole[..., 1] - (n // 2 - 1)
    patch = windows(plane, top, left, size + n - 1)
    fy, fx = (f[phase[..., d]] for d in (0, 1))
    half = torch.stack([fx[..., k, None, None] * patch[..., :, k : k + size] for k in range(n)]).sum(0)
    total = torch.stack([fy[..., k, None, None] * half[..., k : k + size, :] for k in range(n)]).sum(0)
    return ((total + 2**11) >> 12).clamp(0, 255)


def predictor(mv: Tensor) -> Tensor:
    """[bh, bw, 2], what `mv` (same shape and dtype) would be predicted from, every neighbour taken from `mv`."""
    left = torch.zeros_like(mv)
    left[:, 1:] = mv[:, :-1]
    if mv.shape[0] == 1:
        return left
    top, corner = mv[:-1], mv[:-1].clone()
    if mv.shape[1] > 1:
        corner[:, :-1], corner[:, -1] = mv[:-1, 1:], mv[:-1, -2]
    rest = torch.stack((left[1:], top, corner)).median(0).values
    return torch.cat((left[:1], rest))


@njit(**JIT)
def predict(mv, i, j):
    """(dy, dx): the prediction of mv[i, j] as Python-level `predictor` defines it; reads no block at or after (i, j)
    in raster order."""
    ly, lx = np.int32(0), np.int32(0)
    if j > 0:
        ly, lx = np.int32(mv[i, j - 1, 0]), np.int32(mv[i, j - 1, 1])
    if i == 0:
        return ly, lx
    k = j + 1 if j + 1 < mv.shape[1] else max(j - 1, 0)
    ty, tx = np.int32(mv[i - 1, j, 0]), np.int32(mv[i - 1, j, 1])
    cy, cx = np.int32(mv[i - 1, k, 0]), np.int32(mv[i - 1, k, 1])
    return max(min(ly, ty), min(max(ly, ty), cy)), max(min(lx, tx), min(max(lx, tx), cx))
