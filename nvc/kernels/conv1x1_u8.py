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

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled, requant, store_u8, view
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel

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
def _view(x, a):
    for p in range(x.shape[0]):
        for c in range(x.shape[1]):
            a[p, c] = view(x[p, c])


@compiled
def _relu(acc, bias, mult, out):
    for p in range(out.shape[0]):
        for n in range(out.shape[1]):
            out[p, n] = store_u8(requant(acc[p, n], bias[n], mult[n]))


def cpu(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x, w, bias, mult)
    (H, W, C), N = x.shape, w.shape[0]
    out = ops.output("conv1x1_u8", out, (H, W, N), torch.int8, x.device)
    xs, os, b, m, wt = x.reshape(-1, C).numpy(), out.view(-1, N).numpy(), bias[0].numpy(), mult[0].numpy(), w.t()

    rows = even(H * W, CHUNK)

    def chunk(begin, end):
        a, a_np = scratch("a", (rows, C), torch.int8)
        acc, acc_np = scratch("acc", (rows, N), torch.int32)
        _view(xs[begin:end], a_np)
        torch._int_mm(a, wt, out=acc)
        _relu(acc_np, b, m, os[begin:end])

    parallel(chunk, H * W, rows)
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
    launch=None,
    make=make,
    cases=((1, 1, 2, 1), (3, 5, 17, 9), (13, 41, 128, 64), (8, 32, 256, 128), (5, 7, MAX_C, 33)),
    bench_cases=((45, 80, 128, 64), (90, 160, 128, 64), (135, 240, 256, 128)),
    cost=cost,
)
