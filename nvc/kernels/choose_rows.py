"""The sets of probability tables that code a frame's vector differences in the fewest bits: one for each component.

    bits[t]        = sum over blocks of costs[t, rows[i, j, k] - 64, 15 + c]   c = sign(d) min(bit_length(|d|), 15),
                                                                               the class of difference d
    choice[k]      = the first t with the least bits                           k = 0 vertical, 1 horizontal
    chosen[i,j,k]  = rows[i, j, k] + 5 choice[k]

name         shape         dtype   range
differences  [bh, bw, 2]   int16   -4094 .. 4094    at most 2^20 blocks
rows         [bh, bw, 2]   uint8   64 .. 68         `vector_rows` of set 0; others count as the nearest
costs        [T, 5, 31]    int32   0 .. 2^10        unit 1/64 bit, 1 <= T <= 8; see `class_costs`
-> choice    [2]           uint8   0 .. T - 1
   chosen    [bh, bw, 2]   uint8   64 .. 63 + 5 T

Bounds: 2^20 blocks of at most 2^10 add up to 2^30: int32. A decoder reads the choice in the packet: see docs/FORMAT.md.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import CONTEXTS, MAX_CLASS, MAX_SYMBOL, SCALE_ROWS, VECTOR_SETS
from nvc.kernels.gpu import choose_rows as gpu

CLASSES = 2 * MAX_CLASS + 1
MAX_BLOCKS, MAX_COST = 2**20, 2**10


def class_costs(cdf: Tensor) -> Tensor:
    """int32 [T, 5, 31]: costs of classes -15 .. 15 in the class rows of `cdf`, without raw bits, the same in all."""
    frequency = cdf[SCALE_ROWS:].cpu().diff(dim=1)[:, MAX_SYMBOL - MAX_CLASS : MAX_SYMBOL + MAX_CLASS + 1]
    costs = (64 * (16 - frequency.double().log2())).round().to(torch.int32).to(cdf.device)
    return costs.reshape(-1, CONTEXTS, CLASSES)


def class_sizes(differences: Tensor) -> Tensor:
    """int64, the shape of int16 `differences`: sizes of their classes, min(bit_length(|d|), 15)."""
    return (differences.long().abs()[..., None] >> torch.arange(MAX_CLASS) > 0).sum(-1)


def _check(differences: Tensor, rows: Tensor, costs: Tensor) -> None:
    form = differences.dtype, tuple(differences.shape)
    if differences.dtype != torch.int16 or differences.dim() != 3 or differences.shape[2] != 2:
        raise ValueError(f"choose_rows: differences {form} are not int16 [bh, bw, 2]")
    if not 1 <= differences.numel() // 2 <= MAX_BLOCKS:
        raise ValueError(f"choose_rows: {differences.numel() // 2} blocks, not 1 .. {MAX_BLOCKS}")
    if rows.dtype != torch.uint8 or rows.shape != differences.shape:
        raise ValueError(f"choose_rows: rows {(rows.dtype, tuple(rows.shape))} are not uint8 {form[1]}")
    form = costs.dtype, tuple(costs.shape)
    if costs.dtype != torch.int32 or costs.shape[1:] != (CONTEXTS, CLASSES) or not 1 <= len(costs) <= VECTOR_SETS:
        raise ValueError(f"choose_rows: costs {form} are not int32 [1 .. {VECTOR_SETS}, {CONTEXTS}, {CLASSES}]")


def reference(differences: Tensor, rows: Tensor, costs: Tensor) -> tuple[Tensor, Tensor]:
    _check(differences, rows, costs)
    context = rows.long().sub(SCALE_ROWS).clamp(0, CONTEXTS - 1)
    bits = costs.long()[:, context, MAX_CLASS + differences.long().sign() * class_sizes(differences)].sum((1, 2))
    choice = torch.stack([(bits[:, k] == bits[:, k].min()).nonzero()[0, 0] for k in (0, 1)])
    return choice.byte(), (SCALE_ROWS + context + CONTEXTS * choice).byte()


@compiled
def _choose(differences, rows, costs, choice, chosen):
    counts = np.zeros((2, CONTEXTS, CLASSES), np.int64)
    for i in range(differences.shape[0]):
        for k in range(2):
            v = np.int64(differences[i, k])
            size = np.int64(0)
            rest = abs(v)
            while rest:
                size += 1
                rest >>= 1
            size = min(size, np.int64(MAX_CLASS))
            context = min(max(np.int64(rows[i, k]) - SCALE_ROWS, np.int64(0)), np.int64(CONTEXTS - 1))
            counts[k, context, MAX_CLASS - size if v < 0 else MAX_CLASS + size] += 1
            chosen[i, k] = np.uint8(SCALE_ROWS + context)
    for k in range(2):
        best = np.int64(0)
        least = (counts[k] * costs[0]).sum()
        for t in range(1, costs.shape[0]):
            bits = (counts[k] * costs[t]).sum()
            if bits < least:
                best, least = np.int64(t), bits
        choice[k] = np.uint8(best)
        for i in range(differences.shape[0]):
            chosen[i, k] += np.uint8(CONTEXTS * best)


def cpu(
    differences: Tensor, rows: Tensor, costs: Tensor, *, out: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    _check(differences, rows, costs)
    out = (torch.empty(2, dtype=torch.uint8), torch.empty_like(rows)) if out is None else out
    d, r, (choice, chosen) = differences.numpy().reshape(-1, 2), rows.numpy().reshape(-1, 2), out
    _choose(d, r, costs.numpy(), choice.numpy(), chosen.numpy().reshape(-1, 2))
    return out


def launch(
    differences: Tensor, rows: Tensor, costs: Tensor, *, out: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    _check(differences, rows, costs)
    choice, chosen = out or (None, None)
    choice = ops.output("choose_rows", choice, (2,), torch.uint8, rows.device)
    chosen = ops.output("choose_rows", chosen, (*rows.shape,), torch.uint8, rows.device)
    ops.expect_launchable("choose_rows", differences, rows, costs, choice, chosen)
    gpu.run(differences, rows, costs, choice, chosen)
    return choice, chosen


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw, tables = case
    differences = fill((bh, bw, 2), -4094, 4094, torch.int16)
    rows = fill((bh, bw, 2), SCALE_ROWS, SCALE_ROWS + CONTEXTS - 1, torch.uint8)
    if fill.pattern == "uniform":
        differences >>= 9
    costs = fill((tables, CONTEXTS, CLASSES), 0, MAX_COST, torch.int32)
    if fill.pattern == "boundary":  # ties, and one bit less in the last table; rows of no context
        costs[:] = 7
        costs[-1, :, MAX_CLASS] = 6
        rows.flatten()[::3] = 255
        rows.flatten()[1::3] = 0
    return {"differences": differences, "rows": rows, "costs": costs}


choose_rows = Kernel(
    name="choose_rows",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 8), (5, 3, 1), (9, 7, 8), (40, 41, 3)),
    bench_cases=((23, 40, 8), (68, 120, 8)),
    cost=lambda case: Cost(bytes=8 * case[0] * case[1] + 4 * CONTEXTS * CLASSES * case[2], macs=0),
)
