"""Sub-pel interpolation of the motion kernels, as int8 matrix products.

For a batch of blocks, P the 32x32 samples from the first one that a tap reads, less 128:

    T = Fx P'             Fx[x, k] = tap k - x of the horizontal phase       [n, 32] times [32, 32]
    value' = T Fy'        Fy[y, k] = tap k - y of the vertical phase         [n, 32] times [32, m]

Transposed, every operand has the dimension that is summed over contiguous: no bytes to shuffle. Samples that no tap
reads meet zeros of Fx and Fy. Bringing bytes to where the products want them takes more instructions than the
products, so
- a patch is read as words of four samples; as these begin at multiples of four, it begins up to three samples too
  early, which Fx makes up for;
- Fx and Fy are ready in memory, in the order of a warp's registers;
- the second product sums over k in the order in which the first leaves T in the registers of each thread.

Bounds: taps are in [-11, 64], which fits int8. A row of them sums to 64, so T is one pass over 8-bit samples less 8192:
within [-14312, 14248] (luma; chroma is narrower: `_motion`). As T = 256 hi + lo with int8 halves, |hi| <= 56, and the
sum of both passes is the exact one less 64 * 8192 = 2^19, which is 128 in the result.
"""

import functools

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._motion import CHROMA, LUMA
from nvc.kernels.gpu._fixed import two_bytes
from nvc.kernels.gpu._plane import chosen, clamped, offset


def _matrix(rows: np.ndarray, first: list[int]) -> np.ndarray:
    """int8 [16, 32]: each row of taps with its first for this sample."""
    matrix = np.zeros((16, 32), np.int8)
    for n, (row, at) in enumerate(zip(rows, first, strict=True)):
        matrix[n, at : at + len(row)] = row
    return matrix


def _phases(taps: np.ndarray, further: int) -> list[np.ndarray]:
    """Fx of each phase for a patch that begins so many samples too early."""
    return [_matrix(taps[[phase] * 16], [n + further for n in range(16)]) for phase in range(len(taps))]


def _operands() -> np.ndarray:
    """int8 [68, 512]: Fx and Fy as a warp has them in registers, four words of each thread.

    Thread 4 g + t has rows g and g + 8, of Fx the samples from 8 t on, as the first product begins with loads of two
    words, of Fy those of one word from 4 t and from 16 + 4 t on.
    """
    across = [m for further in range(5) for m in _phases(LUMA, further)]
    across += [m for further in range(4) for m in _phases(CHROMA, further)]
    down = [m for further in range(2) for m in _phases(LUMA, further)]
    down += [_matrix(CHROMA[[phase] * 16], [n + 8 * (n >> 3) for n in range(16)]) for phase in range(8)]
    ordered = np.array(down).reshape(-1, 16, 2, 2, 4, 2).transpose(0, 1, 2, 4, 3, 5)  # as in `interpolated`
    fx = np.array(across).reshape(-1, 2, 8, 4, 2, 4).transpose(0, 2, 3, 4, 1, 5)
    fy = ordered.reshape(-1, 2, 8, 2, 4, 4).transpose(0, 2, 4, 1, 3, 5)
    return np.concatenate((fx.reshape(-1, 512), fy.reshape(-1, 512)))


_TAPS = torch.from_numpy(_operands())


@functools.cache
def taps_on(device: torch.device) -> Tensor:
    """Fx and Fy of every phase, for the four functions below. Copied to a device once."""
    return _TAPS.to(device)


@triton.jit
def _threads(taps_ptr, number):
    """int8 [B, N, 8, 4, 2, 2, 4]: matrices number [B, N], four words of each thread."""
    matrices = tl.load(taps_ptr + number[:, :, None] * 512 + tl.arange(0, 512)[None, None, :])
    return matrices.reshape(number.shape[0], number.shape[1], 8, 4, 2, 2, 4)


@triton.jit
def _across(taps_ptr, number):
    """int8 [B, 16 N, 32]: Fx number [B, N] below one another."""
    matrices = tl.permute(_threads(taps_ptr, number), (0, 1, 5, 2, 3, 4, 6))
    return matrices.reshape(number.shape[0], 16 * number.shape[1], 32)


