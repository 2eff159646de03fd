"""The row of the probability tables for every difference of a frame, from the vectors of the frame before.

    s[i, j]      = sum over the 8 blocks around and both components of bit_length(|mv[i, j] - mv[there]|)
    out[i, j, k] = first[k] + 5 choice[k] + the number of CONTEXT_LIMITS that are <= s[i, j]   (clamped coordinates)
                   first = 64, 64, 104

Where vectors were alike the differences will be small: a context for coding that costs no bit.

name    shape         dtype   range
mv      [bh, bw, 2]   int16   full
choice  [3]           uint8   0 .. 7     set of rows of the vertical and the horizontal component, 0 .. 3 of
                                         the overlap; more counts as the last
out     [bh, bw, 3]   uint8   64 .. 123
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import CONTEXT_LIMITS, CONTEXTS, FIRST_ROWS, SETS
from nvc.kernels.gpu import vector_rows as gpu

_LENGTHS = np.array([n.bit_length() for n in range(256)], np.uint8)


def _check(mv: Tensor, choice: Tensor) -> None:
    if mv.dtype != torch.int16 or mv.dim() != 3 or mv.shape[2] != 2 or not mv.numel():
        raise ValueError(f"vector_rows: mv must be int16 [bh, bw, 2], not {mv.dtype} {tuple(mv.shape)}")
    if choice.dtype != torch.uint8 or choice.shape != (3,):
        raise ValueError(f"vector_rows: choice must be uint8 [3], not {choice.dtype} {tuple(choice.shape)}")


def reference(mv: Tensor, choice: Tensor) -> Tensor:
    _check(mv, choice)
    v, (bh, bw) = mv.long(), mv.shape[:2]
    s = torch.zeros(bh, bw, dtype=torch.int64)
    for dy in (-1, 0, 1):
        rows = (torch.arange(bh) + dy).clamp(0, bh - 1)
        for dx in (-1, 0, 1):
            there = v[rows][:, (torch.arange(bw) + dx).clamp(0, bw - 1)]
            s += (((v - there).abs()[..., None] >> torch.arange(16)) > 0).sum((2, 3))
    context = (s[..., None] >= torch.tensor(CONTEXT_LIMITS)).sum(2)
    chosen = torch.minimum(choice.long(), torch.tensor(SETS) - 1)
    return (torch.tensor(FIRST_ROWS) + CONTEXTS * chosen + context[..., None]).byte()


@compiled
def _rows(mv, choice, out):
    bh, bw = mv.shape[:2]
    for i in range(bh):
        for j in range(bw):
            s = np.int64(0)
            for dy in range(-1, 2):
                y = min(max(i + dy, 0), bh - 1)
                for dx in range(-1, 2):
                    x = min(max(j + dx, 0), bw - 1)
                    for k in range(2):
                        d = abs(np.int64(mv[i, j, k]) - np.int64(mv[y, x, k]))
                        s += np.int64(_LENGTHS[d]) if d < 256 else 8 + np.int64(_LENGTHS[d >> 8])
            context = np.int64(0)
            for limit in CONTEXT_LIMITS:
                context += np.int64(s >= limit)
            for k in range(3):
                out[i, j, k] = np.uint8(
                    FIRST_ROWS[k] + CONTEXTS * min(np.int64(choice[k]), np.int64(SETS[k] - 1)) + context
                )


def cpu(mv: Tensor, choice: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(mv, choice)
    out = torch.empty((*mv.shape[:2], 3), dtype=torch.uint8) if out is None else out
    _rows(mv.numpy(), choice.numpy(), out.numpy())
    return out


def launch(mv: Tensor, choice: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(mv, choice)
    out = ops.output("vector_rows", out, (*mv.shape[:2], 3), torch.uint8, mv.device)
    ops.expect_launchable("vector_rows", mv, choice, out)
    gpu.run(mv, choice, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw = case
    mv, choice = fill((bh, bw, 2), -32768, 32767, torch.int16), fill((3,), 0, 255, torch.uint8)
    if fill.pattern == "uniform":  # smooth fields, where contexts change
        mv >>= 15 - torch.arange(bw)[None, :, None] % 16
        choice &= 7
    if fill.pattern == "boundary":  # calm but for some differences of every length: sums from 0 on in steps of one
        n = torch.arange(300, 300 + mv.numel()).mul(77).remainder(251).view(mv.shape)
        mv = torch.where(n < 15, 1 << n, 0).short()
    return {"mv": mv, "choice": choice}


vector_rows = Kernel(
    name="vector_rows",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1), (1, 7), (6, 1), (5, 67), (9, 130)),
    bench_cases=((45, 80), (68, 120)),
    # every vector once, eight neighbours from the cache
    cost=lambda case: Cost(bytes=7 * case[0] * case[1], macs=0),
)
