"""Coded differences back to vectors and overlaps: the inverse of `code_vectors`, and total on every input.

    mv[i, j]      = clamp((residual[i, j, 0 and 1] << p) + prediction, -2047, 2047)
                    prediction as in `code_vectors`, from restored mv
    overlap[i, j] = `_overlap.restored` of residual[i, j, 2]

    name       shape         dtype  range
    residual   [bh, bw, 3]   int16  full
    precision  [1]           int32  full   p, limited to 0 .. 5: quarter, half, 1, 2, 4, 8 pixels
    -> mv      [bh, bw, 2]   int16  -2047 .. 2047
    overlap    [bh, bw]      uint8  full

A block needs its left, top and top-right neighbours: anti-diagonals (2 i + j constant) are independent.
"""

from typing import Any

import numba
import numpy as np
import torch

from nvc.kernels import _operands as ops
from nvc.kernels._motion import JIT, MV_MAX, limited, predict, require_precision
from nvc.kernels._overlap import BYTES, restored
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import mv_restore as gpu


def _check(residual, precision):
    if residual.dtype != torch.int16 or residual.dim() != 3 or residual.shape[2] != 3 or not residual.numel():
        raise ValueError(
            f"mv_restore: residual must be int16 [bh, bw, 3], not {residual.dtype} {tuple(residual.shape)}"
        )
    require_precision("mv_restore", precision)


def reference(residual, precision):
    _check(residual, precision)
    bh, bw, _ = residual.shape
    mv = torch.zeros((bh, bw, 2), dtype=torch.int64)
    for i in range(bh):
        for j in range(bw):
            left = mv[i, j - 1] if j else torch.zeros(2, dtype=torch.int64)
            predicted = left
            if i:
                third = j + 1 if j + 1 < bw else max(j - 1, 0)
                predicted = torch.stack((left, mv[i - 1, j], mv[i - 1, third])).median(0).values
            mv[i, j] = ((residual[i, j, :2].long() << limited(precision)) + predicted).clamp(-MV_MAX, MV_MAX)
    return mv.short(), restored(residual[..., 2])


@numba.njit(**JIT)
def _restore(residual, precision, out, overlap):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            py, px = predict(out, i, j)
            out[i, j, 0] = np.int16(min(max((np.int32(residual[i, j, 0]) << precision) + py, -MV_MAX), MV_MAX))
            out[i, j, 1] = np.int16(min(max((np.int32(residual[i, j, 1]) << precision) + px, -MV_MAX), MV_MAX))
            d = np.int32(residual[i, j, 2])
            overlap[i, j] = BYTES[min(2 * abs(d) - np.int32(d < 0), np.int32(255))]


def cpu(residual, precision, *, out=None):
    _check(residual, precision)
    bh, bw, _ = residual.shape
    out = out or (torch.empty((bh, bw, 2), dtype=torch.int16), torch.empty((bh, bw), dtype=torch.uint8))
    _restore(residual.numpy(), limited(precision), *(t.numpy() for t in out))
    return out


def launch(residual, precision, *, out=None):
    _check(residual, precision)
    bh, bw, _ = residual.shape
    mv, overlap = out or (None, None)
    mv = ops.output("mv_restore", mv, (bh, bw, 2), torch.int16, residual.device)
    overlap = ops.output("mv_restore", overlap, (bh, bw), torch.uint8, residual.device)
    ops.expect_launchable("mv_restore", residual, precision, mv, overlap)
    gpu.run(residual, precision, mv, overlap, MV_MAX)
    return mv, overlap


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw, precision = case
    bound = 32767 if fill.pattern == "boundary" else 2 * MV_MAX
    residual = fill((bh, bw, 3), -bound, bound, torch.int16)
    if fill.pattern == "small":  # every byte that an encoder writes, and one beyond
        residual[..., 2] = torch.arange(-128, bh * bw - 128).view(bh, bw).remainder(258) - 129
    return {"residual": residual, "precision": torch.tensor([precision], dtype=torch.int32)}


mv_restore = Kernel(
    name="mv_restore",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 0), (1, 7, 1), (9, 1, 2), (2, 2, 5), (5, 3, 7), (23, 40, 4)),
    bench_cases=((23, 40, 0), (68, 120, 0)),
    cost=lambda case: Cost(bytes=11 * case[0] * case[1], macs=0),
)
