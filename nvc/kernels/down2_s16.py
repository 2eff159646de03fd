"""Space-to-depth by two, then a pointwise convolution of the 8-bit view of an s16 and of an optional int8 operand. And,
if there is one, the pointwise layer that reads the result next, as `conv1x1_u8` would: the first half of a block.

    A[y, x, (2 dy + dx) C + c] = clamp((in[min(2 y + dy, H-1), min(2 x + dx, W-1), c] + 4) >> 3, -128, 127)
    A[y, x, 4 C + k]           = b[y, x, k]
    acc[y, x, n] = sum_k A[y, x, k] * w[n, k]
    out[y, x, n] = clamp(((acc + bias[row, n]) * mult[row, n] + 2^32) >> 33, -32768, 32767)
    next[y, x, m] = clamp(((sum_n A'[y, x, n] * w_next[m, n] + bias_next[m]) * mult_next[m] + 2^32) >> 33, 0, 255) - 128
    A'[y, x, n]   = clamp((out[y, x, n] + 4) >> 3, -128, 127)

    name    shape          dtype   range
    x       [H, W, C]      int16   full; `in` above
    b       [h, w, K2]     int8    full; h = ceil(H / 2), w = ceil(W / 2); or None, K2 = 0
    w       [N, 4 C + K2]  int8    -63 .. 63
    bias    [R, N]         int32   |b| <= 2^26
    mult    [R, N]         int32   0 .. 2^31-1
    row     [1]            int32   0 .. R-1
    w_next  [M, N]         int8    -63 .. 63;   bias_next, mult_next [1, M] as above; or all three None
    -> out  [h, w, N]      int16   full
       next [h, w, M]      int8    full; a pair with `out`, which is the result alone without w_next

Bounds (4 C + K2 <= 2048, 2 <= N <= 1024 with w_next, checked; the others by the exporter):
    |A w| < 2^13, |acc| < 2^24, |acc + bias| < 2^27      -> int32 accumulator
    |(acc + bias) mult| < 2^58, plus 2^32      < 2^59    -> int64 product
`>>` is arithmetic: half-up rounding for both signs.
"""

from typing import Any

import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled, view
from nvc.kernels._layers import layer_s16, layer_u8
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vector import copy_row
from nvc.kernels._vnni_inputs import gathered_views, views_of
from nvc.kernels.conv1x1_u8 import conv1x1_u8
from nvc.kernels.gpu import down2_s16 as gpu

MAX_K = 2048
CHUNK = 256  # output pixels: accumulators of a chunk stay in the second-level cache
TILED_CHUNK = 1024


def _check(x, b, w, bias, mult, following):
    (H, W, C), K2, N, R = x.shape, 0 if b is None else b.shape[2], w.shape[0], bias.shape[0]
    if not 1 <= 4 * C + K2 <= MAX_K:
        raise ValueError(f"down2_s16: 4C+K2={4 * C + K2} is outside 1..{MAX_K}; the accumulator bound would not hold")
    ops.expect("down2_s16: x", x, (H, W, C), torch.int16)
    if b is not None:
        ops.expect("down2_s16: b", b, ((H + 1) >> 1, (W + 1) >> 1, K2), torch.int8)
    ops.expect("down2_s16: w", w, (N, 4 * C + K2), torch.int8)
    ops.expect("down2_s16: bias", bias, (R, N), torch.int32)
    ops.expect("down2_s16: mult", mult, (R, N), torch.int32)
    ops.expect_next("down2_s16", following, N)


def _gathered(x: Tensor, b: Tensor | None) -> Tensor:
    """int64 A of the header, [h, w, 4 C + K2]."""
    H, W, _ = x.shape
    y, z = torch.arange(0, H, 2), torch.arange(0, W, 2)
    rows, columns = (y, (y + 1).clamp(max=H - 1)), (z, (z + 1).clamp(max=W - 1))
    a = ((x.long() + 4) >> 3).clamp(-128, 127)
    parts = [a[row][:, column] for row in rows for column in columns]
    return torch.cat(parts if b is None else [*parts, b.long()], dim=2)


