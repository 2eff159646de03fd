"""Quantisation of the latents around their predicted means, one checkerboard phase at a time.

    d          = y[y, x, c] - mean[y, x, c]
    q[y, x, c] = sign(d) ((|d| + offset[index[y, x, c]]) >> 5)
                 where index[y, x, c] > skip and (phase == 2 or ((y + x + (c >= N/2)) & 1) == phase); 0 elsewhere

    name    shape      dtype   range
    y       [H, W, N]  int16   full           unit 1/32 step
    mean    [H, W, N]  int16   full           unit 1/32 step
    index   [H, W, N]  uint8   0 .. 63        row of the probability table
    offset  [64]       int16   0 .. 31        16 rounds to the nearest; less makes a wider dead zone
    phase                      0, 1, 2        2: every element
    skip                       -1 .. 255      rows up to this one are not coded
    out     [H, W, N]  int16   -2048 .. 2048  unit 1 step

Bounds: |y - mean| <= 2^16 - 1, so |q| <= 2^11 and no clamp is needed.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._pool import parallel
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import quantise as gpu

CHUNK = 8  # rows


def _check(y: Tensor, mean: Tensor, index: Tensor, offset: Tensor, phase: int) -> None:
    if (y.dtype, mean.dtype, index.dtype) != (torch.int16, torch.int16, torch.uint8):
        raise ValueError(f"quantise: types {y.dtype}, {mean.dtype}, {index.dtype} are not int16, int16, uint8")
    if y.dim() != 3 or not y.shape == mean.shape == index.shape:
        raise ValueError(f"quantise: shapes {tuple(y.shape)}, {tuple(mean.shape)}, {tuple(index.shape)} differ")
    if offset.dtype != torch.int16 or offset.shape != (64,):
        raise ValueError(f"quantise: offset is {offset.dtype} {tuple(offset.shape)}, expected int16 (64,)")
    if phase not in (0, 1, 2):
        raise ValueError(f"quantise: phase is 0, 1 or 2, not {phase}")


def reference(y: Tensor, mean: Tensor, index: Tensor, offset: Tensor, phase: int, skip: int) -> Tensor:
    _check(y, mean, index, offset, phase)
    H, W, N = y.shape
    rows, columns, channels = torch.arange(H)[:, None, None], torch.arange(W)[:, None], torch.arange(N)
    parity = (rows + columns + (2 * channels >= N)) & 1
    coded = (index.long() > skip) & ((parity == phase) | (phase == 2))
    d = y.long() - mean.long()
    q = d.sign() * ((d.abs() + offset.long()[index.long() & 63]) >> 5)
    return torch.where(coded, q, 0).to(torch.int16)


@compiled
def _quantise(y, mean, index, offset, phase, skip, out, begin_row, end_row):
    W, N = y.shape[1:]
    half = (N + 1) >> 1
    for i in range(begin_row, end_row):
        for j in range(W):
            for part in range(2):
                begin, end = (half, N) if part else (0, half)
                if phase != 2 and ((i + j + part) & 1) != phase:
                    out[i, j, begin:end] = 0
                else:
                    for c in range(begin, end):
                        d = np.int32(np.int32(y[i, j, c]) - np.int32(mean[i, j, c]))
                        size = np.int32(abs(d) + np.int32(offset[index[i, j, c] & 63])) >> np.int32(5)
                        q = np.int16(size if d >= 0 else -size)
                        out[i, j, c] = q if np.int32(index[i, j, c]) > skip else np.int16(0)


def cpu(
    y: Tensor, mean: Tensor, index: Tensor, offset: Tensor, phase: int, skip: int, *, out: Tensor | None = None
) -> Tensor:
    _check(y, mean, index, offset, phase)
    out = torch.empty_like(y) if out is None else out
    arrays = y.numpy(), mean.numpy(), index.numpy(), offset.numpy(), phase, np.int32(skip), out.numpy()
    parallel(lambda begin, end: _quantise(*arrays, begin, end), y.shape[0], CHUNK)
    return out


def launch(
    y: Tensor, mean: Tensor, index: Tensor, offset: Tensor, phase: int, skip: int, *, out: Tensor | None = None
) -> Tensor:
    _check(y, mean, index, offset, phase)
    out = ops.output("quantise", out, (*y.shape,), torch.int16, y.device)
    ops.expect_launchable("quantise", y, mean, index, offset, out)
    gpu.run(y, mean, index, offset, phase, skip, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    H, W, N, phase, skip = case
    y = fill((H, W, N), -32768, 32767, torch.int16)
    mean = fill((H, W, N), -32768, 32767, torch.int16)
    if fill.pattern == "boundary":  # differences one step on either side of a rounding boundary
        mean = (y.long() - 32 * (mean.long() >> 8) - 16 + (mean.long() & 1)).clamp(-32768, 32767).to(torch.int16)
    index, offset = fill((H, W, N), 0, 63, torch.uint8), fill((64,), 0, 31, torch.int16)
    return {"y": y, "mean": mean, "index": index, "offset": offset, "phase": phase, "skip": skip}


quantise = Kernel(
    name="quantise",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((3, 5, 8, 2, -1), (4, 3, 16, 0, 5), (5, 4, 7, 1, 31), (1, 1, 1, 0, 0), (0, 4, 8, 2, 0)),
    bench_cases=((23, 40, 320, 2, 5), (68, 120, 320, 0, 5)),
    cost=lambda case: Cost(bytes=7 * case[0] * case[1] * case[2], macs=0),
)
