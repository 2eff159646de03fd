"""Dense bilinear warp of a stream: every position fetches from where its own vector points.

    Y, fy = y + (dy >> 4), dy & 15        X, fx = x + (dx >> 4), dx & 15        (dy, dx) = v[y, x]
    S[y, x, c]   = (16 - fy) (16 - fx) in[Y, X, c]     + (16 - fy) fx in[Y, X + 1, c]
                 +       fy  (16 - fx) in[Y + 1, X, c] +       fy  fx in[Y + 1, X + 1, c]
    out[y, x, c] = (S + 2^7) >> 8

    name    shape        dtype   range
    x       [H, W, C]    int16   full; `in` above, coordinates clamped to 0 .. H-1 and 0 .. W-1
    v       [H, W, 2]    int16   full; (dy, dx) in sixteenths of a position
    out     [H, W, C]    int16   full

Bounds (H, W < 2^16, checked):
    |y + (dy >> 4)| <= 2^16 + 2^11                                   -> int32 coordinates; clamped, so any v is legal
    the four weights are >= 0 and sum to 2^8: |S| <= 2^23, plus 2^7  -> int32 sum
    S lies between 2^8 times the least and the greatest sample: out needs no clamp
`>>` is arithmetic: half-up rounding for both signs. A vector of whole positions copies, exactly.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp, compiled
from nvc.kernels._pool import parallel
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import warp_s16 as gpu

MAX_SIDE = 2**16 - 1
CHUNK = 4  # rows


def _check(x: Tensor, v: Tensor) -> None:
    H, W, C = x.shape
    if min(H, W, C) < 1 or max(H, W) > MAX_SIDE:
        raise ValueError(f"warp_s16: x is {H}x{W}x{C}, expected sides in 1..{MAX_SIDE} and at least one channel")
    ops.expect("warp_s16: x", x, (H, W, C), torch.int16)
    ops.expect("warp_s16: v", v, (H, W, 2), torch.int16)


def reference(x: Tensor, v: Tensor) -> Tensor:
    _check(x, v)
    H, W, _ = x.shape
    whole, f = v.long() >> 4, (v.long() & 15)[..., None]
    Y, X = torch.arange(H)[:, None] + whole[..., 0], torch.arange(W) + whole[..., 1]
    S = torch.zeros(x.shape, dtype=torch.int64)
    for i, wy in enumerate((16 - f[:, :, 0], f[:, :, 0])):
        for j, wx in enumerate((16 - f[:, :, 1], f[:, :, 1])):
            S += wy * wx * x.long()[(Y + i).clamp(0, H - 1), (X + j).clamp(0, W - 1)]
    assert S.abs().max() <= 2**23
    return ((S + 2**7) >> 8).to(torch.int16)


@compiled
def _rows(x, v, out, H, W, begin, end):
    C = x.shape[1]
    for p in range(begin * W, end * W):
        y = p // W
        dy, dx = np.int32(v[p, 0]), np.int32(v[p, 1])
        top, left = y + (dy >> 4), p - y * W + (dx >> 4)
        row, below = clamp(top, 0, H - 1) * W, clamp(top + 1, 0, H - 1) * W
        column, beside = clamp(left, 0, W - 1), clamp(left + 1, 0, W - 1)
        a, b, c, d = x[row + column], x[row + beside], x[below + column], x[below + beside]
        fy, fx = dy & 15, dx & 15
        wa, wb = np.int32((16 - fy) * (16 - fx)), np.int32((16 - fy) * fx)
        wc, wd = np.int32(fy * (16 - fx)), np.int32(fy * fx)
        for n in range(C):
            upper = np.int32(np.int32(a[n]) * wa) + np.int32(np.int32(b[n]) * wb)
            lower = np.int32(np.int32(c[n]) * wc) + np.int32(np.int32(d[n]) * wd)
            out[p, n] = np.int16(np.int32(upper + lower + 128) >> np.int32(8))


def cpu(x: Tensor, v: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x, v)
    H, W, C = x.shape
    out = ops.output("warp_s16", out, (H, W, C), torch.int16, x.device)
    xs, vs, os = x.reshape(-1, C).numpy(), v.reshape(-1, 2).numpy(), out.view(-1, C).numpy()
    parallel(lambda begin, end: _rows(xs, vs, os, H, W, begin, end), H, CHUNK)
    return out


def launch(x: Tensor, v: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x, v)
    out = ops.output("warp_s16", out, (*x.shape,), torch.int16, x.device)
    ops.expect_launchable("warp_s16", x, v, out)
    gpu.run(x, v, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    """`uniform`: every second vector short, or nearly all would point outside. `boundary`: every pair of phases, at and
    across the edges, on values so close that many sums are ties."""
    H, W, C = case
    if fill.pattern == "boundary":
        n = torch.arange(H * W)
        phases = torch.stack((n, n >> 4), -1).reshape(H, W, 2) & 15
        v = phases + 16 * fill((H, W, 2), -1, 0, torch.int64)
        return {"x": fill((H, W, C), -2, 1, torch.int16), "v": v.short()}
    v = fill((H, W, 2), -32768, 32767, torch.int16)
    if fill.pattern == "uniform":
        v[:, ::2] >>= 8
    return {"x": fill((H, W, C), -32768, 32767, torch.int16), "v": v}


def cost(case: Case) -> Cost:
    H, W, C = case
    return Cost(bytes=4 * H * W * (C + 1), macs=4 * H * W * C)


warp_s16 = Kernel(
    name="warp_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 1), (1, 19, 3), (23, 1, 16), (13, 41, 64), (16, 24, 130)),
    bench_cases=((45, 80, 128), (90, 160, 128), (135, 240, 256)),
    cost=cost,
)
