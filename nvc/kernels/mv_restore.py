"""Coded differences back to vectors: the inverse of `mv_residual`, and total on every input.

    mv[i, j] = clamp(residual[i, j] + prediction, -2047, 2047)      prediction as in `mv_residual`, from restored mv

    name      shape         dtype  range
    residual  [bh, bw, 2]   int16  full
    out       [bh, bw, 2]   int16  -2047 .. 2047

A block needs its left, top and top-right neighbours: anti-diagonals (2 i + j constant) are independent.
"""

from typing import Any

import numba
import numpy as np
import torch

from nvc.kernels import _operands as ops
from nvc.kernels._motion import JIT, MV_MAX, predict
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import mv_restore as gpu


def _check(residual):
    if residual.dtype != torch.int16 or residual.dim() != 3 or residual.shape[2] != 2 or not residual.numel():
        raise ValueError(
            f"mv_restore: residual must be int16 [bh, bw, 2], not {residual.dtype} {tuple(residual.shape)}"
        )


def reference(residual):
    _check(residual)
    mv = torch.zeros(residual.shape, dtype=torch.int64)
    bh, bw, _ = residual.shape
    for i in range(bh):
        for j in range(bw):
            left = mv[i, j - 1] if j else torch.zeros(2, dtype=torch.int64)
            predicted = left
            if i:
                third = j + 1 if j + 1 < bw else max(j - 1, 0)
                predicted = torch.stack((left, mv[i - 1, j], mv[i - 1, third])).median(0).values
            mv[i, j] = (residual[i, j].long() + predicted).clamp(-MV_MAX, MV_MAX)
    return mv.short()


@numba.njit(**JIT)
def _restore(residual, out):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            py, px = predict(out, i, j)
            out[i, j, 0] = np.int16(min(max(np.int32(residual[i, j, 0]) + py, -MV_MAX), MV_MAX))
            out[i, j, 1] = np.int16(min(max(np.int32(residual[i, j, 1]) + px, -MV_MAX), MV_MAX))


def cpu(residual, *, out=None):
    _check(residual)
    out = torch.empty(residual.shape, dtype=torch.int16) if out is None else out
    _restore(residual.numpy(), out.numpy())
    return out


def launch(residual, *, out=None):
    _check(residual)
    out = ops.output("mv_restore", out, (*residual.shape,), torch.int16, residual.device)
    ops.expect_launchable("mv_restore", residual, out)
    gpu.run(residual, out, MV_MAX)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw = case
    bound = 32767 if fill.pattern == "boundary" else 2 * MV_MAX
    return {"residual": fill((bh, bw, 2), -bound, bound, torch.int16)}


mv_restore = Kernel(
    name="mv_restore",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1), (1, 7), (9, 1), (2, 2), (5, 3), (23, 40)),
    bench_cases=((23, 40), (68, 120)),
    cost=lambda case: Cost(bytes=8 * case[0] * case[1], macs=0),
)
