"""Pointwise convolution with ReLU to four times the channels, then depth-to-space by two, cropped.

    acc[y, x, m] = sum_k in[y, x, k] * w[m, k]
    u[y, x, m]   = clamp(((acc + bias[m]) * mult[m] + 2^32) >> 33, 0, 255)
    out[2 y + dy, 2 x + dx, n] = u[y, x, (2 dy + dx) N + n] - 128      inside [height, width]

    name    shape               dtype   range
    x       [H, W, K]           int8    full; `in` above
    w       [4 N, K]            int8    -63 .. 63
    bias    [1, 4 N]            int32   |b| <= 2^26
    mult    [1, 4 N]            int32   0 .. 2^31-1
    height                      int     2 H - 1 or 2 H
    width                       int     2 W - 1 or 2 W
    out     [height, width, N]  int8    full, u - 128

Bounds (2 <= K <= 1024, checked; the others by the exporter):
    |in w| < 2^13, |acc| < 2^23, |acc + bias| < 2^27     -> int32 accumulator
    |(acc + bias) mult| < 2^58, plus 2^32      < 2^59    -> int64 product
`>>` is arithmetic: half-up rounding for both signs. With one input channel `torch._int_mm` returns garbage: hence 2.
"""

from typing import Any

import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import up2_u8 as gpu

MAX_K = 1024
CHUNK = 512  # input pixels: accumulators of a chunk stay in the second-level cache


def _check(x, w, bias, mult, height, width):
    (H, W, K), M = x.shape, w.shape[0]
    if not 2 <= K <= MAX_K:
        raise ValueError(f"up2_u8: K={K} is outside 2..{MAX_K}; the accumulator bound would not hold")
    if M & 3:
        raise ValueError(f"up2_u8: w has {M} rows, expected a multiple of 4")
    if ((height + 1) >> 1, (width + 1) >> 1) != (H, W):
        raise ValueError(f"up2_u8: height={height}, width={width} do not belong to an input of {H}x{W}")
    ops.expect("up2_u8: x", x, (H, W, K), torch.int8)
    ops.expect("up2_u8: w", w, (M, K), torch.int8)
    ops.expect("up2_u8: bias", bias, (1, M), torch.int32)
    ops.expect("up2_u8: mult", mult, (1, M), torch.int32)


def reference(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, height: int, width: int) -> Tensor:
    _check(x, w, bias, mult, height, width)
    H, W, _ = x.shape
    acc = x.long() @ w.long().T
    assert acc.abs().max() < 2**23
    assert (acc + bias).abs().max() < 2**27
    u = (((acc + bias.long()) * mult.long() + 2**32) >> 33).clamp(0, 255)
    wide = u.view(H, W, 2, 2, -1).permute(0, 2, 1, 3, 4).reshape(2 * H, 2 * W, -1)
    return (wide[:height, :width] - 128).to(torch.int8)


@compiled
def _scatter(u, out, begin, end):
    height, width, N = out.shape
    W = (width + 1) >> 1
    for p in range(begin, end):
        y = p // W
        x = p - y * W
        for t in range(4):
            i, j = 2 * y + (t >> 1), 2 * x + (t & 1)
            if i < height and j < width:
                for n in range(N):
                    out[i, j, n] = u[p - begin, t * N + n]


def cpu(
    x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, height: int, width: int, *, out: Tensor | None = None
) -> Tensor:
    _check(x, w, bias, mult, height, width)
    (H, W, K), M = x.shape, w.shape[0]
    out = ops.output("up2_u8", out, (height, width, M >> 2), torch.int8, x.device)
    xs, os = x.reshape(-1, K), out.numpy()

    rows = even(H * W, CHUNK)

    def chunk(begin, end):
        _, u = scratch("u", (rows, M), torch.int8)
        gemm.u8(xs[begin:end], end - begin, w, bias, mult, 0, u[: end - begin])
        _scatter(u, os, begin, end)

    parallel(chunk, H * W, rows)
    return out


def launch(
    x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, height: int, width: int, *, out: Tensor | None = None
) -> Tensor:
    _check(x, w, bias, mult, height, width)
    out = ops.output("up2_u8", out, (height, width, w.shape[0] >> 2), torch.int8, x.device)
    ops.expect_launchable("up2_u8", x, w, bias, mult, out)
    gpu.run(x, w, bias, mult, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    height, width, K, N = case
    x = fill(((height + 1) >> 1, (width + 1) >> 1, K), 96 if fill.pattern == "boundary" else -128, 127, torch.int8)
    w = ops.weights(fill, (4 * N, K))
    bias, mult = ops.tables(fill, 1, 4 * N)
    if fill.pattern == "boundary":
        ops.on_boundary(bias, mult, 0, x.long().view(-1, K) @ w.long().T, 100)
    return {"x": x, "w": w, "bias": bias, "mult": mult, "height": height, "width": width}


def cost(case: Case) -> Cost:
    height, width, K, N = case
    P = ((height + 1) >> 1) * ((width + 1) >> 1)
    return Cost(bytes=P * K + height * width * N + 4 * N * K + 32 * N, macs=4 * P * N * K)


up2_u8 = Kernel(
    name="up2_u8",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 2, 1), (2, 1, 5, 3), (5, 8, 17, 9), (31, 34, 64, 64), (16, 27, 128, 128), (4, 3, MAX_K, 17)),
    bench_cases=((23, 40, 64, 128), (45, 80, 128, 128), (68, 120, 128, 256)),
    cost=cost,
)
