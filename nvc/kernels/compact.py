"""Front-packs the elements that are coded: those whose table row is above `skip`.

    packed = the x[i] with index[i] > skip, in order, then zeros
    count  = how many there are

    name    shape  dtype            range
    x       [M]    int16 or uint8   full      e.g. the symbols, or `index` itself: the rows of the coded symbols
    index   [M]    uint8            full      row of the probability table
    skip                            -1 .. 255
    packed  [M]    dtype of x
    count   [1]    int32            0 .. M    stays on the device: the coders take it as data

`scatter` is the inverse. In parallel the place of an element is a prefix sum over `index > skip`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import compact as gpu


def _check(x: Tensor, index: Tensor) -> None:
    if x.dtype not in (torch.int16, torch.uint8) or index.dtype != torch.uint8:
        raise ValueError(f"compact: types {x.dtype}, {index.dtype} are not int16 or uint8, uint8")
    if x.dim() != 1 or x.shape != index.shape:
        raise ValueError(f"compact: shapes {tuple(x.shape)} and {tuple(index.shape)} are not one [M]")


def reference(x: Tensor, index: Tensor, skip: int) -> tuple[Tensor, Tensor]:
    _check(x, index)
    kept = x[index.long() > skip]
    packed = torch.zeros_like(x)
    packed[: len(kept)] = kept
    return packed, torch.tensor([len(kept)], dtype=torch.int32)


@compiled
def _compact(x, index, skip, packed, count):
    n = np.int64(0)
    for i in range(x.size):  # always written, sometimes kept: no branch to mispredict, and n <= i
        packed[n] = x[i]
        n += np.int64(np.int32(index[i]) > skip)
    packed[n:] = 0
    count[0] = n


def cpu(x: Tensor, index: Tensor, skip: int, *, out: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
    _check(x, index)
    packed, count = (torch.empty_like(x), torch.empty(1, dtype=torch.int32)) if out is None else out
    _compact(x.numpy(), index.numpy(), np.int32(skip), packed.numpy(), count.numpy())
    return packed, count


def launch(x: Tensor, index: Tensor, skip: int, *, out: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
    _check(x, index)
    packed, count = out or (None, None)
    packed = ops.output("compact", packed, (*x.shape,), x.dtype, x.device)
    count = ops.output("compact", count, (1,), torch.int32, x.device)
    ops.expect_launchable("compact", x, index, packed, count)
    gpu.run(x, index, skip, packed, count)
    return packed, count


def make(case: Case, fill: Fill) -> dict[str, Any]:
    M, skip, wide = case
    x = fill((M,), -2048, 2048, torch.int16) if wide else fill((M,), 0, 255, torch.uint8)
    return {"x": x, "index": fill((M,), 0, 63, torch.uint8), "skip": skip}


compact = Kernel(
    name="compact",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1000, 31, 1), (1000, 5, 0), (1, 0, 1), (0, 0, 1), (129, -1, 0), (4096, 63, 1)),
    bench_cases=((23 * 40 * 128, 5, 1), (68 * 120 * 128, 5, 1)),
    cost=lambda case: Cost(bytes=case[0] * (5 if case[2] else 3), macs=0),
)
