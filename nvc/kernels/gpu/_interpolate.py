"""Sub-pel interpolation of the motion kernels, as int8 matrix products.

For a batch of blocks, P the 32x32 samples from the first one that a tap reads, less 128:

    T = Fx P'             Fx[x, k] = tap k - x of the horizontal phase       [n, 32] times [32, 32]
    value' = T Fy'        Fy[y, k] = tap k - y of the vertical phase         [n, 32] times [32, m]

Transposed, every operand has the dimension that is summed over contiguous: no bytes to shuffle. Samples that no tap
reads meet zeros of Fx and Fy. Bounds: taps are in [-11, 64], which fits int8. A row of them sums to 64, so T is one
pass over 8-bit samples less 8192: within [-14312, 14248] (luma; chroma is narrower: `_motion`). As T = 256 hi + lo with
int8 halves, |hi| <= 56, and the sum of both passes is the exact one less 64 * 8192 = 2^19.
"""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._motion import CHROMA, LUMA


def _line(row: np.ndarray, samples: int, first: int) -> np.ndarray:
    """The taps, the first of them for sample number `first` of so many."""
    line = np.zeros(samples, np.int8)
    line[first : first + len(row)] = row
    return line


def _matrices() -> np.ndarray:
    """int8 [24, 16, 32]: eight for luma, by 4 (1 if a sample further, else 0) + phase; eight for chroma columns, whose
    rows 8..15 no result needs, by phase; eight for chroma rows, by phase, U in the first half of both axes, V in the
    second."""
    luma = [[_line(row, 32, n + further) for n in range(16)] for further in range(2) for row in LUMA]
    across = [[_line(row, 32, n) for n in range(16)] for row in CHROMA]
    down = [[_line(row, 32, n + 8 * (n >> 3)) for n in range(16)] for row in CHROMA]
    return np.array(luma + across + down)


_CPU = torch.device("cpu")
_TAPS = {_CPU: torch.from_numpy(_matrices())}


def tap_rows(device: torch.device) -> Tensor:
    """The rows of Fx and Fy for every phase, for `luma_taps` and the two for chroma: ready in memory, as making them
    takes more instructions than the products. Copied to a device once."""
    if device not in _TAPS:
        _TAPS[device] = _TAPS[_CPU].to(device)
    return _TAPS[device]


@triton.jit
def _rows(taps_ptr, matrix, n):
    """int8 [B, N, 32]: rows n [1, N, 1] of the matrices [B, 1 or N, 1]."""
    return tl.load(taps_ptr + (matrix * 16 + n) * 32 + tl.arange(0, 32)[None, None, :])


@triton.jit
def luma_taps(taps_ptr, vector, n, further):
    """Fx or Fy of the phase of a vector in quarter samples; further: 1 where the patch begins a sample too early."""
    return _rows(taps_ptr, 4 * further + (vector & 3), n)


@triton.jit
def chroma_taps_across(taps_ptr, vector, n):
    """Fx of the phase of a vector in eighths of a sample, for columns n < 8."""
    return _rows(taps_ptr, 8 + (vector & 7), n)


@triton.jit
def chroma_taps_down(taps_ptr, vector, n):
    """Fy of the phase of a vector in eighths of a sample: rows 0..7 of samples 0..15, then of samples 16..31."""
    return _rows(taps_ptr, 16 + (vector & 7), n)


@triton.jit
def clamped(v, size):
    """Coordinates v limited to 0 .. size - 1."""
    return tl.minimum(tl.maximum(v, 0), size - 1)


@triton.jit
def _at(row, column, H, W):
    """Offset of coordinates clamped to a plane of less than 2^32 samples."""
    return (clamped(row, H) * W + clamped(column, W)).to(tl.uint32).to(tl.int64)


@triton.jit
def pixels(plane_ptr, row, column, H, W):
    """int32: uint8 [H, W] plane at int32 coordinates, whatever they are: they are clamped to it."""
    return tl.load(plane_ptr + _at(row, column, H, W)).to(tl.int32)


@triton.jit
def samples(plane_ptr, row, column, mask, H, W):
    """The same less 128, int8; arbitrary where masked."""
    return (tl.load(plane_ptr + _at(row, column, H, W), mask=mask, other=0) ^ 128).to(tl.int8, bitcast=True)


@triton.jit
def interpolated(patch, across, down):
    """Predicted samples 0..255, int32 [B, n, m] (columns first), of int8 [B, 32, 32]: Fx [B, n, 32], Fy [B, m, 32]."""
    half = tl.dot(across, tl.permute(patch, (0, 2, 1)), out_dtype=tl.int32)  # [B, n, 32]
    low = half.to(tl.int8)
    high = ((half - low.to(tl.int32)) >> 8).to(tl.int8)
    down = tl.permute(down, (0, 2, 1))
    total = tl.dot(high, down, out_dtype=tl.int32) * 256 + tl.dot(low, down, out_dtype=tl.int32)
    return tl.minimum(tl.maximum((total + (2**19 + 2**11)) >> 12, 0), 255)
