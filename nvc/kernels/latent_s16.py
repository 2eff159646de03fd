"""De-quantised latents into a residual stream: a pointwise convolution of 16-bit values, added to the stream.

    acc[y, x, n] = sum_k w[n, k] x16[y, x, k]
    out[y, x, n] = clamp(res[y, x, n] + (((acc[y, x, n] + bias[0, n]) * mult[0, n] + 2^32) >> 33), -32768, 32767)

The 8-bit products are exact: x16 = 256 hi + lo with hi and lo in -128 .. 127, hence acc = 256 dot(w, hi) + dot(w, lo).

    name    shape       dtype   range
    x16     [H, W, K]   int16   -32640 .. 32639   2 <= K <= 384
    res     [H, W, N]   int16   full              s16
    w       [N, K]      int8    -63 .. 63
    bias    [1, N]      int32   |b| <= 2^26
    mult    [1, N]      int32   0 .. 2^31 - 1
    out     [H, W, N]   int16   full              s16

Bounds: |acc| <= 2^15 * 63 * 384, |acc + bias| < 2^30: int32. The product is below 2^61: int64. The shifted value
is below 2^28, with res below 2^29: int32. `>>` is arithmetic: rounding is half-up for both signs.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp16, compiled, high_half, low_half, requant
from nvc.kernels._layers import layer16_residual
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vnni import TILE
from nvc.kernels._vnni_inputs import split64
from nvc.kernels.gpu import latent_s16 as gpu

MAX_K = 384
CHUNK = 256  # positions: operand and accumulators of a chunk stay in the level-2 cache


def _check(x16: Tensor, res: Tensor, w: Tensor, bias: Tensor, mult: Tensor) -> None:
    (H, W, K), N = x16.shape, w.shape[0]
    if not 2 <= K <= MAX_K:  # torch._int_mm misreads the transposed weights of one channel
        raise ValueError(f"latent_s16: K={K} is outside 2..{MAX_K}")
    ops.expect("latent_s16: x16", x16, (H, W, K), torch.int16)
    ops.expect("latent_s16: res", res, (H, W, N), torch.int16)
    ops.expect("latent_s16: w", w, (N, K), torch.int8)
    ops.expect("latent_s16: bias", bias, (1, N), torch.int32)
    ops.expect("latent_s16: mult", mult, (1, N), torch.int32)


def reference(x16: Tensor, res: Tensor, w: Tensor, bias: Tensor, mult: Tensor) -> Tensor:
    _check(x16, res, w, bias, mult)
    acc = x16.long() @ w.long().T + bias[0].long()
    assert acc.abs().max() < 2**30, "the bound in the header is wrong"
    r = (acc * mult[0].long() + 2**32) >> 33
    return (res.long() + r).clamp(-32768, 32767).to(torch.int16)


@compiled
def _split(x16, a, begin, end):
    count = end - begin
    for p in range(count):
        for k in range(x16.shape[1]):
            a[p, k] = high_half(x16[begin + p, k])
        for k in range(x16.shape[1]):
            a[count + p, k] = low_half(x16[begin + p, k])


@compiled
def _add(acc, bias, mult, res, out, begin, end):
    count = end - begin
    for p in range(count):
        for n in range(out.shape[1]):
            joined = np.int32(acc[p, n] * np.int32(256) + acc[count + p, n])
            out[begin + p, n] = clamp16(np.int32(res[begin + p, n]) + requant(joined, bias[n], mult[n]))


@compiled
def _tiles(x16, res, w, table, a, out, begin, end):
    K, N = x16.shape[1], out.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        for m in range(n):
            for k in range(0, K, TILE):
                split64(x16, (p + m) * K + k, a, 2 * m * K + k, (2 * m + 1) * K + k)
        layer16_residual(a, 0, 2 * K, n, w, K, table, N, out, p * N, N, res, p * N, N)


def cpu(x16: Tensor, res: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x16, res, w, bias, mult)
    (H, W, K), N = x16.shape, w.shape[0]
    out = ops.output("latent_s16", out, (H, W, N), torch.int16, x16.device)
    latents, stream = x16.reshape(H * W, K).numpy(), res.reshape(H * W, N).numpy()
    table, result = (bias[0].numpy(), mult[0].numpy()), out.view(H * W, N).numpy()

    if (layer := gemm.prepare("s16", w, bias, mult, split=True)) is not None:

        def tiles(begin: int, end: int) -> None:
            _, a = scratch("a", (gemm.TILE_ROWS, 2 * K), torch.int8)
            _tiles(latents, stream, layer.w, layer.tables[0], a, result, begin, end)

        parallel(tiles, H * W, even(H * W, CHUNK))
        return out

    def chunk(begin: int, end: int) -> None:
        a, a_array = scratch("a", (2 * CHUNK, K), torch.int8)
        acc, acc_array = scratch("acc", (2 * CHUNK, N), torch.int32)
        halves = 2 * (end - begin)  # rows of high bytes, then rows of low bytes
        _split(latents, a_array, begin, end)
        gemm.s32(a, halves, w, bias, mult, acc)
        _add(acc_array, *table, stream, result, begin, end)

    parallel(chunk, H * W, CHUNK)
    return out


def launch(x16: Tensor, res: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(x16, res, w, bias, mult)
    out = ops.output("latent_s16", out, tuple(res.shape), torch.int16, x16.device)
    ops.expect_launchable("latent_s16", x16, res, w, bias, mult, out)
    gpu.run(x16, res, w, bias, mult, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    H, W, K, N = case
    full = fill.pattern in ("corner", "edges")  # elsewhere mostly small enough not to be limited
    boundary = fill.pattern == "boundary"  # positive and large: the sums grow beyond what a float32 holds
    bias_max, mult_max = (2**26, 2**31 - 1) if full else (2**20, 2**21)
    args = {
        "x16": fill((H, W, K), 16384 if boundary else -32640, 32639, torch.int16),
        "res": fill((H, W, N), -32768 if full else -8192, 32767 if full else 8191, torch.int16),
        "w": ops.weights(fill, (N, K)),
        "bias": fill((1, N), -bias_max, bias_max, torch.int32),
        "mult": fill((1, N), 0, mult_max, torch.int32),
    }
    if boundary:
        # one position per channel lies at a rounding boundary or one below: off by one up or down changes an output
        n = torch.arange(N)
        acc = (args["x16"].reshape(H * W, K)[n % (H * W)].long() * args["w"].long()).sum(1)
        args["mult"][0] = 2**18
        args["bias"][0] = ((2**14 - acc) & 0x7FFF) - (n & 1)
    return args


def cost(case: Case) -> Cost:
    H, W, K, N = case
    return Cost(bytes=H * W * (2 * K + 4 * N) + N * K + 8 * N, macs=2 * H * W * K * N)


latent_s16 = Kernel(
    name="latent_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 2, 1), (1, 1, 128, 64), (17, 33, 24, 40), (16, 17, MAX_K, 128), (3, 5, 65, 33)),
    bench_cases=((23, 40, 320, 128), (45, 80, 320, 128), (68, 120, 320, 128)),
    cost=cost,
)
