"""Pointwise convolution of the 8-bit view of an s16, and of an optional second int8 operand, to an s16.

    A[p, k]   = clamp((x[p, k] + 4) >> 3, -128, 127)     for k < C
              = b[p, k - C]                              for C <= k < K = C + K2
    acc[p, n] = sum_k A[p, k] * w[n, k]
    t[p, n]   = clamp(((acc[p, n] + bias[row, n]) * mult[row, n] + 2^32) >> 33, -32768, 32767)
    out[p, n] = clamp(t[p, n] + 8 (b[p, n] - b[p, n + K2 / 2]), -32768, 32767)   if difference, for n < K2 / 2
              = t[p, n]                                                          elsewhere

With `difference` the first outputs are the difference of the two halves of b, say of a picture and its prediction, and
the product corrects it: weights of 7 bits that had to pass it on as well would be too coarse for anything else.

    name    shape        dtype   range
    x       [H, W, C]    int16   full
    b       [H, W, K2]   int8    full; or None, K2 = 0; K2 even and K2 / 2 <= N if difference
    w       [N, K]       int8    -63 .. 63
    bias    [R, N]       int32   |b| <= 2^26
    mult    [R, N]       int32   0 .. 2^31-1
    row     [1]          int32   0 .. R-1
    out     [H, W, N]    int16   full

Bounds (2 <= K <= 1024, checked; the others by the exporter):
    |A w| < 2^13, |acc| < 2^23, |acc + bias| < 2^27      -> int32 accumulator
    |(acc + bias) mult| < 2^58, plus 2^32      < 2^59    -> int64 product
    |t + 8 (b - b')| < 2^15 + 2^11                       -> int32
`>>` is arithmetic: half-up rounding for both signs. With one input channel `torch._int_mm` returns garbage: hence 2.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp16, compiled, view
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vector import copy_row
from nvc.kernels._vnni import TILE, layer_s16
from nvc.kernels._vnni_inputs import view64
from nvc.kernels.gpu import conv1x1_s16 as gpu

MAX_K = 1024
CHUNK = 1024  # pixels: accumulators of a chunk stay in the second-level cache


def _check(x, b, w, bias, mult, difference):
    (H, W, C), K2, N, R = x.shape, 0 if b is None else b.shape[2], w.shape[0], bias.shape[0]
    if not 2 <= C + K2 <= MAX_K:
        raise ValueError(f"conv1x1_s16: C+K2={C + K2} is outside 2..{MAX_K}; the accumulator bound would not hold")
    ops.expect("conv1x1_s16: x", x, (H, W, C), torch.int16)
    if b is not None:
        ops.expect("conv1x1_s16: b", b, (H, W, K2), torch.int8)
    if difference and (K2 & 1 or not 2 <= K2 <= 2 * N):
        raise ValueError(f"conv1x1_s16: K2={K2} are not two halves of at most N={N} channels")
    ops.expect("conv1x1_s16: w", w, (N, C + K2), torch.int8)
    ops.expect("conv1x1_s16: bias", bias, (R, N), torch.int32)
    ops.expect("conv1x1_s16: mult", mult, (R, N), torch.int32)


def reference(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    difference: bool = False,
) -> Tensor:
    _check(x, b, w, bias, mult, difference)
    r = ops.row_index("conv1x1_s16", row, bias.shape[0])
    a = ((x.long() + 4) >> 3).clamp(-128, 127)
    if b is not None:
        a = torch.cat((a, b.long()), dim=2)
    acc = a @ w.long().T
    assert acc.abs().max() < 2**23
    assert (acc + bias[r]).abs().max() < 2**27
    y = (((acc + bias[r].long()) * mult[r].long() + 2**32) >> 33).clamp(-32768, 32767)
    if difference and b is not None:
        first, second = b.long().chunk(2, 2)
        y[..., : first.shape[2]] += 8 * (first - second)
    return y.clamp(-32768, 32767).to(torch.int16)


@compiled
def _join(x, b, a):
    C = x.shape[1]
    for p in range(x.shape[0]):
        for c in range(C):
            a[p, c] = view(x[p, c])
        for k in range(b.shape[1]):
            a[p, C + k] = b[p, k]


@compiled
def _add_difference(b, row, out, begin, end):
    half = b.shape[1] >> 1
    for p in range(begin, end):
        copy_row(b, p, row, 0, 2 * half)
        for k in range(half):
            out[p, k] = clamp16(np.int32(out[p, k]) + np.int32(8) * (np.int32(row[k]) - np.int32(row[half + k])))


@compiled
def _tiles(x, b, w, table, a, out, begin, end):
    C, K, N = x.shape[1], x.shape[1] + b.shape[1], out.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        for m in range(n):
            for c in range(0, C, TILE):
                view64(x, (p + m) * C + c, a, m * K + c)
            copy_row(b, p + m, a, m * K + C, K - C)
        layer_s16(a, 0, K, n, w, K, table, N, out, p * N, N)


def cpu(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    difference: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    _check(x, b, w, bias, mult, difference)
    (H, W, C), (N, K), r = x.shape, w.shape, ops.row_index("conv1x1_s16", row, bias.shape[0])
    out = ops.output("conv1x1_s16", out, (H, W, N), torch.int16, x.device)
    second = torch.empty((H, W, 0), dtype=torch.int8) if b is None else b
    xs, bs, os = x.reshape(-1, C).numpy(), second.reshape(H * W, K - C).numpy(), out.view(-1, N).numpy()
    rows = even(H * W, CHUNK)
    if (layer := gemm.prepare("s16", w, bias, mult, views=C)) is not None:

        def tiles(begin, end):
            _, a = scratch("a", (gemm.TILE_ROWS, K), torch.int8)
            _tiles(xs, bs, layer.w, layer.tables[r], a, os, begin, end)
            if difference:
                _add_difference(bs, scratch("row", (K - C,), torch.int8)[1], os, begin, end)

        parallel(tiles, H * W, rows)
        return out

    def chunk(begin, end):
        a, a_np = scratch("a", (rows, K), torch.int8)
        _join(xs[begin:end], bs[begin:end], a_np)
        gemm.s16(a, end - begin, w, bias, mult, r, os[begin:end])
        if difference:
            _add_difference(bs, scratch("row", (K - C,), torch.int8)[1], os, begin, end)

    parallel(chunk, H * W, rows)
    return out


def launch(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    difference: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    _check(x, b, w, bias, mult, difference)
    ops.expect("conv1x1_s16: row", row, (1,), torch.int32)
    if b is not None and (b.stride(2) != 1 or b.stride(0) != b.shape[1] * b.stride(1) or b.device != x.device):
        raise ValueError(f"conv1x1_s16: b has strides {b.stride()} on {b.device}, x is on {x.device}")
    out = ops.output("conv1x1_s16", out, (*x.shape[:2], w.shape[0]), torch.int16, x.device)
    ops.expect_launchable("conv1x1_s16", x, w, bias, mult, row, out)
    gpu.run(x, b, w, bias, mult, row, difference, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    H, W, C, K2, N, R, r, difference = case
    boundary = fill.pattern == "boundary"
    x = ops.stream(fill, (H, W, C))
    b = fill((H, W, K2), 96 if boundary else -128, 127, torch.int8) if K2 else None
    w = ops.weights(fill, (N, C + K2))
    bias, mult = ops.tables(fill, R, N)
    if boundary:
        a = ((x.long() + 4) >> 3).clamp(-128, 127)
        a = a if b is None else torch.cat((a, b.long()), dim=2)
        ops.on_boundary(bias, mult, r, a.view(H * W, -1) @ w.long().T, -1000)
    row = torch.tensor([r], dtype=torch.int32)
    return {"x": x, "b": b, "w": w, "bias": bias, "mult": mult, "row": row, "difference": bool(difference)}


def cost(case: Case) -> Cost:
    H, W, C, K2, N, _, _, _ = case
    return Cost(bytes=H * W * (2 * C + K2 + 2 * N) + N * (C + K2) + 8 * N, macs=H * W * N * (C + K2))


conv1x1_s16 = Kernel(
    name="conv1x1_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (1, 1, 2, 0, 1, 1, 0, 0),
        (3, 5, 7, 10, 9, 3, 1, 1),
        (13, 41, 64, 96, 64, 128, 127, 1),
        (8, 32, 128, 0, 128, 1, 0, 0),
        (5, 7, 256, MAX_K - 256, 129, 2, 1, 0),
    ),
    bench_cases=(
        (90, 160, 128, 96, 128, 1, 0, 0),
        (90, 160, 128, 192, 128, 128, 127, 1),
        (135, 240, 256, 96, 256, 1, 0, 0),
    ),
    cost=cost,
)
