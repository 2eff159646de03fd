"""Puts front-packed symbols back in their places: the inverse of `compact`.

q[i] = symbols[number of j < i with index[j] > skip]   where index[i] > skip; 0 elsewhere

name      shape  dtype   range
symbols   [M]    int16   full
index     [M]    uint8   full        row of the probability table
skip                     -1 .. 255
out       [M]    int16
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._compress import AVAILABLE, LANES, expand
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import scatter as gpu


def _check(symbols: Tensor, index: Tensor) -> None:
    if (symbols.dtype, index.dtype) != (torch.int16, torch.uint8):
        raise ValueError(f"scatter: types {symbols.dtype}, {index.dtype} are not int16, uint8")
    if symbols.dim() != 1 or symbols.shape != index.shape:
        raise ValueError(f"scatter: shapes {tuple(symbols.shape)} and {tuple(index.shape)} are not one [M]")


def reference(symbols: Tensor, index: Tensor, skip: int) -> Tensor:
    _check(symbols, index)
    coded = index.long() > skip
    q = torch.zeros_like(symbols)
    q[coded] = symbols[: int(coded.sum())]
    return q


@compiled
def _scatter(symbols, index, skip, out):
    n, whole = np.int64(0), np.int64(0)
    if AVAILABLE:
        whole = out.size & ~(LANES - 1)
        for i in range(0, whole, LANES):
            n += expand(symbols, n, index, i, skip, out)
    for i in range(whole, out.size):
        coded = np.int32(index[i]) > skip
        out[i] = symbols[n] * np.int16(coded)  # n <= i: reading is safe even where nothing is coded
        n += np.int64(coded)


def cpu(symbols: Tensor, index: Tensor, skip: int, *, out: Tensor | None = None) -> Tensor:
    _check(symbols, index)
    out = torch.empty_like(symbols) if out is None else out
    _scatter(symbols.numpy(), index.numpy(), np.int32(skip), out.numpy())
    return out


def launch(symbols: Tensor, index: Tensor, skip: int, *, out: Tensor | None = None) -> Tensor:
    _check(symbols, index)
    out = ops.output("scatter", out, (*symbols.shape,), torch.int16, symbols.device)
    ops.expect_launchable("scatter", symbols, index, out)
    gpu.run(symbols, index, skip, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    M, skip = case
    return {"symbols": fill((M,), -32768, 32767, torch.int16), "index": fill((M,), 0, 63, torch.uint8), "skip": skip}


scatter = Kernel(
    name="scatter",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1000, 31), (1000, 5), (1, 0), (0, 0), (129, -1), (4096, 63)),
    bench_cases=((45 * 80 * 320, 5), (68 * 120 * 320, 5)),
    cost=lambda case: Cost(bytes=case[0] * 5, macs=0),
)
