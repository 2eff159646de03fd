"""Vectors to what is coded: the difference between each vector and its prediction from coded neighbours, and what
stands for the block's overlap.

out[i, j, 0 and 1] = (mv[i, j] - median(left, top, top-right)) >> p     components apart
out[i, j, 2]       = `_overlap.differences` of overlap[i, j]
first row: the prediction is left; first column: left is 0; last column: top-left stands for top-right, and where
there is a single column, top

name       shape         dtype  range
mv         [bh, bw, 2]   int16  -2047 .. 2047   multiples of 2^p, else mv_restore gives others
overlap    [bh, bw]      uint8  full
precision  [1]           int32  full            p, limited to 0 .. 2: quarter, half, whole pixels
out        [bh, bw, 3]   int16  -4094 .. 4094
"""

from typing import Any

import numba
import numpy as np
import torch

from nvc.kernels import _operands as ops
from nvc.kernels._motion import JIT, MV_MAX, limited, predict, predictor, require_precision
from nvc.kernels._overlap import RANKS, differences
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import mv_residual as gpu


def _check(mv, overlap, precision):
    if mv.dtype != torch.int16 or mv.dim() != 3 or mv.shape[2] != 2 or not mv.numel():
        raise ValueError(f"mv_residual: mv must be int16 [bh, bw, 2], not {mv.dtype} {tuple(mv.shape)}")
    ops.expect("mv_residual: overlap", overlap, (*mv.shape[:2],), torch.uint8)
    require_precision("mv_residual", precision)


def reference(mv, overlap, precision):
    _check(mv, overlap, precision)
    vectors = (mv.long() - predictor(mv.long())) >> limited(precision)
    return torch.cat((vectors, differences(overlap)[..., None]), 2).short()


@numba.njit(**JIT)
def _residual(mv, overlap, precision, out):
    for i in range(mv.shape[0]):
        for j in range(mv.shape[1]):
            py, px = predict(mv, i, j)
            out[i, j, 0] = np.int16((np.int32(mv[i, j, 0]) - py) >> precision)
            out[i, j, 1] = np.int16((np.int32(mv[i, j, 1]) - px) >> precision)
            rank = np.int32(RANKS[overlap[i, j]])
            out[i, j, 2] = np.int16(-((rank + 1) >> 1) if rank & 1 else rank >> 1)


def cpu(mv, overlap, precision, *, out=None):
    _check(mv, overlap, precision)
    out = torch.empty((*overlap.shape, 3), dtype=torch.int16) if out is None else out
    _residual(mv.numpy(), overlap.numpy(), limited(precision), out.numpy())
    return out


def launch(mv, overlap, precision, *, out=None):
    _check(mv, overlap, precision)
    out = ops.output("mv_residual", out, (*overlap.shape, 3), torch.int16, mv.device)
    ops.expect_launchable("mv_residual", mv, overlap, precision, out)
    gpu.run(mv, overlap, precision, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw, precision = case
    return {
        "mv": fill((bh, bw, 2), -MV_MAX, MV_MAX, torch.int16),
        "overlap": fill((bh, bw), 0, 255, torch.uint8),
        "precision": torch.tensor([precision], dtype=torch.int32),
    }


mv_residual = Kernel(
    name="mv_residual",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 0), (1, 7, 1), (9, 1, 2), (2, 2, 1), (5, 3, 7), (23, 40, 0)),
    bench_cases=((23, 40, 0), (68, 120, 0)),
    cost=lambda case: Cost(bytes=11 * case[0] * case[1], macs=0),
)
