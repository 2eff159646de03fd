"""Second checkerboard step: a pointwise convolution corrects the means of the elements that were not coded first.

    A               = view(x) = clamp((x + 4) >> 3, -128, 127)
    acc[y, x, n]    = sum_c w[n, c] A[y, x, c]
    t[y, x, n]      = ((acc[y, x, n] + bias[row, n]) * mult[row, n] + 2^32) >> 33
    out[y, x, n]    = clamp(mean[y, x, n] + t[y, x, n], -32768, 32767)   where ((y + x + (n >= N / 2)) & 1) == 1
                      mean[y, x, n]                                       elsewhere

    name    shape       dtype   range
    x       [H, W, C]   int16   full            s16
    mean    [H, W, N]   int16   full            unit 1/32 quantisation step, N even
    w       [N, C]      int8    -63 .. 63       2 <= C <= 1024
    bias    [R, N]      int32   |b| <= 2^26
    mult    [R, N]      int32   0 .. 2^31 - 1
    row     [1]         int32   0 .. R - 1
    out     [H, W, N]   int16   full

Bounds: |w A| < 2^13, |acc + bias| < 2^27: int32. The product is below 2^58: int64. |t| < 2^25: int32.
`>>` is arithmetic: rounding is half-up for both signs.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp16, compiled, requant
from nvc.kernels._layers import layer_residual
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vnni_inputs import views_of
from nvc.kernels.gpu import refine_mean as gpu

MAX_C = 1024
ROWS = 2  # picture rows of a chunk
TILED_CHUNK = 1024  # positions


def _check(x: Tensor, mean: Tensor, w: Tensor, bias: Tensor, mult: Tensor) -> None:
    (H, W, C), (R, N) = x.shape, bias.shape
    if not 2 <= C <= MAX_C:
        raise ValueError(f"refine_mean: C={C} is outside 2..{MAX_C}; the accumulator bound would not hold")
    if N % 2:
        raise ValueError(f"refine_mean: {N} channels cannot be halved")
    ops.expect("refine_mean: x", x, (H, W, C), torch.int16)
    ops.expect("refine_mean: mean", mean, (H, W, N), torch.int16)
    ops.expect("refine_mean: w", w, (N, C), torch.int8)
    ops.expect("refine_mean: bias", bias, (R, N), torch.int32)
    ops.expect("refine_mean: mult", mult, (R, N), torch.int32)


def reference(x: Tensor, mean: Tensor, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor) -> Tensor:
    _check(x, mean, w, bias, mult)
    (H, W, _), N, r = x.shape, w.shape[0], ops.row_index("refine_mean", row, bias.shape[0])
    acc = ((x.long() + 4) >> 3).clamp(-128, 127) @ w.long().T + bias[r].long()
    assert acc.abs().max() < 2**27, "the bound in the header is wrong"
    t = (acc * mult[r].long() + 2**32) >> 33
    second = (torch.arange(N) >= N // 2).long()
    parity = (torch.arange(H)[:, None, None] + torch.arange(W)[:, None] + second) & 1
    return torch.where(parity == 1, (mean.long() + t).clamp(-32768, 32767), mean.long()).to(torch.int16)


@compiled
def _refine(acc, mean, bias, mult, out, first):
    H, W, N = mean.shape
    half = N // 2
    for i in range(H):
        for j in range(W):
            odd = (first + i + j) & 1
            moved, kept = (0, half) if odd else (half, 0)
            for n in range(moved, moved + half):
                t = requant(acc[i * W + j, n], bias[n], mult[n])
                out[i, j, n] = clamp16(np.int32(mean[i, j, n]) + t)
            for n in range(kept, kept + half):
                out[i, j, n] = mean[i, j, n]


@compiled
def _tiles(x, mean, width, w, table, a, s, out, begin, end):
    C, N = x.shape[1], out.shape[1]
    half = N >> 1
    for first in range(begin, end, gemm.TILE_ROWS):
        count = min(gemm.TILE_ROWS, end - first)
        views_of(x, first * C, a, 0, count * C)
        layer_residual(a, 0, C, count, w, C, table, N, s, 0, N, mean, first * N, N)
        for p in range(first, first + count):
            moved = (p // width + p % width + 1 & 1) * half
            kept = half - moved
            out[p, moved : moved + half] = s[p - first, moved : moved + half]
            out[p, kept : kept + half] = mean[p, kept : kept + half]


def cpu(
    x: Tensor, mean: Tensor, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor, *, out: Tensor | None = None
) -> Tensor:
    _check(x, mean, w, bias, mult)
    (H, W, C), N, r = x.shape, w.shape[0], ops.row_index("refine_mean", row, bias.shape[0])
    out = ops.output("refine_mean", out, (H, W, N), torch.int16, x.device)
    features, means, target = x.numpy(), mean.numpy(), out.numpy()
    tables = bias[r].numpy(), mult[r].numpy()

    if (layer := gemm.prepare("s16", w, bias, mult, views=C)) is not None:
        streams = features.reshape(-1, C), means.reshape(-1, N), W
        result = target.reshape(-1, N)

        def tiles(begin: int, end: int) -> None:
            _, a = scratch("a", (gemm.TILE_ROWS, C), torch.int8)
            _, s = scratch("s", (gemm.TILE_ROWS, N), torch.int16)
            _tiles(*streams, layer.w, layer.tables[r], a, s, result, begin, end)

        parallel(tiles, H * W, even(H * W, TILED_CHUNK))
        return out

    def chunk(begin: int, end: int) -> None:
        a, a_array = scratch("a", (ROWS * W, C), torch.int8)
        acc, acc_array = scratch("acc", (ROWS * W, N), torch.int32)
        n = (end - begin) * W
        gemm.views(features[begin:end].reshape(n, C), a_array)
        gemm.s32(a, n, w, bias, mult, acc)
        _refine(acc_array, means[begin:end], *tables, target[begin:end], begin)

    parallel(chunk, H, ROWS)
    return out


def launch(
    x: Tensor, mean: Tensor, w: Tensor, bias: Tensor, mult: Tensor, row: Tensor, *, out: Tensor | None = None
) -> Tensor:
    _check(x, mean, w, bias, mult)
    ops.expect("refine_mean: row", row, (1,), torch.int32)
    out = ops.output("refine_mean", out, tuple(mean.shape), torch.int16, x.device)
    ops.expect_launchable("refine_mean", x, mean, w, bias, mult, row, out)
    gpu.run(x, mean, w, bias, mult, row, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    H, W, C, N, R = case
    boundary = fill.pattern == "boundary"
    x = fill((H, W, C), 768 if boundary else -32768, 32767, torch.int16)
    mean = fill((H, W, N), -100 if boundary else -32768, 100 if boundary else 32767, torch.int16)
    w = ops.weights(fill, (N, C))
    bias, mult = ops.tables(fill, R, N)
    if boundary:
        acc = ((x.long() + 4) >> 3).clamp(-128, 127).view(H * W, C) @ w.long().T
        ops.on_boundary(bias, mult, R - 1, acc, 500)
    row = torch.tensor([R - 1], dtype=torch.int32)
    return {"x": x, "mean": mean, "w": w, "bias": bias, "mult": mult, "row": row}


def cost(case: Case) -> Cost:
    H, W, C, N, _ = case
    return Cost(bytes=H * W * (2 * C + 4 * N) + N * C + 8 * N, macs=H * W * C * N)


refine_mean = Kernel(
    name="refine_mean",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 2, 2, 1), (17, 33, 40, 24, 128), (3, 5, MAX_C, 6, 128), (16, 17, 128, 128, 1)),
    bench_cases=((23, 40, 128, 320, 128), (45, 80, 128, 320, 128), (68, 120, 128, 320, 128)),
    cost=cost,
)
