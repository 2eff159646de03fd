"""Vectors and overlaps to symbols of the coder: what is coded of each, and the rows of the probability tables for it.

    residual[i,j,0 and 1] = (mv[i, j] - median(left, top, top-right)) >> p      components apart
    residual[i,j,2]       = `_overlap.differences` of overlap[i, j]
    first row: the prediction is left; first column: left is 0; last column: top-left stands for top-right, and where
    there is a single column, top

    bits[s]               = sum over blocks of costs[s, contexts[i, j, k] - first[k], 15 + c]
                            c = sign(d) min(bit_length(|d|), 15), the class of residual d
    choice[k]             = the first t with the least bits[t]         k = 0 vertical, 1 horizontal: t = 0 .. 7
                            the first t with the least bits[8 + t]     k = 2 overlap: t = 0 .. 3
    rows[i,j,k]           = contexts[i, j, k] + 5 choice[k]            first = 64, 64, 104

name         shape         dtype   range
mv           [bh, bw, 2]   int16   -2047 .. 2047    multiples of 2^p, else mv_restore gives others; at most 2^20 blocks
overlap      [bh, bw]      uint8   full
precision    [1]           int32   full             p, limited to 0 .. 5: quarter, half, 1, 2, 4, 8 pixels
contexts     [bh, bw, 3]   uint8   first .. + 4     `vector_rows` of sets 0; others count as the nearest
costs        [12, 5, 31]   int32   0 .. 2^10        unit 1/64 bit; see `class_costs`
-> residual  [bh, bw, 3]   int16   -4094 .. 4094
   choice    [3]           uint8   0 .. 7, 7, 3
   rows      [bh, bw, 3]   uint8   64 .. 123

Bounds: 2^20 blocks of at most 2^10 add up to 2^30: int32. A decoder reads the choice in the packet: see docs/FORMAT.md.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._motion import MV_MAX, limited, predict, predictor, require_precision
from nvc.kernels._overlap import RANKS, differences
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
from nvc.kernels.gpu import code_vectors as gpu

CLASSES = 2 * MAX_CLASS + 1
MAX_BLOCKS, MAX_COST = 2**20, 2**10
FIRST_SETS = 0, 0, VECTOR_SETS  # among the costs
Result = tuple[Tensor, Tensor, Tensor]


def class_costs(cdf: Tensor) -> Tensor:
    """int32 [12, 5, 31]: costs of classes -15 .. 15 in the class rows of `cdf`, without raw bits, the same in all."""
    frequency = cdf[SCALE_ROWS:].cpu().diff(dim=1)[:, MAX_SYMBOL - MAX_CLASS : MAX_SYMBOL + MAX_CLASS + 1]
    costs = (64 * (16 - frequency.double().log2())).round().to(torch.int32).to(cdf.device)
    return costs.reshape(-1, CONTEXTS, CLASSES)


def class_sizes(residual: Tensor) -> Tensor:
    """int64, the shape of int16 `residual`: sizes of its classes, min(bit_length(|d|), 15)."""
    return (residual.long().abs()[..., None] >> torch.arange(MAX_CLASS) > 0).sum(-1)


def _check(mv: Tensor, overlap: Tensor, precision: Tensor, contexts: Tensor, costs: Tensor) -> None:
    if mv.dtype != torch.int16 or mv.dim() != 3 or mv.shape[2] != 2:
        raise ValueError(f"code_vectors: mv must be int16 [bh, bw, 2], not {mv.dtype} {tuple(mv.shape)}")
    if not 1 <= mv.numel() // 2 <= MAX_BLOCKS:
        raise ValueError(f"code_vectors: {mv.numel() // 2} blocks, not 1 .. {MAX_BLOCKS}")
    ops.expect("code_vectors: overlap", overlap, (*mv.shape[:2],), torch.uint8)
    require_precision("code_vectors", precision)
    ops.expect("code_vectors: contexts", contexts, (*mv.shape[:2], 3), torch.uint8)
    ops.expect("code_vectors: costs", costs, (VECTOR_SETS + OVERLAP_SETS, CONTEXTS, CLASSES), torch.int32)


def residuals(mv: Tensor, overlap: Tensor, precision: Tensor) -> Tensor:
    """`residual` of operands as above."""
    vectors = (mv.long() - predictor(mv.long())) >> limited(precision)
    return torch.cat((vectors, differences(overlap)[..., None]), 2).short()


def reference(mv: Tensor, overlap: Tensor, precision: Tensor, contexts: Tensor, costs: Tensor) -> Result:
    _check(mv, overlap, precision, contexts, costs)
    residual, first = residuals(mv, overlap, precision), torch.tensor(FIRST_ROWS)
    context = (contexts.long() - first).clamp(0, CONTEXTS - 1)
    bits = costs.long()[:, context, MAX_CLASS + residual.long().sign() * class_sizes(residual)].sum((1, 2))
    of_component = [bits[s : s + n, k] for k, (s, n) in enumerate(zip(FIRST_SETS, SETS, strict=True))]
    choice = torch.stack([(b == b.min()).nonzero()[0, 0] for b in of_component])
    return residual, choice.byte(), (first + context + CONTEXTS * choice).byte()


@compiled
def _residual(mv, overlap, precision, out):
    for i in range(mv.shape[0]):
        for j in range(mv.shape[1]):
            py, px = predict(mv, i, j)
            out[i, j, 0] = np.int16((np.int32(mv[i, j, 0]) - py) >> precision)
            out[i, j, 1] = np.int16((np.int32(mv[i, j, 1]) - px) >> precision)
            rank = np.int32(RANKS[overlap[i, j]])
            out[i, j, 2] = np.int16(-((rank + 1) >> 1) if rank & 1 else rank >> 1)


@compiled
def _choose(residual, contexts, costs, choice, rows):
    counts = np.zeros((3, CONTEXTS, CLASSES), np.int64)
    for i in range(residual.shape[0]):
        for k in range(3):
            v = np.int64(residual[i, k])
            size = np.int64(0)
            rest = abs(v)
            while rest:
                size += 1
                rest >>= 1
            size = min(size, np.int64(MAX_CLASS))
            context = min(max(np.int64(contexts[i, k]) - FIRST_ROWS[k], np.int64(0)), np.int64(CONTEXTS - 1))
            counts[k, context, MAX_CLASS - size if v < 0 else MAX_CLASS + size] += 1
            rows[i, k] = np.uint8(FIRST_ROWS[k] + context)
    for k in range(3):
        best = np.int64(0)
        least = (counts[k] * costs[FIRST_SETS[k]]).sum()
        for t in range(1, SETS[k]):
            bits = (counts[k] * costs[FIRST_SETS[k] + t]).sum()
            if bits < least:
                best, least = np.int64(t), bits
        choice[k] = np.uint8(best)
        for i in range(residual.shape[0]):
            rows[i, k] += np.uint8(CONTEXTS * best)


def cpu(
    mv: Tensor, overlap: Tensor, precision: Tensor, contexts: Tensor, costs: Tensor, *, out: Result | None = None
) -> Result:
    _check(mv, overlap, precision, contexts, costs)
    shape = contexts.shape
    out = out or (torch.empty(shape, dtype=torch.int16), torch.empty(3, dtype=torch.uint8), torch.empty_like(contexts))
    residual, choice, rows = (t.numpy() for t in out)
    _residual(mv.numpy(), overlap.numpy(), limited(precision), residual)
    _choose(residual.reshape(-1, 3), contexts.numpy().reshape(-1, 3), costs.numpy(), choice, rows.reshape(-1, 3))
    return out


def launch(
    mv: Tensor, overlap: Tensor, precision: Tensor, contexts: Tensor, costs: Tensor, *, out: Result | None = None
) -> Result:
    _check(mv, overlap, precision, contexts, costs)
    residual, choice, rows = out or (None, None, None)
    shape = (*contexts.shape,)
    residual = ops.output("code_vectors", residual, shape, torch.int16, mv.device)
    choice = ops.output("code_vectors", choice, (3,), torch.uint8, mv.device)
    rows = ops.output("code_vectors", rows, shape, torch.uint8, mv.device)
    operands = mv, overlap, precision, contexts, costs, residual, choice, rows
    ops.expect_launchable("code_vectors", *operands)
    gpu.run(*operands)
    return residual, choice, rows


def make(case: Case, fill: Fill) -> dict[str, Any]:
    bh, bw, precision = case
    mv = fill((bh, bw, 2), -MV_MAX, MV_MAX, torch.int16)
    contexts = fill((bh, bw, 3), 0, CONTEXTS - 1, torch.uint8) + torch.tensor(FIRST_ROWS, dtype=torch.uint8)
    if fill.pattern == "uniform":
        mv >>= 8
    costs = fill((VECTOR_SETS + OVERLAP_SETS, CONTEXTS, CLASSES), 0, MAX_COST, torch.int32)
    if fill.pattern == "boundary":  # ties, and one bit less in the last tables; rows of no context
        costs[:] = 7
        costs[[VECTOR_SETS - 1, -1], :, MAX_CLASS] = 6
        contexts.flatten()[::4] = 255
        contexts.flatten()[1::4] = 0
    overlap, p = fill((bh, bw), 0, 255, torch.uint8), torch.tensor([precision], dtype=torch.int32)
    return {"mv": mv, "overlap": overlap, "precision": p, "contexts": contexts, "costs": costs}


code_vectors = Kernel(
    name="code_vectors",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 0), (1, 7, 1), (9, 1, 2), (2, 2, 5), (5, 3, 7), (40, 41, 4)),
    bench_cases=((23, 40, 0), (68, 120, 0)),
    cost=lambda case: Cost(bytes=17 * case[0] * case[1] + 48 * CONTEXTS * CLASSES, macs=0),
)
