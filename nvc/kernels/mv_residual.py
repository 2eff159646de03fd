"""Vectors to what is coded: the difference between each vector and its prediction from coded neighbours.

residual[i, j] = mv[i, j] - median(left, top, top-right)     components apart
first row: the prediction is left; first column: left is 0; last column: top-left stands for top-right, and where
there is a single column, top

name      shape         dtype  range
mv        [bh, bw, 2]   int16  -2047 .. 2047
out       [bh, bw, 2]   int16  -4094 .. 4094
"""

from typing import Any

import numba
import numpy as np
import torch

from nvc.kernels import _operands as ops
from nvc.kernels._motion import JIT, MV_MAX, predict, predictor
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import mv_residual as gpu


def _check(mv):
    if mv.dtype != torch.int16 or mv.dim() != 3 or mv.shape[2] != 2 or not mv.numel():
        raise ValueError(f"mv_residual: mv must be int16 [bh, bw, 2], not {mv.dtype} {tuple(mv.shape)}")


def reference(mv):
    _check(mv)
    return (mv.long() - predictor(mv.long())).short()


@numba.njit(**JIT)
def _residual(mv, out):
    for i in range(mv.shape[0]):
        for j in range(mv.shape[1]):
            py, px = predict(mv, i, j)
            out[i, j, 0] = np.int16(np.int32(mv[i, j, 0]) - py)
            out[i, j, 1] = np.int16(np.int32(mv[i, j, 1]) - px)


def cpu(mv, *, out=None):
    _check(mv)
    out = torch.empty(mv.shape, dtype=torch.int16) if out is None else out
    _residual(mv.numpy(), out.numpy())
    return out


def launch(mv, *, out=None):
    _check(mv)
    out = ops.output("mv_residual", out, (*mv.shape,), torch.int16, mv.device)
    ops.expect_launchable("mv_residual", mv, out)
    gpu.run(mv, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw = case
    return {"mv": fill((bh, bw, 2), -MV_MAX, MV_MAX, torch.int16)}


mv_residual = Kernel(
    name="mv_residual",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1), (1, 7), (9, 1), (2, 2), (5, 3), (23, 40)),
    bench_cases=((23, 40), (68, 120)),
    cost=lambda case: Cost(bytes=8 * case[0] * case[1], macs=0),
)