@triton.jit
def _down(taps_ptr, number):
    """int8 [B, 16 N, 32]: Fy number [B, N] below one another, samples in the order of `interpolated`."""
    matrices = tl.permute(_threads(taps_ptr, number), (0, 1, 4, 2, 5, 3, 6))
    return matrices.reshape(number.shape[0], 16 * number.shape[1], 32)


@triton.jit
def luma_across(taps_ptr, vector, further):
    """Fx of the phases of vectors [B, N] in quarter samples; further: samples, 0..4, that patches begin too early."""
    return _across(taps_ptr, 4 * further + (vector & 3))


@triton.jit
def luma_down(taps_ptr, vector, further):
    """Fy of the phases of vectors [B, N] in quarter samples; further: 0 or 1."""
    return _down(taps_ptr, 52 + 4 * further + (vector & 3))


@triton.jit
def chroma_across(taps_ptr, vector, further):
    """Fx of the phases of vectors [B, N] in eighths of a sample, for columns n < 8; further: 0..3."""
    return _across(taps_ptr, 20 + 8 * further + (vector & 7))


@triton.jit
def chroma_down(taps_ptr, vector):
    """Fy of the phases of vectors [B, N] in eighths of a sample: rows 0..7 of samples 0..15, then of samples 16..31."""
    return _down(taps_ptr, 60 + (vector & 7))


@triton.jit
def patch(plane_ptr, row, left, used, H, W):
    """int8 [B, R, 32]: samples less 128 of rows [B, R, 1], from columns left & -4 on, left [B, 1, 1]; of rows that are
    not used, arbitrary. W is a multiple of 4: beyond an edge a word has the sample at the edge four times."""
    column = (left & -4) + 4 * tl.arange(0, 8)[None, None, :]
    at = offset(clamped(row, H), clamped(column, W - 3), W)
    words = tl.load((plane_ptr + at).to(tl.pointer_type(tl.uint32)), mask=used, other=0)
    sample = tl.where(column < 0, 0, tl.where(column >= W, 0x3333, 0x3210)).to(tl.uint32)
    words = chosen(words, words, sample) ^ 0x80808080
    even = tl.join(words.to(tl.int8), (words >> 16).to(tl.int8))
    odd = tl.join((words >> 8).to(tl.int8), (words >> 24).to(tl.int8))
    return tl.join(even, odd).reshape(words.shape[0], words.shape[1], 32)


@triton.jit
def _halves(v):
    """(low, high), int8, such that v - 128 = 256 high + low, of int32 v that fit 16 bits: four in five instructions."""
    return two_bytes(
        v,
        "{ .reg .b32 a, b; prmt.b32 a, $2, $3, 0x5410; prmt.b32 b, $4, $5, 0x5410; prmt.b32 $1, a, b, 0x7531; "
        "prmt.b32 a, a, b, 0x6420; xor.b32 $0, a, 0x80808080; }",
    )


@triton.jit
def interpolated(patch, across, down):
    """Predicted samples less 128, int32 [B, n, m] (columns first), of a patch: Fx [B, n, 32], Fy [B, m, 32]."""
    B: tl.constexpr = across.shape[0]
    N: tl.constexpr = across.shape[1]
    half = tl.full((B, N, 32), 128, tl.int32)  # so that the high half of T + 128 is that of T, rounded
    half = tl.dot(across, tl.permute(patch, (0, 2, 1)), half, out_dtype=tl.int32)
    # of every sixteen columns a thread has 2 t, 2 t + 1, 8 + 2 t and 9 + 2 t: they become 4 t .. 4 t + 3
    half = tl.permute(half.reshape(B, N, 2, 2, 4, 2), (0, 1, 2, 4, 3, 5)).reshape(B, N, 32)
    low, high = _halves(half)
    down = tl.permute(down, (0, 2, 1))
    total = tl.dot(low, down, tl.dot(high, down, out_dtype=tl.int32) * 256 + 2**11, out_dtype=tl.int32)
    return tl.minimum(tl.maximum(total >> 12, -128), 127)