def reference(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    _check(x, b, w, bias, mult, (w_next, bias_next, mult_next))
    r = ops.row_index("down2_s16", row, bias.shape[0])
    acc = _gathered(x, b) @ w.long().T
    assert acc.abs().max() < 2**24
    assert (acc + bias[r]).abs().max() < 2**27
    v = ((acc + bias[r].long()) * mult[r].long() + 2**32) >> 33
    y = v.clamp(-32768, 32767).to(torch.int16)
    return y if w_next is None else (y, conv1x1_u8.reference(y, w_next, bias_next, mult_next))


@compiled
def _gather(x, b, a, begin, end):
    H, W, C = x.shape
    w2 = (W + 1) >> 1
    for p in range(begin, end):
        y = p // w2
        z = p - y * w2
        for t in range(4):
            i, j = min(2 * y + (t >> 1), H - 1), min(2 * z + (t & 1), W - 1)
            for c in range(C):
                a[p - begin, t * C + c] = view(x[i, j, c])
        for k in range(b.shape[1]):
            a[p - begin, 4 * C + k] = b[p, k]


@compiled
def _tiles(x, b, w, table, a, following, out, after, begin, end):
    C, N = x.shape[2], out.shape[1]
    K = 4 * C + b.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        gathered_views(x, p, n, a, K)
        for m in range(n):
            copy_row(b, p + m, a, m * K + 4 * C, K - 4 * C)
        layer_s16(a, 0, K, n, w, K, table, N, out, p * N, N)
        if following is not None:
            w_next, table_next = following
            views_of(out, p * N, a, 0, n * N)
            M = after.shape[1]
            layer_u8(a, 0, N, n, w_next, N, table_next, M, after, p * M, M)


def cpu(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
    *,
    out: Tensor | tuple[Tensor, Tensor] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    following: Any = w_next, bias_next, mult_next
    _check(x, b, w, bias, mult, following)
    (H, W, C), (N, K), r = x.shape, w.shape, ops.row_index("down2_s16", row, bias.shape[0])
    h, w2 = (H + 1) >> 1, (W + 1) >> 1
    result, after = ops.outputs_with_next("down2_s16", out, (h, w2, N), w_next, x.device)
    second = torch.empty((h, w2, 0), dtype=torch.int8) if b is None else b
    xs, bs, os = x.numpy(), second.reshape(h * w2, K - 4 * C).numpy(), result.view(-1, N).numpy()
    afters: Any = None if after is None else after.view(h * w2, -1).numpy()
    layers = [(gemm.prepare("s16", w, bias, mult, views=4 * C), r)]
    if after is not None:
        layers.append((gemm.prepare("u8", *following, views=N), 0))
    packed = [(layer.w, layer.tables[i]) for layer, i in layers if layer is not None]
    if len(packed) == len(layers):

        def tiles(begin, end):
            _, a = scratch("a", (gemm.TILE_ROWS, max(K, N)), torch.int8)
            _tiles(xs, bs, *packed[0], a, packed[1] if packed[1:] else None, os, afters, begin, end)

        parallel(tiles, h * w2, even(h * w2, TILED_CHUNK))
        return result if after is None else (result, after)
    rows = even(h * w2, CHUNK)

    def chunk(begin, end):
        a, a_np = scratch("a", (rows, K), torch.int8)
        _gather(xs, bs, a_np, begin, end)
        gemm.s16(a, end - begin, w, bias, mult, r, os[begin:end])
        if after is not None:
            a, a_np = scratch("a", (rows, N), torch.int8)
            gemm.views(os[begin:end], a_np)
            gemm.u8(a, end - begin, following[0], following[1], following[2], 0, afters[begin:end])

    parallel(chunk, h * w2, rows)
    return result if after is None else (result, after)


def launch(
    x: Tensor,
    b: Tensor | None,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
    *,
    out: Tensor | tuple[Tensor, Tensor] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    following = w_next, bias_next, mult_next
    _check(x, b, w, bias, mult, following)
    ops.expect("down2_s16: row", row, (1,), torch.int32)
    (H, W, _), N = x.shape, w.shape[0]
    result, after = ops.outputs_with_next("down2_s16", out, ((H + 1) >> 1, (W + 1) >> 1, N), w_next, x.device)
    ops.expect_launchable("down2_s16", x, b, w, bias, mult, row, *following, result, after)
    gpu.run(x, b, w, bias, mult, row, *following, result, after)
    return result if after is None else (result, after)


def make(case: Case, fill: Fill) -> dict[str, Tensor | None]:
    H, W, C, K2, N, R, r, M = case
    boundary = fill.pattern == "boundary"
    x = ops.stream(fill, (H, W, C))
    b = fill(((H + 1) >> 1, (W + 1) >> 1, K2), 96 if boundary else -128, 127, torch.int8) if K2 else None
    w = ops.weights(fill, (N, 4 * C + K2))
    bias, mult = ops.tables(fill, R, N)
    if boundary:
        ops.on_boundary(bias, mult, r, _gathered(x, b).flatten(0, 1) @ w.long().T, -1000)
    row = torch.tensor([r], dtype=torch.int32)
    args: dict[str, Any] = {"x": x, "b": b, "w": w, "bias": bias, "mult": mult, "row": row}
    return args | ops.next_layer(fill, M, reference(**args)) if M else args  # type: ignore[arg-type]


def cost(case: Case) -> Cost:
    H, W, C, K2, N, _, _, M = case
    P, K = ((H + 1) >> 1) * ((W + 1) >> 1), 4 * C + K2
    size = 2 * H * W * C + P * (K2 + 2 * N + M) + N * K + 8 * N + M * (N + 8)
    return Cost(bytes=size, macs=P * N * (K + M))


down2_s16 = Kernel(
    name="down2_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (1, 1, 1, 0, 1, 1, 0, 0),
        (2, 3, 5, 7, 6, 3, 1, 4),
        (37, 41, 64, 32, 64, 128, 127, 0),
        (33, 32, 128, 0, 128, 1, 0, 64),
        (5, 7, 64, 0, 256, 1, 0, 128),
        (6, 5, 256, MAX_K - 1024, 65, 2, 1, 0),
    ),
    bench_cases=(
        (90, 160, 128, 0, 128, 128, 127, 64),
        (90, 160, 128, 128, 128, 1, 0, 0),
        (135, 240, 256, 0, 256, 128, 127, 128),
    ),
    cost=cost,
)
