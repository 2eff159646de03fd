"""Pointwise convolution of the 8-bit view of an s16, and of an optional second int8 operand, to an s16. And, if there
is one, the pointwise layer that reads the result next, as `conv1x1_u8` would: the first half of a block.

    A[p, k]   = clamp((x[p, k] + 4) >> 3, -128, 127)     for k < C
              = b[p, k - C]                              for C <= k < K = C + K2
    acc[p, n] = sum_k A[p, k] * w[n, k]
    t[p, n]   = clamp(((acc[p, n] + bias[row, n]) * mult[row, n] + 2^32) >> 33, -32768, 32767)
    out[p, n] = clamp(t[p, n] + 8 (b[p, n] - b[p, n + K2 / 2]), -32768, 32767)   if difference, for n < K2 / 2
              = t[p, n]                                                          elsewhere
    next[p, m] = clamp(((sum_n A'[p, n] * w_next[m, n] + bias_next[m]) * mult_next[m] + 2^32) >> 33, 0, 255) - 128
    A'[p, n]   = clamp((out[p, n] + 4) >> 3, -128, 127)

With `difference` the first outputs are the difference of the two halves of b, say of a picture and its prediction, and
the product corrects it: weights of 7 bits that had to pass it on as well would be too coarse for anything else.

    name    shape        dtype   range
    x       [H, W, C]    int16   full
    b       [H, W, K2]   int8    full; or None, K2 = 0; K2 even and K2 / 2 <= N if difference
    w       [N, K]       int8    -63 .. 63
    bias    [R, N]       int32   |b| <= 2^26
    mult    [R, N]       int32   0 .. 2^31-1
    row     [1]          int32   0 .. R-1
    w_next  [M, N]       int8    -63 .. 63;   bias_next, mult_next [1, M] as above; or all three None
    -> out  [H, W, N]    int16   full
       next [H, W, M]    int8    full; a pair with `out`, which is the result alone without w_next

Bounds (2 <= K <= 1024, 2 <= N <= 1024 with w_next, checked; the others by the exporter):
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
from nvc.kernels._layers import layer_s16, layer_u8
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vector import copy_row
from nvc.kernels._vnni import TILE
from nvc.kernels._vnni_inputs import view64
from nvc.kernels.conv1x1_u8 import conv1x1_u8
from nvc.kernels.gpu import conv1x1_s16 as gpu

MAX_K = 1024
CHUNK = 1024  # pixels: accumulators of a chunk stay in the second-level cache


def _check(x, b, w, bias, mult, difference, following):
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
    ops.expect_next("conv1x1_s16", following, N)


def reference(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    difference: bool = False,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    _check(x, b, w, bias, mult, difference, (w_next, bias_next, mult_next))
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
    y = y.clamp(-32768, 32767).to(torch.int16)
    return y if w_next is None else (y, conv1x1_u8.reference(y, w_next, bias_next, mult_next))


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
def _tiles(x, b, w, table, a, row, difference, following, out, after, begin, end):
    C, K, N = x.shape[1], x.shape[1] + b.shape[1], out.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        for m in range(n):
            for c in range(0, C, TILE):
                view64(x, (p + m) * C + c, a, m * K + c)
            copy_row(b, p + m, a, m * K + C, K - C)
        layer_s16(a, 0, K, n, w, K, table, N, out, p * N, N)
        if difference:
            _add_difference(b, row, out, p, p + n)
        if following is not None:
            w_next, table_next = following
            for k in range(0, n * N, TILE):
                view64(out, p * N + k, a, k)
            M = after.shape[1]
            layer_u8(a, 0, N, n, w_next, N, table_next, M, after, p * M, M)


def cpu(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    difference: bool = False,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
    *,
    out: Tensor | tuple[Tensor, Tensor] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    following: Any = w_next, bias_next, mult_next
    _check(x, b, w, bias, mult, difference, following)
    (H, W, C), (N, K), r = x.shape, w.shape, ops.row_index("conv1x1_s16", row, bias.shape[0])
    result, after = ops.outputs_with_next("conv1x1_s16", out, (*x.shape[:2], len(w)), w_next, x.device)
    second = torch.empty((H, W, 0), dtype=torch.int8) if b is None else b
    xs, bs, os = x.reshape(-1, C).numpy(), second.reshape(H * W, K - C).numpy(), result.view(-1, N).numpy()
    afters: Any = None if after is None else after.view(H * W, -1).numpy()
    rows = even(H * W, CHUNK)
    layers = [(gemm.prepare("s16", w, bias, mult, views=C), r)]
    if after is not None:
        layers.append((gemm.prepare("u8", *following, views=N), 0))
    packed = [(layer.w, layer.tables[i]) for layer, i in layers if layer is not None]

    def tiles(begin, end):
        _, a = scratch("a", (gemm.TILE_ROWS, max(K, N)), torch.int8)
        _, pair = scratch("row", (K - C,), torch.int8)
        _tiles(xs, bs, *packed[0], a, pair, difference, packed[1] if packed[1:] else None, os, afters, begin, end)

    def chunk(begin, end):
        a, a_np = scratch("a", (rows, K), torch.int8)
        _join(xs[begin:end], bs[begin:end], a_np)
        gemm.s16(a, end - begin, w, bias, mult, r, os[begin:end])
        if difference:
            _add_difference(bs, scratch("row", (K - C,), torch.int8)[1], os, begin, end)
        if after is not None:
            a, a_np = scratch("a", (rows, N), torch.int8)
            _join(os[begin:end], bs[begin:end, :0], a_np)
            gemm.u8(a, end - begin, following[0], following[1], following[2], 0, afters[begin:end])

    parallel(tiles if len(packed) == len(layers) else chunk, H * W, rows)
    return result if after is None else (result, after)


def launch(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    difference: bool = False,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
    *,
    out: Tensor | tuple[Tensor, Tensor] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    following = w_next, bias_next, mult_next
    _check(x, b, w, bias, mult, difference, following)
    ops.expect("conv1x1_s16: row", row, (1,), torch.int32)
    if b is not None and (b.stride(2) != 1 or b.stride(0) != b.shape[1] * b.stride(1) or b.device != x.device):
        raise ValueError(f"conv1x1_s16: b has strides {b.stride()} on {b.device}, x is on {x.device}")
    result, after = ops.outputs_with_next("conv1x1_s16", out, (*x.shape[:2], len(w)), w_next, x.device)
    ops.expect_launchable("conv1x1_s16", x, w, bias, mult, row, *following, result, after)
    gpu.run(x, b, w, bias, mult, row, difference, *following, result, after)
    return result if after is None else (result, after)


def make(case: Case, fill: Fill) -> dict[str, Any]:
    H, W, C, K2, N, R, r, difference, M = case
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
    args: dict[str, Any] = {"x": x, "b": b, "w": w, "bias": bias, "mult": mult, "row": row}
    args["difference"] = bool(difference)
    return args | ops.next_layer(fill, M, reference(**args)) if M else args  # type: ignore[arg-type]


def cost(case: Case) -> Cost:
    H, W, C, K2, N, _, _, _, M = case
    size = H * W * (2 * C + K2 + 2 * N + M) + N * (C + K2) + 8 * N + M * (N + 8)
    return Cost(bytes=size, macs=H * W * N * (C + K2 + M))


conv1x1_s16 = Kernel(
    name="conv1x1_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (1, 1, 2, 0, 1, 1, 0, 0, 0),
        (3, 5, 7, 10, 9, 3, 1, 1, 5),
        (13, 41, 64, 96, 64, 128, 127, 1, 0),
        (8, 32, 128, 0, 128, 1, 0, 0, 64),
        (5, 7, 256, MAX_K - 256, 129, 2, 1, 0, 128),
        (5, 14, 256, 192, 256, 2, 1, 1, 128),
    ),
    bench_cases=(
        (90, 160, 128, 96, 128, 1, 0, 0, 64),
        (90, 160, 128, 192, 128, 128, 127, 1, 64),
        (135, 240, 256, 96, 256, 1, 0, 0, 128),
    ),
    cost=cost,
)
