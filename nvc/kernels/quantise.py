"""Quantisation of the latents around their predicted means, one checkerboard phase at a time.

    d          = y[y, x, c] - mean[y, x, c]
    q[y, x, c] = sign(d) ((|d| + offset[index[y, x, c]]) >> 5)
                 where index[y, x, c] > skip and (phase == 2 or ((y + x + (c >= N/2)) & 1) == phase); 0 elsewhere,
                 and 0 for all c of the half c < N/2 or c >= N/2 of which the sum of |q[y, x, c]| is at most few
                 while vectors[y, x] is zero

At high QPs so few symbols, where nothing moves, are the trace of coding noise, and a block without any is copied as it
is: a still picture that is coded again and again fades.

    name    shape      dtype   range
    y       [H, W, N]  int16   full           unit 1/32 step
    mean    [H, W, N]  int16   full           unit 1/32 step
    index   [H, W, N]  uint8   0 .. 63        row of the probability table
    offset  [64]       int16   0 .. 31        16 rounds to the nearest; less makes a wider dead zone
    vectors [H, W, 2]  int16   full           of the blocks; or None, and nothing is left out
    few     [1]        int32   full           0 and less: nothing is left out
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


def _check(
    y: Tensor, mean: Tensor, index: Tensor, offset: Tensor, vectors: Tensor | None, few: Tensor, phase: int
) -> None:
    if (y.dtype, mean.dtype, index.dtype) != (torch.int16, torch.int16, torch.uint8):
        raise ValueError(f"quantise: types {y.dtype}, {mean.dtype}, {index.dtype} are not int16, int16, uint8")
    if y.dim() != 3 or not y.shape == mean.shape == index.shape:
        raise ValueError(f"quantise: shapes {tuple(y.shape)}, {tuple(mean.shape)}, {tuple(index.shape)} differ")
    if offset.dtype != torch.int16 or offset.shape != (64,):
        raise ValueError(f"quantise: offset is {offset.dtype} {tuple(offset.shape)}, expected int16 (64,)")
    ops.expect("quantise: few", few, (1,), torch.int32)
    if vectors is not None:
        ops.expect("quantise: vectors", vectors, (*y.shape[:2], 2), torch.int16)
    if phase not in (0, 1, 2):
        raise ValueError(f"quantise: phase is 0, 1 or 2, not {phase}")


def reference(
    y: Tensor, mean: Tensor, index: Tensor, offset: Tensor, vectors: Tensor | None, few: Tensor, phase: int, skip: int
) -> Tensor:
    _check(y, mean, index, offset, vectors, few, phase)
    H, W, N = y.shape
    rows, columns, channels = torch.arange(H)[:, None, None], torch.arange(W)[:, None], torch.arange(N)
    parity = (rows + columns + (2 * channels >= N)) & 1
    coded = (index.long() > skip) & ((parity == phase) | (phase == 2))
    d = y.long() - mean.long()
    q = d.sign() * ((d.abs() + offset.long()[index.long() & 63]) >> 5)
    q = torch.where(coded, q, 0)
    if vectors is not None:
        still = (vectors == 0).all(2)
        for half in (channels < (N + 1) // 2, channels >= (N + 1) // 2):
            dropped = still & ((q * half).abs().sum(2) <= few)
            q[dropped[..., None] & half] = 0
    return q.to(torch.int16)


@compiled
def _quantise(y, mean, index, offset, vectors, few, phase, skip, out, begin_row, end_row):
    W, N = y.shape[1:]
    half = (N + 1) >> 1
    for i in range(begin_row, end_row):
        for j in range(W):
            still = vectors is not None and vectors[i, j, 0] == 0 and vectors[i, j, 1] == 0
            for part in range(2):
                begin, end = (half, N) if part else (0, half)
                total = np.int32(0)
                if phase == 2 or ((i + j + part) & 1) == phase:
                    for c in range(begin, end):
                        d = np.int32(np.int32(y[i, j, c]) - np.int32(mean[i, j, c]))
                        size = np.int32(abs(d) + np.int32(offset[index[i, j, c] & 63])) >> np.int32(5)
                        size = size if np.int32(index[i, j, c]) > skip else np.int32(0)
                        out[i, j, c] = np.int16(size if d >= 0 else -size)
                        total += size
                if total == 0 or (still and total <= few[0]):
                    out[i, j, begin:end] = 0


def cpu(
    y: Tensor,
    mean: Tensor,
    index: Tensor,
    offset: Tensor,
    vectors: Tensor | None,
    few: Tensor,
    phase: int,
    skip: int,
    *,
    out: Tensor | None = None,
) -> Tensor:
    _check(y, mean, index, offset, vectors, few, phase)
    out = torch.empty_like(y) if out is None else out
    moved = None if vectors is None else vectors.numpy()
    arrays = (
        y.numpy(),
        mean.numpy(),
        index.numpy(),
        offset.numpy(),
        moved,
        few.numpy(),
        phase,
        np.int32(skip),
        out.numpy(),
    )
    parallel(lambda begin, end: _quantise(*arrays, begin, end), y.shape[0], CHUNK)
    return out


def launch(
    y: Tensor,
    mean: Tensor,
    index: Tensor,
    offset: Tensor,
    vectors: Tensor | None,
    few: Tensor,
    phase: int,
    skip: int,
    *,
    out: Tensor | None = None,
) -> Tensor:
    _check(y, mean, index, offset, vectors, few, phase)
    out = ops.output("quantise", out, (*y.shape,), torch.int16, y.device)
    ops.expect_launchable("quantise", y, mean, index, offset, vectors, few, out)
    gpu.run(y, mean, index, offset, vectors, few, phase, skip, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    H, W, N, phase, skip, moved = case
    y = fill((H, W, N), -32768, 32767, torch.int16)
    mean = fill((H, W, N), -32768, 32767, torch.int16)
    if fill.pattern == "boundary":  # differences one step on either side of a rounding boundary
        mean = (y.long() - 32 * (mean.long() >> 8) - 16 + (mean.long() & 1)).clamp(-32768, 32767).to(torch.int16)
    index, offset = fill((H, W, N), 0, 63, torch.uint8), fill((64,), 0, 31, torch.int16)
    vectors = None
    if moved:  # every other block stands still, and sums of three and less are as frequent as others
        vectors = fill((H, W, 2), -1, 1, torch.int16) * (torch.arange(H * W).view(H, W, 1) & 1).to(torch.int16)
        near = (fill((H, W, N), -4000, 4000, torch.int16).long() ** 3) >> 30
        y = (mean.long() + near).clamp(-32768, 32767).to(torch.int16) if fill.pattern == "uniform" else y
    args = {"y": y, "mean": mean, "index": index, "offset": offset, "vectors": vectors}
    return args | {"few": torch.tensor([2], dtype=torch.int32), "phase": phase, "skip": skip}


quantise = Kernel(
    name="quantise",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (3, 5, 8, 2, -1, 0),
        (4, 3, 16, 0, 5, 1),
        (5, 4, 7, 1, 31, 1),
        (9, 17, 41, 2, 20, 1),
        (1, 1, 1, 0, 0, 0),
        (0, 4, 8, 2, 0, 1),
    ),
    bench_cases=((23, 40, 320, 2, 5, 1), (68, 120, 320, 0, 5, 1)),
    cost=lambda case: Cost(bytes=case[0] * case[1] * (7 * case[2] + 4 * case[5]), macs=0),
)
