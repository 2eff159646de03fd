"""Front-packs what is coded: the elements whose table row is above `skip`.

    rows   = the index[i] > skip, in order, then zeros
    count  = how many there are
    packed = the x[i] with index[i] > skip, in order, then zeros

    name    shape  dtype   range
    index   [M]    uint8   full      row of the probability table
    skip                   -1 .. 255
    x       [M]    int16   full      the symbols; None in a decoder, which has none yet: then there is no `packed`
    rows    [M]    uint8
    count   [1]    int32   0 .. M    stays on the device: the coders take it as data
    packed  [M]    int16

`scatter` is the inverse. In parallel the place of an element is a prefix sum over `index > skip`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._compress import AVAILABLE, LANES, compress
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import compact as gpu


def _check(index: Tensor, x: Tensor | None) -> None:
    if index.dtype != torch.uint8 or index.dim() != 1:
        raise ValueError(f"compact: index {index.dtype} {tuple(index.shape)} is not uint8 [M]")
    if x is not None:
        ops.expect("compact: x", x, (*index.shape,), torch.int16)


def _outputs(index: Tensor, x: Tensor | None, out: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    shape = (*index.shape,)
    forms = [(shape, torch.uint8), ((1,), torch.int32), (shape, torch.int16)][: 2 if x is None else 3]
    given = out or (None,) * len(forms)
    return tuple(ops.output("compact", t, *form, index.device) for t, form in zip(given, forms, strict=True))


def reference(index: Tensor, skip: int, x: Tensor | None = None) -> tuple[Tensor, ...]:
    _check(index, x)
    coded = index.long() > skip

    def pack(values: Tensor) -> Tensor:
        packed = torch.zeros_like(values)
        packed[: int(coded.sum())] = values[coded]
        return packed

    count = coded.sum(dtype=torch.int32)[None]
    return (pack(index), count) if x is None else (pack(index), count, pack(x))


@compiled
def _compact(x, index, skip, packed):
    n, whole = np.int64(0), np.int64(0)
    if AVAILABLE:
        whole = index.size & ~(LANES - 1)
        for i in range(0, whole, LANES):
            n += compress(x, index, i, skip, packed, n)
    for i in range(whole, index.size):  # always written, sometimes kept: no branch to mispredict, and n <= i
        packed[n] = x[i]
        n += np.int64(np.int32(index[i]) > skip)
    packed[n:] = 0
    return n


def cpu(
    index: Tensor, skip: int, x: Tensor | None = None, *, out: tuple[Tensor, ...] | None = None
) -> tuple[Tensor, ...]:
    _check(index, x)
    rows, count, *packed = out = _outputs(index, x, out)
    i = index.numpy()
    count[0] = _compact(i, i, np.int32(skip), rows.numpy())
    if x is not None:
        _compact(x.numpy(), i, np.int32(skip), packed[0].numpy())
    return out


def launch(
    index: Tensor, skip: int, x: Tensor | None = None, *, out: tuple[Tensor, ...] | None = None
) -> tuple[Tensor, ...]:
    _check(index, x)
    rows, count, *packed = out = _outputs(index, x, out)
    ops.expect_launchable("compact", index, x, *out)
    gpu.run(index, skip, x, rows, count, packed[0] if packed else None)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    M, skip, symbols = case
    x = fill((M,), -2048, 2048, torch.int16) if symbols else None
    return {"index": fill((M,), 0, 63, torch.uint8), "skip": skip, "x": x}


compact = Kernel(
    name="compact",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1000, 31, 1), (1000, 5, 0), (1, 0, 1), (0, 0, 1), (129, -1, 0), (4096, 63, 1)),
    bench_cases=((45 * 80 * 320, 5, 0), (68 * 120 * 320, 5, 0), (68 * 120 * 320, 5, 1)),
    cost=lambda case: Cost(bytes=case[0] * (6 if case[2] else 2), macs=0),
)
