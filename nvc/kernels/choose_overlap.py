"""What the quarters of each block are predicted from, and the prediction: for an encoder that has found the vectors.

    cost[i, j, q, k] = sum |H (cur - P_k) H| + (k > 0) rate     8x8 luma samples of quarter q, H the Hadamard transform,
                                                                P_k the prediction of `motion_compensate` if the
                                                                quarter is of kind k
    kind[i, j, q]    = the first k = 0 .. 3 with the least cost
    overlap[i, j]    = sum kind[i, j, q] << 2 q   where the least costs and rate add up to less than the costs of kind 0
                       0                          elsewhere

    name        shape             dtype  range
    cur         [H, W]            uint8  full    luma; H, W multiples of 16
    y, u, v, mv                                  as in `motion_compensate`
    rate        [1]               int32  full    limited to 0 .. 2^20; as in `motion_search`
    -> overlap  [H/16, W/16]      uint8  full    two bits for each quarter of a block: `_overlap`
    prediction  [H/8, W/8, 96]    int8   full    that of `motion_compensate`

Bounds: a transform of 8x8 differences sums to at most 64 * 8 * 255 < 2^17 in magnitude, so costs stay below 2^21.
"""

from typing import Any

import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._motion import LUMA, MV_MAX, require_plane
from nvc.kernels._overlap import OVERLAP
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import choose_overlap as gpu
from nvc.kernels.motion_compensate import motion_compensate, on_threads, overlapped, packed, require
from nvc.kernels.motion_search import MAX_RATE, satds

Result = tuple[Tensor, Tensor]


def _check(cur: Tensor, y: Tensor, u: Tensor, v: Tensor, mv: Tensor, rate: Tensor) -> None:
    require("choose_overlap", y, u, v, mv)
    require_plane("choose_overlap: cur", cur, 16)
    if cur.shape != y.shape:
        raise ValueError(f"choose_overlap: shapes {tuple(cur.shape)} and {tuple(y.shape)} differ")
    ops.expect("choose_overlap: rate", rate, (1,), torch.int32)


def reference(cur: Tensor, y: Tensor, u: Tensor, v: Tensor, mv: Tensor, rate: Tensor) -> Result:
    _check(cur, y, u, v, mv, rate)
    bh, bw = mv.shape[:2]
    blocks = cur.reshape(bh, 16, bw, 16).transpose(1, 2).long()
    price = rate.long().clamp(0, MAX_RATE)
    costs = []
    for kind in range(4):
        all_quarters = torch.full((bh, bw), 0b01010101 * kind, dtype=torch.uint8)
        left = overlapped(y, mv.long(), all_quarters, LUMA, OVERLAP) - blocks
        costs.append(satds(left).flatten(2) + (price if kind else 0))
    least = torch.stack(costs).min(0)
    byte = (least.indices << 2 * torch.arange(4)).sum(2)
    overlap = torch.where(least.values.sum(2) + price < costs[0].sum(2), byte, 0).byte()
    return overlap, motion_compensate.reference(y, u, v, mv, overlap)


def cpu(cur: Tensor, y: Tensor, u: Tensor, v: Tensor, mv: Tensor, rate: Tensor, *, out: Result | None = None) -> Result:
    _check(cur, y, u, v, mv, rate)
    overlap, prediction = out or (torch.empty(mv.shape[:2], dtype=torch.uint8), None)
    prediction = packed("choose_overlap", y, prediction)
    on_threads(cur, min(max(int(rate), 0), MAX_RATE), y, u, v, mv, overlap, prediction)
    return overlap, prediction


def launch(
    cur: Tensor, y: Tensor, u: Tensor, v: Tensor, mv: Tensor, rate: Tensor, *, out: Result | None = None
) -> Result:
    _check(cur, y, u, v, mv, rate)
    overlap, prediction = out or (None, None)
    overlap = ops.output("choose_overlap", overlap, (*mv.shape[:2],), torch.uint8, cur.device)
    prediction = packed("choose_overlap", y, prediction)
    ops.expect_launchable("choose_overlap", y, cur, u, v, mv, rate, overlap)
    ops.expect_words("choose_overlap", y, u, v, mv)
    gpu.run(cur, y, u, v, mv, rate, overlap, prediction)
    return overlap, prediction


def make(case: Case, fill: Fill) -> dict[str, Any]:
    """`boundary`: pictures nearly alike and small vectors, so that every kind is chosen somewhere."""
    h, w, rate = case
    cur, y = (fill((h, w), 0, 255, torch.uint8) for _ in range(2))
    u, v = (fill((h // 2, w // 2), 0, 255, torch.uint8) for _ in range(2))
    mv = fill((h // 16, w // 16, 2), -MV_MAX, MV_MAX, torch.int16)
    if fill.pattern == "boundary":
        cur = y.roll((1, 0), (0, 1))
        cur[:, ::16] ^= 1
        mv = (mv % 3 * 2 - 4).to(torch.int16)
    return {"cur": cur, "y": y, "u": u, "v": v, "mv": mv, "rate": torch.tensor([rate], dtype=torch.int32)}


def cost(case: Case) -> Cost:
    h, w, _ = case
    return Cost(bytes=4 * h * w + 5 * h * w // 256, macs=h * w * 16 + h * w // 2 * 8)


choose_overlap = Kernel(
    name="choose_overlap",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((16, 16, 64), (16, 48, 0), (64, 32, 200), (96, 80, 30), (48, 48, 2**30), (32, 48, -1000)),
    bench_cases=((368, 640, 64), (720, 1280, 64)),
    cost=cost,
)
