"""What the quarters of each block are predicted from: for an encoder that has found the vectors.

    cost[i, j, q, k] = sum |H (cur - P_k) H| + (k > 0) rate      8x8 samples of quarter q, H the Hadamard transform, P_k
                                                                 the prediction of `motion_compensate` if the quarter
                                                                 is of kind k
    kind[i, j, q]    = the first k = 0 .. 3 with the least cost
    out[i, j]        = sum kind[i, j, q] << 2 q   where the least costs and rate add up to less than the costs of kind 0
                       0                          elsewhere

    name      shape             dtype  range
    cur, ref  [H, W]            uint8  full    luma; H, W multiples of 16
    mv        [H/16, W/16, 2]   int16  full    (dy, dx) in quarter pel
    rate      [1]               int32  full    limited to 0 .. 2^20; as in `motion_search`
    out       [H/16, W/16]      uint8  full    two bits for each quarter of a block: `_overlap`

Bounds: a transform of 8x8 differences sums to at most 64 * 8 * 255 < 2^17 in magnitude, so costs stay below 2^21.
"""

from typing import Any

import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._motion import LUMA, MV_MAX, require_plane
from nvc.kernels._overlap import OVERLAP
from nvc.kernels._overlap_cpu import choose
from nvc.kernels._pool import parallel
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import choose_overlap as gpu
from nvc.kernels.motion_compensate import overlapped
from nvc.kernels.motion_search import HADAMARD, MAX_RATE


def _check(cur: Tensor, ref: Tensor, mv: Tensor, rate: Tensor) -> None:
    require_plane("choose_overlap: cur", cur, 16)
    require_plane("choose_overlap: ref", ref, 16)
    if cur.shape != ref.shape:
        raise ValueError(f"choose_overlap: shapes {tuple(cur.shape)} and {tuple(ref.shape)} differ")
    ops.expect("choose_overlap: mv", mv, (cur.shape[0] // 16, cur.shape[1] // 16, 2), torch.int16)
    ops.expect("choose_overlap: rate", rate, (1,), torch.int32)


def reference(cur: Tensor, ref: Tensor, mv: Tensor, rate: Tensor) -> Tensor:
    _check(cur, ref, mv, rate)
    bh, bw = mv.shape[:2]
    blocks = cur.reshape(bh, 16, bw, 16).transpose(1, 2).long()
    price = rate.long().clamp(0, MAX_RATE)
    costs = []
    for kind in range(4):
        all_quarters = torch.full((bh, bw), 0b01010101 * kind, dtype=torch.uint8)
        left = overlapped(ref, mv.long(), all_quarters, LUMA, OVERLAP) - blocks
        quarters = left.unflatten(3, (2, 8)).unflatten(2, (2, 8))
        satd = torch.einsum("ijarbc,ru,cv->ijaubv", quarters, HADAMARD, HADAMARD).abs().sum((3, 5))
        costs.append(satd.flatten(2) + (price if kind else 0))
    least = torch.stack(costs).min(0)
    byte = (least.indices << 2 * torch.arange(4)).sum(2)
    return torch.where(least.values.sum(2) + price < costs[0].sum(2), byte, 0).byte()


def cpu(cur: Tensor, ref: Tensor, mv: Tensor, rate: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(cur, ref, mv, rate)
    out = torch.empty(mv.shape[:2], dtype=torch.uint8) if out is None else out
    a, b, v = (t.contiguous().numpy() for t in (cur, ref, mv))
    price = min(max(int(rate), 0), MAX_RATE)
    parallel(lambda row0, row1: choose(a, b, v, price, out.numpy(), row0, row1), len(v), 4)
    return out


def launch(cur: Tensor, ref: Tensor, mv: Tensor, rate: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(cur, ref, mv, rate)
    out = ops.output("choose_overlap", out, (*mv.shape[:2],), torch.uint8, cur.device)
    ops.expect_launchable("choose_overlap", cur, ref, mv, rate, out)
    ops.expect_words("choose_overlap", ref, mv)
    gpu.run(cur, ref, mv, rate, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    """`boundary`: vectors and pictures alike but for some blocks, so that every kind is chosen somewhere."""
    h, w, rate = case
    cur, ref = (fill((h, w), 0, 255, torch.uint8) for _ in range(2))
    mv = fill((h // 16, w // 16, 2), -MV_MAX, MV_MAX, torch.int16)
    if fill.pattern == "boundary":
        cur = ref.roll((1, 0), (0, 1))
        cur[:, ::16] ^= 1
        mv = (mv % 3 * 2 - 4).to(torch.int16)
    return {"cur": cur, "ref": ref, "mv": mv, "rate": torch.tensor([rate], dtype=torch.int32)}


def cost(case: Case) -> Cost:
    h, w, _ = case
    return Cost(bytes=2 * h * w + 5 * h * w // 256, macs=h * w * 16)


choose_overlap = Kernel(
    name="choose_overlap",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((16, 16, 64), (16, 48, 0), (64, 32, 200), (96, 80, 30), (48, 48, 2**30)),
    bench_cases=((368, 640, 64), (720, 1280, 64)),
    cost=cost,
)
