"""The probability tables that code a frame's vector differences in the fewest bits: one of eight for each component.

    bits[t]  = sum over blocks of costs[t, 15 + c]     c = sign(d) min(bit_length(|d|), 15), the class of difference d
    rows[k]  = 64 + the first t with the least bits    k = 0 vertical, 1 horizontal

name         shape         dtype   range
differences  [bh, bw, 2]   int16   -4094 .. 4094    at most 2^20 blocks
costs        [T, 31]       int32   0 .. 2^10        unit 1/64 bit, 1 <= T <= 8; see `class_costs`
out          [2]           uint8   64 .. 63 + T     rows of the probability tables

Bounds: 2^20 blocks of at most 2^10 add up to 2^30: int32. A decoder reads the choice in the packet: see docs/FORMAT.md.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import MAX_CLASS, MAX_SYMBOL, SCALE_ROWS
from nvc.kernels.gpu import choose_rows as gpu

TABLES = 8
CLASSES = 2 * MAX_CLASS + 1
MAX_BLOCKS, MAX_COST = 2**20, 2**10


def class_costs(cdf: Tensor) -> Tensor:
    """int32 [T, 31]: costs of the classes -15 .. 15 in the class rows of `cdf`, without raw bits, the same in all."""
    frequency = cdf[SCALE_ROWS:].cpu().diff(dim=1)[:, MAX_SYMBOL - MAX_CLASS : MAX_SYMBOL + MAX_CLASS + 1]
    return (64 * (16 - frequency.double().log2())).round().to(torch.int32).to(cdf.device)


def _check(differences: Tensor, costs: Tensor) -> None:
    form = differences.dtype, tuple(differences.shape)
    if differences.dtype != torch.int16 or differences.dim() != 3 or differences.shape[2] != 2:
        raise ValueError(f"choose_rows: differences {form} are not int16 [bh, bw, 2]")
    if not 1 <= differences.numel() // 2 <= MAX_BLOCKS:
        raise ValueError(f"choose_rows: {differences.numel() // 2} blocks, not 1 .. {MAX_BLOCKS}")
    form = costs.dtype, tuple(costs.shape)
    if costs.dtype != torch.int32 or costs.shape[1:] != (CLASSES,) or not 1 <= len(costs) <= TABLES:
        raise ValueError(f"choose_rows: costs {form} are not int32 [1 .. {TABLES}, {CLASSES}]")


def reference(differences: Tensor, costs: Tensor) -> Tensor:
    _check(differences, costs)
    d = differences.long().reshape(-1, 2)
    size = sum((d.abs() >= 1 << i).long() for i in range(MAX_CLASS))
    bits = costs.long()[:, MAX_CLASS + d.sign() * size].sum(1)
    return (SCALE_ROWS + torch.stack([(bits[:, k] == bits[:, k].min()).nonzero()[0, 0] for k in (0, 1)])).byte()


@compiled
def _bits(differences, costs, bits):
    bits[:] = 0
    for i in range(differences.shape[0]):
        for k in range(2):
            v = np.int64(differences[i, k])
            size = np.int64(0)
            rest = abs(v)
            while rest:
                size += 1
                rest >>= 1
            size = min(size, np.int64(MAX_CLASS))
            for t in range(costs.shape[0]):
                bits[t, k] += costs[t, MAX_CLASS - size if v < 0 else MAX_CLASS + size]


def cpu(differences: Tensor, costs: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(differences, costs)
    out = torch.empty(2, dtype=torch.uint8) if out is None else out
    bits = np.empty((len(costs), 2), np.int64)
    _bits(differences.numpy().reshape(-1, 2), costs.numpy(), bits)
    out.numpy()[:] = SCALE_ROWS + bits.argmin(0)
    return out


def launch(differences: Tensor, costs: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(differences, costs)
    out = ops.output("choose_rows", out, (2,), torch.uint8, differences.device)
    ops.expect_launchable("choose_rows", differences, costs, out)
    gpu.run(differences, costs, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw, tables = case
    differences = fill((bh, bw, 2), -4094, 4094, torch.int16)
    if fill.pattern == "uniform":
        differences >>= 9
    costs = fill((tables, CLASSES), 0, MAX_COST, torch.int32)
    if fill.pattern == "boundary":  # ties, and one bit less in the last table
        costs[:] = 7
        costs[-1, MAX_CLASS] = 6
    return {"differences": differences, "costs": costs}


choose_rows = Kernel(
    name="choose_rows",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 8), (5, 3, 1), (9, 7, 8), (40, 41, 3)),
    bench_cases=((23, 40, 8), (68, 120, 8)),
    cost=lambda case: Cost(bytes=4 * case[0] * case[1] + 4 * CLASSES * case[2], macs=0),
)
