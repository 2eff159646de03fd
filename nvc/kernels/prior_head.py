"""Entropy parameters: a pointwise convolution whose first half are means and whose second half are table indices.

    A            = view(x) = clamp((x + 4) >> 3, -128, 127)
    acc[y, x, n] = sum_c w[n, c] A[y, x, c]                                        0 <= n < 2N
    t[y, x, n]   = ((acc[y, x, n] + bias[row, n]) * mult[row, n] + 2^32) >> 33
    mean  = clamp(t[..., :N], -32768, 32767)
    index = clamp(t[..., N:], 0, 63)

    name    shape       dtype   range
    x       [H, W, C]   int16   full            s16
    w       [2N, C]     int8    -63 .. 63       2 <= C <= 1024
    bias    [R, 2N]     int32   |b| <= 2^26
    mult    [R, 2N]     int32   0 .. 2^31 - 1
    row     [1]         int32   0 .. R - 1
    mean    [H, W, N]   int16   full            unit 1/32 quantisation step
    index   [H, W, N]   uint8   0 .. 63

Bounds: |w A| < 2^13, |acc| < 2^23, |acc + bias| < 2^27: int32. The product is below 2^58: int64. |t| < 2^25: int32.
`>>` is arithmetic: rounding is half-up for both signs.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp, compiled
from nvc.kernels._layers import layer_s16
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vnni_inputs import views_of
from nvc.kernels.gpu import prior_head as gpu

MAX_C = 1024
CHUNK = 256  # positions: operand and accumulators of a chunk stay in the level-2 cache
TILED_CHUNK = 1024

Outputs = tuple[Tensor, Tensor]


def _check(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor) -> None:
    (H, W, C), R, N = x.shape, bias.shape[0], w.shape[0] // 2
    if not 2 <= C <= MAX_C:  # torch._int_mm misreads the transposed weights of one channel
        raise ValueError(f"prior_head: C={C} is outside 2..{MAX_C}")
    ops.expect("prior_head: x", x, (H, W, C), torch.int16)
    ops.expect("prior_head: w", w, (2 * N, C), torch.int8)
    ops.expect("prior_head: bias", bias, (R, 2 * N), torch.int32)
    ops.expect("prior_head: mult", mult, (R, 2 * N), torch.int32)


def reference(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor) -> Outputs:
    _check(x, w, bias, mult)
    N, r = w.shape[0] // 2, ops.row_index("prior_head", row, bias.shape[0])
    acc = ((x.long() + 4) >> 3).clamp(-128, 127) @ w.long().T + bias[r].long()
    assert acc.abs().max() < 2**27, "the bound in the header is wrong"
    t = (acc * mult[r].long() + 2**32) >> 33
    return t[..., :N].clamp(-32768, 32767).to(torch.int16), t[..., N:].clamp(0, 63).to(torch.uint8)


@compiled
def _heads(s, mean, index, begin, end):
    N = mean.shape[1]
    for p in range(begin, end):
        for n in range(N):
            mean[p, n] = s[p - begin, n]
        for n in range(N):
            index[p, n] = np.uint8(clamp(s[p - begin, N + n], 0, 63))


@compiled
def _tiles(x, w, table, a, s, mean, index, begin, end):
    C, N = x.shape[1], s.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        views_of(x, p * C, a, 0, n * C)
        layer_s16(a, 0, C, n, w, C, table, N, s, 0, N)
        _heads(s, mean, index, p, p + n)


def cpu(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor, *, out: Outputs | None = None) -> Outputs:
    _check(x, w, bias, mult)
    (H, W, C), N, r = x.shape, w.shape[0] // 2, ops.row_index("prior_head", row, bias.shape[0])
    means, indices = out or (None, None)
    means = ops.output("prior_head", means, (H, W, N), torch.int16, x.device)
    indices = ops.output("prior_head", indices, (H, W, N), torch.uint8, x.device)
    features = x.reshape(H * W, C).numpy()
    mean, index = means.view(H * W, N).numpy(), indices.view(H * W, N).numpy()

    if (layer := gemm.prepare("s16", w, bias, mult, views=C)) is not None:

        def tiles(begin: int, end: int) -> None:
            _, a = scratch("a", (gemm.TILE_ROWS, C), torch.int8)
            _, s = scratch("s", (gemm.TILE_ROWS, 2 * N), torch.int16)
            _tiles(features, layer.w, layer.tables[r], a, s, mean, index, begin, end)

        parallel(tiles, H * W, even(H * W, TILED_CHUNK))
        return means, indices

    def chunk(begin: int, end: int) -> None:
        a, a_array = scratch("a", (CHUNK, C), torch.int8)
        _, s = scratch("s", (CHUNK, 2 * N), torch.int16)
        gemm.views(features[begin:end], a_array)
        gemm.s16(a, end - begin, w, bias, mult, r, s[: end - begin])
        _heads(s, mean, index, begin, end)

    parallel(chunk, H * W, CHUNK)
    return means, indices


def launch(x: Tensor, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor, *, out: Outputs | None = None) -> Outputs:
    _check(x, w, bias, mult)
    ops.expect("prior_head: row", row, (1,), torch.int32)
    shape, (means, indices) = (*x.shape[:2], w.shape[0] // 2), out or (None, None)
    means = ops.output("prior_head", means, shape, torch.int16, x.device)
    indices = ops.output("prior_head", indices, shape, torch.uint8, x.device)
    ops.expect_launchable("prior_head", x, w, bias, mult, row, means, indices)
    gpu.run(x, w, bias, mult, row, means, indices)
    return means, indices


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    H, W, C, N, R = case
    x_max = 32767 if fill.pattern in ("corner", "edges") else 1023  # elsewhere within the range of the view
    x = fill((H, W, C), -x_max - 1, x_max, torch.int16)
    w = ops.weights(fill, (2 * N, C))
    bias, mult = ops.tables(fill, R, 2 * N)
    if fill.pattern == "boundary":
        view = ((x.long() + 4) >> 3).clamp(-128, 127)
        ops.on_boundary(bias, mult, R - 1, view.view(H * W, C) @ w.long().T, 31)
    return {"x": x, "w": w, "bias": bias, "mult": mult, "row": torch.tensor([R - 1], dtype=torch.int32)}


def cost(case: Case) -> Cost:
    H, W, C, N, _ = case
    return Cost(bytes=H * W * (2 * C + 3 * N) + 2 * N * C + 16 * N + 4, macs=H * W * C * 2 * N)


prior_head = Kernel(
    name="prior_head",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 2, 1, 1), (1, 1, 64, 32, 128), (17, 33, 40, 24, 128), (3, 5, MAX_C, 3, 128), (16, 17, 128, 128, 1)),
    bench_cases=((23, 40, 128, 320, 128), (45, 80, 128, 320, 128), (68, 120, 128, 320, 128)),
    cost=cost,
)
