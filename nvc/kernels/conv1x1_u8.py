"""Pointwise convolution with ReLU on the 8-bit view of an s16; first half of a block.

    A[p, c]   = clamp((x[p, c] + 4) >> 3, -128, 127)
    acc[p, n] = sum_c A[p, c] * w[n, c]
    u[p, n]   = clamp(((acc[p, n] + bias[n]) * mult[n] + 2^32) >> 33, 0, 255)
    out[p, n] = u[p, n] - 128

    name    shape        dtype   range
    x       [H, W, C]    int16   full
    w       [N, C]       int8    -63 .. 63
    bias    [1, N]       int32   |b| <= 2^26
    mult    [1, N]       int32   0 .. 2^31-1
    out     [H, W, N]    int8    full, u - 128

Bounds (2 <= C <= 1024, checked; the others by the exporter):
    |A w| < 2^13, |acc| < 2^23, |acc + bias| < 2^27      -> int32 accumulator
    |(acc + bias) mult| < 2^58, plus 2^32      < 2^59    -> int64 product
`>>` is arithmetic: half-up rounding for both signs. With one input channel `torch._int_mm` returns garbage: hence 2.
"""

import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._layers import layer_u8
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vnni import TILE
from nvc.kernels._vnni_inputs import view64
from nvc.kernels.gpu import conv1x1_u8 as gpu

MAX_C = 1024
CHUNK = 1024  # pixels: accumulators of a chunk stay in the second-level cache


def _check(x, w, bias, mult):
    (H, W, C), N = x.shape, w.shape[0]
    if not 2 <= C <= MAX_C:
        raise ValueError(f"conv1x1_u8: C={C} is outside 2..{MAX_C}; the accumulator bound would not hold")
    ops.expect("conv1x1_u8: x", x, (H, W, C), torch.int16)
    ops.expect("conv1x1_u8: w", w, (N, C), torch.int8)
    ops.expect("conv1x1_u8: bias", bias, (1, N), torch.int32)
    ops.expect("conv1x1_u8: mult", mult, (1, N), torch.int32)


def reference(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor) -> Tensor:
    _check(x, w, bias, mult)
    a = ((x.long() + 4) >> 3).clamp(-128, 127)
    acc = a @ w.long().T
    assert acc.abs().max() < 2**23
    assert (acc + bias).abs().max() < 2**27
    u = ((acc + bias.long()) * mult.long() + 2**32) >> 33
    return (u.clamp(0, 255) - 128).to(torch.int8)


@compiled
def _tiles(x, w, table, a, out, begin, end):
    C, N = x.shape[1], out.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        for c in range(0, n * C, TILE):
            view64(x, p * C + c, a, c)
        layer_u8(a, 0, C, n, w, C, table, N, out, p * N, N)


def cpu(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x, w, bias, mult)
    (H, W, C), N = x.shape, w.shape[0]
    out = ops.output("conv1x1_u8", out, (H, W, N), torch.int8, x.device)
    xs, os = x.reshape(-1, C).numpy(), out.view(-1, N).numpy()

    rows = even(H * W, CHUNK)
    if (layer := gemm.prepare("u8", w, bias, mult, views=C)) is not None:

        def tiles(begin, end):
            _tiles(xs, layer.w, layer.tables[0], scratch("a", (gemm.TILE_ROWS, C), torch.int8)[1], os, begin, end)

        parallel(tiles, H * W, rows)
        return out

    def chunk(begin, end):
        a, a_np = scratch("a", (rows, C), torch.int8)
        gemm.views(xs[begin:end], a_np)
        gemm.u8(a, end - begin, w, bias, mult, 0, os[begin:end])

    parallel(chunk, H * W, rows)
    return out


def launch(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x, w, bias, mult)
    out = ops.output("conv1x1_u8", out, (*x.shape[:2], w.shape[0]), torch.int8, x.device)
    ops.expect_launchable("conv1x1_u8", x, w, bias, mult, out)
    gpu.run(x, w, bias, mult, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    H, W, C, N = case
    x = ops.stream(fill, (H, W, C))
    w = ops.weights(fill, (N, C))
    bias, mult = ops.tables(fill, 1, N)
    if fill.pattern == "boundary":
        acc = ((x.long() + 4) >> 3).clamp(-128, 127).view(-1, C) @ w.long().T
        ops.on_boundary(bias, mult, 0, acc, 100)
    return {"x": x, "w": w, "bias": bias, "mult": mult}


def cost(case: Case) -> Cost:
    H, W, C, N = case
    return Cost(bytes=H * W * (2 * C + N) + N * C + 8 * N, macs=H * W * N * C)


conv1x1_u8 = Kernel(
    name="conv1x1_u8",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 2, 1), (3, 5, 17, 9), (13, 41, 128, 64), (8, 32, 256, 128), (5, 7, MAX_C, 33)),
    bench_cases=((45, 80, 128, 64), (90, 160, 128, 64), (135, 240, 256, 128)),
    cost=cost,
)
