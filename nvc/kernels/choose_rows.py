"""The sets of probability tables that code a frame's differences in the fewest bits: one for each component.

    bits[s]        = sum over blocks of costs[s, rows[i, j, k] - first[k], 15 + c]
                     c = sign(d) min(bit_length(|d|), 15), the class of difference d
    choice[k]      = the first t with the least bits[t]         k = 0 vertical, 1 horizontal: t = 0 .. 7
                     the first t with the least bits[8 + t]     k = 2 overlap: t = 0 .. 3
    chosen[i,j,k]  = rows[i, j, k] + 5 choice[k]                first = 64, 64, 104

name         shape         dtype   range
differences  [bh, bw, 3]   int16   -4094 .. 4094    at most 2^20 blocks
rows         [bh, bw, 3]   uint8   first .. + 4     `vector_rows` of sets 0; others count as the nearest
costs        [12, 5, 31]   int32   0 .. 2^10        unit 1/64 bit; see `class_costs`
-> choice    [3]           uint8   0 .. 7, 7, 3
   chosen    [bh, bw, 3]   uint8   64 .. 123

Bounds: 2^20 blocks of at most 2^10 add up to 2^30: int32. A decoder reads the choice in the packet: see docs/FORMAT.md.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import (
    CONTEXTS,
    FIRST_ROWS,
    MAX_CLASS,
    MAX_SYMBOL,
    OVERLAP_SETS,
    SCALE_ROWS,
    SETS,
    VECTOR_SETS,
)
from nvc.kernels.gpu import choose_rows as gpu

CLASSES = 2 * MAX_CLASS + 1
MAX_BLOCKS, MAX_COST = 2**20, 2**10
FIRST_SETS = 0, 0, VECTOR_SETS  # among the costs


def class_costs(cdf: Tensor) -> Tensor:
    """int32 [12, 5, 31]: costs of classes -15 .. 15 in the class rows of `cdf`, without raw bits, the same in all."""
    frequency = cdf[SCALE_ROWS:].cpu().diff(dim=1)[:, MAX_SYMBOL - MAX_CLASS : MAX_SYMBOL + MAX_CLASS + 1]
    costs = (64 * (16 - frequency.double().log2())).round().to(torch.int32).to(cdf.device)
    return costs.reshape(-1, CONTEXTS, CLASSES)


def class_sizes(differences: Tensor) -> Tensor:
    """int64, the shape of int16 `differences`: sizes of their classes, min(bit_length(|d|), 15)."""
    return (differences.long().abs()[..., None] >> torch.arange(MAX_CLASS) > 0).sum(-1)


def _check(differences: Tensor, rows: Tensor, costs: Tensor) -> None:
    form = differences.dtype, tuple(differences.shape)
    if differences.dtype != torch.int16 or differences.dim() != 3 or differences.shape[2] != 3:
        raise ValueError(f"choose_rows: differences {form} are not int16 [bh, bw, 3]")
    if not 1 <= differences.numel() // 3 <= MAX_BLOCKS:
        raise ValueError(f"choose_rows: {differences.numel() // 3} blocks, not 1 .. {MAX_BLOCKS}")
    ops.expect("choose_rows: rows", rows, form[1], torch.uint8)
    ops.expect("choose_rows: costs", costs, (VECTOR_SETS + OVERLAP_SETS, CONTEXTS, CLASSES), torch.int32)


def reference(differences: Tensor, rows: Tensor, costs: Tensor) -> tuple[Tensor, Tensor]:
    _check(differences, rows, costs)
    first = torch.tensor(FIRST_ROWS)
    context = (rows.long() - first).clamp(0, CONTEXTS - 1)
    bits = costs.long()[:, context, MAX_CLASS + differences.long().sign() * class_sizes(differences)].sum((1, 2))
    of_component = [bits[s : s + n, k] for k, (s, n) in enumerate(zip(FIRST_SETS, SETS, strict=True))]
    choice = torch.stack([(b == b.min()).nonzero()[0, 0] for b in of_component])
    return choice.byte(), (first + context + CONTEXTS * choice).byte()


@compiled
def _choose(differences, rows, costs, choice, chosen):
    counts = np.zeros((3, CONTEXTS, CLASSES), np.int64)
    for i in range(differences.shape[0]):
        for k in range(3):
            v = np.int64(differences[i, k])
            size = np.int64(0)
            rest = abs(v)
            while rest:
                size += 1
                rest >>= 1
            size = min(size, np.int64(MAX_CLASS))
            context = min(max(np.int64(rows[i, k]) - FIRST_ROWS[k], np.int64(0)), np.int64(CONTEXTS - 1))
            counts[k, context, MAX_CLASS - size if v < 0 else MAX_CLASS + size] += 1
            chosen[i, k] = np.uint8(FIRST_ROWS[k] + context)
    for k in range(3):
        best = np.int64(0)
        least = (counts[k] * costs[FIRST_SETS[k]]).sum()
        for t in range(1, SETS[k]):
            bits = (counts[k] * costs[FIRST_SETS[k] + t]).sum()
            if bits < least:
                best, least = np.int64(t), bits
        choice[k] = np.uint8(best)
        for i in range(differences.shape[0]):
            chosen[i, k] += np.uint8(CONTEXTS * best)


def cpu(
    differences: Tensor, rows: Tensor, costs: Tensor, *, out: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    _check(differences, rows, costs)
    out = (torch.empty(3, dtype=torch.uint8), torch.empty_like(rows)) if out is None else out
    d, r, (choice, chosen) = differences.numpy().reshape(-1, 3), rows.numpy().reshape(-1, 3), out
    _choose(d, r, costs.numpy(), choice.numpy(), chosen.numpy().reshape(-1, 3))
    return out


def launch(
    differences: Tensor, rows: Tensor, costs: Tensor, *, out: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    _check(differences, rows, costs)
    choice, chosen = out or (None, None)
    choice = ops.output("choose_rows", choice, (3,), torch.uint8, rows.device)
    chosen = ops.output("choose_rows", chosen, (*rows.shape,), torch.uint8, rows.device)
    ops.expect_launchable("choose_rows", differences, rows, costs, choice, chosen)
    gpu.run(differences, rows, costs, choice, chosen)
    return choice, chosen


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw = case
    differences = fill((bh, bw, 3), -4094, 4094, torch.int16)
    rows = fill((bh, bw, 3), 0, CONTEXTS - 1, torch.uint8) + torch.tensor(FIRST_ROWS, dtype=torch.uint8)
    if fill.pattern == "uniform":
        differences >>= 9
    costs = fill((VECTOR_SETS + OVERLAP_SETS, CONTEXTS, CLASSES), 0, MAX_COST, torch.int32)
    if fill.pattern == "boundary":  # ties, and one bit less in the last tables; rows of no context
        costs[:] = 7
        costs[[VECTOR_SETS - 1, -1], :, MAX_CLASS] = 6
        rows.flatten()[::4] = 255
        rows.flatten()[1::4] = 0
    return {"differences": differences, "rows": rows, "costs": costs}


choose_rows = Kernel(
    name="choose_rows",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1), (5, 3), (9, 7), (40, 41)),
    bench_cases=((23, 40), (68, 120)),
    cost=lambda case: Cost(bytes=12 * case[0] * case[1] + 48 * CONTEXTS * CLASSES, macs=0),
)
