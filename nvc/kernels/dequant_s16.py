"""De-quantisation: symbols and means to latents in the feature domain, all at once or in two checkerboard phases.

    v[y, x, c]   = 32 q[y, x, c] + mean[y, x, c]
    out[y, x, c] = clamp((v * ginv[row, c] + 2^15) >> 16, -32640, 32639)    if phase == 2 or parity == phase, else 0
    parity       = (y + x + (c >= N / 2)) & 1

    name    shape       dtype   range
    q       [H, W, N]   int16   full             N even; channels contiguous
    mean    [H, W, N]   int16   full             unit 1/32 step; channels contiguous
    ginv    [R, N]      int32   0 .. 2^26 - 1    x16 units per 1/32 step, unit 2^-16
    row     [1]         int32   0 .. R - 1
    phase               int     0, 1, 2
    out     [H, W, N]   int16   -32640 .. 32639  x16; the limits let it split into two signed bytes

Bounds: |v| <= 2^20 + 2^15 < 2^21, |v * ginv| < 2^47: int64, clamped there. `>>` is arithmetic: rounding is half-up.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._pool import parallel
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import dequant_s16 as gpu

CHUNK = 4  # rows


def _check(q: Tensor, mean: Tensor, ginv: Tensor, phase: int) -> None:
    H, W, N = q.shape
    if N % 2:
        raise ValueError(f"dequant_s16: {N} channels cannot be halved")
    if phase not in (0, 1, 2):
        raise ValueError(f"dequant_s16: phase={phase} is none of 0, 1, 2")
    ops.expect("dequant_s16: q", q, (H, W, N), torch.int16)
    ops.expect("dequant_s16: mean", mean, (H, W, N), torch.int16)
    ops.expect("dequant_s16: ginv", ginv, (ginv.shape[0], N), torch.int32)


def reference(q: Tensor, mean: Tensor, ginv: Tensor, row: Tensor, phase: int) -> Tensor:
    _check(q, mean, ginv, phase)
    (H, W, N), r = q.shape, ops.row_index("dequant_s16", row, ginv.shape[0])
    v = 32 * q.long() + mean.long()
    assert v.abs().max() < 2**21, "the bound in the header is wrong"
    x = ((v * ginv[r].long() + 2**15) >> 16).clamp(-32640, 32639)
    if phase < 2:
        second = (torch.arange(N) >= N // 2).long()
        parity = (torch.arange(H)[:, None, None] + torch.arange(W)[:, None] + second) & 1
        x = torch.where(parity == phase, x, 0)
    return x.to(torch.int16)


@compiled
def _span(q, mean, ginv, out):
    for c in range(out.shape[0]):
        v = np.int32(np.int32(q[c]) * np.int32(32) + np.int32(mean[c]))
        scaled = (np.int64(v) * np.int64(ginv[c]) + np.int64(1 << 15)) >> np.int64(16)
        out[c] = np.int16(min(max(scaled, np.int64(-32640)), np.int64(32639)))


@compiled
def _rows(q, mean, ginv, phase, out, begin, end):
    W, half = q.shape[1], q.shape[2] >> 1
    for y in range(begin, end):
        for x in range(W):
            if phase == 2:
                _span(q[y, x], mean[y, x], ginv, out[y, x])
            elif ((y + x) & 1) == phase:
                _span(q[y, x, :half], mean[y, x, :half], ginv[:half], out[y, x, :half])
                out[y, x, half:] = np.int16(0)
            else:
                out[y, x, :half] = np.int16(0)
                _span(q[y, x, half:], mean[y, x, half:], ginv[half:], out[y, x, half:])


def cpu(q: Tensor, mean: Tensor, ginv: Tensor, row: Tensor, phase: int, *, out: Tensor | None = None) -> Tensor:
    _check(q, mean, ginv, phase)
    r = ops.row_index("dequant_s16", row, ginv.shape[0])
    out = ops.output("dequant_s16", out, tuple(q.shape), torch.int16, q.device)
    arrays = q.numpy(), mean.numpy(), ginv[r].numpy(), phase, out.numpy()
    parallel(lambda begin, end: _rows(*arrays, begin, end), q.shape[0], CHUNK)
    return out


def launch(q: Tensor, mean: Tensor, ginv: Tensor, row: Tensor, phase: int, *, out: Tensor | None = None) -> Tensor:
    _check(q, mean, ginv, phase)
    ops.expect("dequant_s16: row", row, (1,), torch.int32)
    out = ops.output("dequant_s16", out, tuple(q.shape), torch.int16, q.device)
    ops.expect_launchable("dequant_s16", q, mean, ginv, row, out)
    gpu.run(q, mean, ginv, row, phase, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor | int]:
    H, W, N, R, phase = case
    full = fill.pattern in ("corner", "edges")  # elsewhere mostly small enough not to be limited
    q_max, mean_max = (32767, 32767) if full else (255, 8191)
    q = fill((H, W, N), -q_max - 1, q_max, torch.int16)
    mean = fill((H, W, N), -mean_max - 1, mean_max, torch.int16)
    ginv = fill((R, N), 0, 2**26 - 1 if full else 2**18, torch.int32)
    if fill.pattern == "boundary":
        # every v lies at a rounding boundary or one below: off by one up or down changes half of the outputs
        ginv[R - 1] = 1
        residue = 2**15 - (torch.arange(N) & 1) - 32 * q.long()
        mean = (((residue + 2**15) & 0xFFFF) - 2**15).to(torch.int16)
    return {"q": q, "mean": mean, "ginv": ginv, "row": torch.tensor([R - 1], dtype=torch.int32), "phase": phase}


def cost(case: Case) -> Cost:
    H, W, N, _, _ = case
    return Cost(bytes=6 * H * W * N + 4 * N + 4, macs=H * W * N)


dequant_s16 = Kernel(
    name="dequant_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 2, 1, 2), (1, 1, 64, 128, 0), (5, 7, 34, 128, 1), (6, 4, 128, 128, 2), (9, 3, 130, 128, 0)),
    bench_cases=((45, 80, 320, 128, 2), (45, 80, 320, 128, 0), (68, 120, 320, 128, 1)),
    cost=cost,
)
