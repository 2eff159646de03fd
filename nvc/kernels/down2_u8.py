"""Space-to-depth by two, then a pointwise convolution with ReLU, on the 8-bit view of an s16.

    A[y, x, (2 dy + dx) C + c] = clamp((in[min(2 y + dy, H-1), min(2 x + dx, W-1), c] + 4) >> 3, -128, 127)
    acc[y, x, n] = sum_k A[y, x, k] * w[n, k]
    u[y, x, n]   = clamp(((acc + bias[n]) * mult[n] + 2^32) >> 33, 0, 255)
    out[y, x, n] = u - 128

    name    shape        dtype   range
    x       [H, W, C]    int16   full; `in` above
    w       [N, 4 C]     int8    -63 .. 63
    bias    [1, N]       int32   |b| <= 2^26
    mult    [1, N]       int32   0 .. 2^31-1
    out     [h, w, N]    int8    full, u - 128; h = ceil(H / 2), w = ceil(W / 2)

Bounds (4 C <= 1024, checked; the others by the exporter):
    |A w| < 2^13, |acc| < 2^23, |acc + bias| < 2^27      -> int32 accumulator
    |(acc + bias) mult| < 2^58, plus 2^32      < 2^59    -> int64 product
`>>` is arithmetic: half-up rounding for both signs.
"""

import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled, view
from nvc.kernels._layers import layer_u8
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vnni_inputs import gathered_views
from nvc.kernels.gpu import down2_u8 as gpu

MAX_C = 256
CHUNK = 256  # output pixels: accumulators of a chunk stay in the second-level cache
TILED_CHUNK = 1024


def _check(x, w, bias, mult):
    (H, W, C), N = x.shape, w.shape[0]
    if not 1 <= C <= MAX_C:
        raise ValueError(f"down2_u8: C={C} is outside 1..{MAX_C}; the accumulator bound would not hold")
    ops.expect("down2_u8: x", x, (H, W, C), torch.int16)
    ops.expect("down2_u8: w", w, (N, 4 * C), torch.int8)
    ops.expect("down2_u8: bias", bias, (1, N), torch.int32)
    ops.expect("down2_u8: mult", mult, (1, N), torch.int32)


def _gathered(x: Tensor) -> Tensor:
    """int64 A of the header, [h, w, 4 C]."""
    H, W, _ = x.shape
    y, z = torch.arange(0, H, 2), torch.arange(0, W, 2)
    rows, columns = (y, (y + 1).clamp(max=H - 1)), (z, (z + 1).clamp(max=W - 1))
    a = ((x.long() + 4) >> 3).clamp(-128, 127)
    return torch.cat([a[row][:, column] for row in rows for column in columns], dim=2)


def reference(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor) -> Tensor:
    _check(x, w, bias, mult)
    acc = _gathered(x) @ w.long().T
    assert acc.abs().max() < 2**23
    assert (acc + bias).abs().max() < 2**27
    u = ((acc + bias.long()) * mult.long() + 2**32) >> 33
    return (u.clamp(0, 255) - 128).to(torch.int8)


@compiled
def _gather(x, a, begin, end):
    H, W, C = x.shape
    w2 = (W + 1) >> 1
    for p in range(begin, end):
        y = p // w2
        z = p - y * w2
        for t in range(4):
            i, j = min(2 * y + (t >> 1), H - 1), min(2 * z + (t & 1), W - 1)
            for c in range(C):
                a[p - begin, t * C + c] = view(x[i, j, c])


@compiled
def _tiles(x, w, table, a, out, begin, end):
    K, N = a.shape[1], out.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        gathered_views(x, p, n, a, K)
        layer_u8(a, 0, K, n, w, K, table, N, out, p * N, N)


def cpu(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x, w, bias, mult)
    (H, W, _), (N, K) = x.shape, w.shape
    h, w2 = (H + 1) >> 1, (W + 1) >> 1
    out = ops.output("down2_u8", out, (h, w2, N), torch.int8, x.device)
    xs, os = x.numpy(), out.view(-1, N).numpy()

    if (layer := gemm.prepare("u8", w, bias, mult, views=4 * x.shape[2])) is not None:

        def tiles(begin, end):
            _, a = scratch("a", (gemm.TILE_ROWS, K), torch.int8)
            _tiles(xs, layer.w, layer.tables[0], a, os, begin, end)

        parallel(tiles, h * w2, even(h * w2, TILED_CHUNK))
        return out
    rows = even(h * w2, CHUNK)

    def chunk(begin, end):
        a, a_np = scratch("a", (rows, K), torch.int8)
        _gather(xs, a_np, begin, end)
        gemm.u8(a, end - begin, w, bias, mult, 0, os[begin:end])

    parallel(chunk, h * w2, rows)
    return out


def launch(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x, w, bias, mult)
    H, W, _ = x.shape
    out = ops.output("down2_u8", out, ((H + 1) >> 1, (W + 1) >> 1, w.shape[0]), torch.int8, x.device)
    ops.expect_launchable("down2_u8", x, w, bias, mult, out)
    gpu.run(x, w, bias, mult, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    H, W, C, N = case
    x = ops.stream(fill, (H, W, C))
    w = ops.weights(fill, (N, 4 * C))
    bias, mult = ops.tables(fill, 1, N)
    if fill.pattern == "boundary":
        ops.on_boundary(bias, mult, 0, _gathered(x).flatten(0, 1) @ w.long().T, 100)
    return {"x": x, "w": w, "bias": bias, "mult": mult}


def cost(case: Case) -> Cost:
    H, W, C, N = case
    P = ((H + 1) >> 1) * ((W + 1) >> 1)
    return Cost(bytes=2 * H * W * C + P * N + 4 * N * C + 8 * N, macs=4 * P * N * C)


down2_u8 = Kernel(
    name="down2_u8",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 1, 1), (2, 3, 5, 6), (37, 41, 64, 64), (33, 32, 128, 128), (6, 5, MAX_C, 65)),
    bench_cases=((45, 80, 128, 128), (68, 120, 256, 256)),
    cost=cost,
)
