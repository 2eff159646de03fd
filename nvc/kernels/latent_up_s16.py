"""De-quantised latents at half resolution, moved up by 2, plus the context: the entrance of the decoder.

    acc1[a, b, m] = sum_k w1[m, k] x16[a, b, k]                                    0 <= m < 4N
    acc2[y, x, n] = sum_c w2[n, c] view(ctx[y, x, c])        view(v) = clamp((v + 4) >> 3, -128, 127)
    t1[a, b, m]   = ((acc1[a, b, m] + bias1[row, m]) * mult1[row, m] + 2^32) >> 33
    t2[y, x, n]   = ((acc2[y, x, n] + bias2[row, n]) * mult2[row, n] + 2^32) >> 33
    out[y, x, n]  = clamp(t1[y >> 1, x >> 1, (2 (y & 1) + (x & 1)) N + n] + t2[y, x, n], -32768, 32767)

The 8-bit products are exact: x16 = 256 hi + lo with hi and lo in -128 .. 127, so acc1 = 256 dot(w1, hi) + dot(w1, lo).

    name    shape       dtype   range
    x16     [H, W, K]   int16   -32640 .. 32639   2 <= K <= 384
    ctx     [h, w, C]   int16   full              s16; 2H - 1 <= h <= 2H, 2W - 1 <= w <= 2W, 2 <= C <= 1024
    w1      [4N, K]     int8    -63 .. 63
    w2      [N, C]      int8    -63 .. 63
    bias1   [R, 4N]     int32   |b| <= 2^26
    mult1   [R, 4N]     int32   0 .. 2^31 - 1
    bias2   [R, N]      int32   |b| <= 2^26
    mult2   [R, N]      int32   0 .. 2^31 - 1
    row     [1]         int32   0 .. R - 1
    out     [h, w, N]   int16   full              s16

Bounds: |acc1| <= 2^15 * 63 * 384, |acc1 + bias1| < 2^30, |acc2| < 2^23, |acc2 + bias2| < 2^27: int32. Products
are below 2^61: int64. |t1| < 2^28, |t2| < 2^25, the sum is below 2^29: int32. `>>` is arithmetic: rounding is half-up.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp16, compiled, high_half, low_half, requant, view
from nvc.kernels._layers import layer16_r32, layer_residual
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vnni import TILE
from nvc.kernels._vnni_inputs import split64, view64
from nvc.kernels.gpu import latent_up_s16 as gpu

MAX_K, MAX_C = 384, 1024
CHUNK = 128  # positions of x16: operands and accumulators of a chunk stay in the level-2 cache
LATENTS = 48  # that tiles work on at a time, with the four positions above each
TILED_CHUNK = 512


def _check(x16: Tensor, ctx: Tensor, w1: Tensor, w2: Tensor, tables: tuple[Tensor, ...]) -> None:
    (H, W, K), (h, w, C), N, R = x16.shape, ctx.shape, w2.shape[0], tables[0].shape[0]
    if not (2 <= K <= MAX_K and 2 <= C <= MAX_C):  # torch._int_mm misreads the transposed weights of one channel
        raise ValueError(f"latent_up_s16: K={K}, C={C} is outside 2..{MAX_K}, 2..{MAX_C}")
    if (h + 1) // 2 != H or (w + 1) // 2 != W:
        raise ValueError(f"latent_up_s16: ctx of {h}x{w} positions does not fit x16 of {H}x{W}")
    ops.expect("latent_up_s16: x16", x16, (H, W, K), torch.int16)
    ops.expect("latent_up_s16: ctx", ctx, (h, w, C), torch.int16)
    ops.expect("latent_up_s16: w1", w1, (4 * N, K), torch.int8)
    ops.expect("latent_up_s16: w2", w2, (N, C), torch.int8)
    for name, table, n in zip(("bias1", "mult1", "bias2", "mult2"), tables, (4 * N, 4 * N, N, N), strict=True):
        ops.expect(f"latent_up_s16: {name}", table, (R, n), torch.int32)


def reference(
    x16: Tensor,
    ctx: Tensor,
    w1: Tensor,
    w2: Tensor,
    bias1: Tensor,
    mult1: Tensor,
    bias2: Tensor,
    mult2: Tensor,
    row: Tensor,
) -> Tensor:
    _check(x16, ctx, w1, w2, (bias1, mult1, bias2, mult2))
    (h, w, _), N, r = ctx.shape, w2.shape[0], ops.row_index("latent_up_s16", row, bias1.shape[0])
    acc1 = x16.long() @ w1.long().T + bias1[r].long()
    acc2 = ((ctx.long() + 4) >> 3).clamp(-128, 127) @ w2.long().T + bias2[r].long()
    assert acc1.abs().max() < 2**30, "the first bound in the header is wrong"
    assert acc2.abs().max() < 2**27, "the second bound in the header is wrong"
    t1 = (acc1 * mult1[r].long() + 2**32) >> 33
    t2 = (acc2 * mult2[r].long() + 2**32) >> 33
    y, x = torch.arange(h)[:, None], torch.arange(w)
    up = t1.reshape(*t1.shape[:2], 4, N)[y >> 1, x >> 1, 2 * (y & 1) + (x & 1)]
    return (up + t2).clamp(-32768, 32767).to(torch.int16)


@compiled
def _split(x16, a, begin, end):
    count = end - begin
    for p in range(count):
        for k in range(x16.shape[1]):
            a[p, k] = high_half(x16[begin + p, k])
        for k in range(x16.shape[1]):
            a[count + p, k] = low_half(x16[begin + p, k])


@compiled
def _gather(ctx, a, begin, end):
    """Views of the four positions above each latent, in the order of acc1; those outside ctx keep what a has."""
    h, w, C = ctx.shape
    W = (w + 1) >> 1
    for p in range(begin, end):
        for i in range(4):
            y, x = 2 * (p // W) + (i >> 1), 2 * (p % W) + (i & 1)
            if y < h and x < w:
                for c in range(C):
                    a[4 * (p - begin) + i, c] = view(ctx[y, x, c])


@compiled
def _join(acc1, acc2, bias1, mult1, bias2, mult2, out, begin, end):
    h, w, N = out.shape
    W, count = (w + 1) >> 1, end - begin
    for p in range(count):
        for i in range(4):
            y, x, first = 2 * ((begin + p) // W) + (i >> 1), 2 * ((begin + p) % W) + (i & 1), i * N
            if y < h and x < w:
                for n in range(N):
                    m = first + n
                    joined = np.int32(acc1[p, m] * np.int32(256) + acc1[count + p, m])
                    t1 = requant(joined, bias1[m], mult1[m])
                    t2 = requant(acc2[4 * p + i, n], bias2[n], mult2[n])
                    out[y, x, n] = clamp16(t1 + t2)


@compiled
def _tiles(x16, ctx, w1, table1, w2, table2, a1, a2, t1, s, out, begin, end):
    h, w, C = ctx.shape
    W, K, N = (w + 1) >> 1, x16.shape[1], out.shape[2]
    for p in range(begin, end, LATENTS):
        n = min(LATENTS, end - p)
        for m in range(n):
            for k in range(0, K, TILE):
                split64(x16, (p + m) * K + k, a1, 2 * m * K + k, (2 * m + 1) * K + k)
        layer16_r32(a1, 0, 2 * K, n, w1, K, table1, 4 * N, t1, 0, 4 * N)
        for m in range(4 * n):
            # positions outside ctx are computed from others and dropped
            y = min(2 * ((p + (m >> 2)) // W) + (m >> 1 & 1), h - 1)
            x = min(2 * ((p + (m >> 2)) % W) + (m & 1), w - 1)
            for c in range(0, C, TILE):
                view64(ctx, (y * w + x) * C + c, a2, m * C + c)
        layer_residual(a2, 0, C, 4 * n, w2, C, table2, N, s, 0, N, t1, 0, N)
        for m in range(4 * n):
            y = 2 * ((p + (m >> 2)) // W) + (m >> 1 & 1)
            x = 2 * ((p + (m >> 2)) % W) + (m & 1)
            if y < h and x < w:
                for c in range(N):
                    out[y, x, c] = s[m, c]


def cpu(
    x16: Tensor,
    ctx: Tensor,
    w1: Tensor,
    w2: Tensor,
    bias1: Tensor,
    mult1: Tensor,
    bias2: Tensor,
    mult2: Tensor,
    row: Tensor,
    *,
    out: Tensor | None = None,
) -> Tensor:
    _check(x16, ctx, w1, w2, (bias1, mult1, bias2, mult2))
    (H, W, K), (h, w, C), N = x16.shape, ctx.shape, w2.shape[0]
    r = ops.row_index("latent_up_s16", row, bias1.shape[0])
    out = ops.output("latent_up_s16", out, (h, w, N), torch.int16, x16.device)
    first, second = (bias1[r].numpy(), mult1[r].numpy()), (bias2[r].numpy(), mult2[r].numpy())
    latents, context, result = x16.reshape(H * W, K).numpy(), ctx.numpy(), out.numpy()

    layers = (
        gemm.prepare("r32", w1, bias1, mult1, split=True),
        gemm.prepare("s16", w2, bias2, mult2, views=C),
    )
    packed = [operand for layer in layers if layer is not None for operand in (layer.w, layer.tables[r])]
    if len(packed) == 2 * len(layers):
        w1_tiles, table1, w2_tiles, table2 = packed

        def tiles(begin: int, end: int) -> None:
            _, halves = scratch("a1", (LATENTS, 2 * K), torch.int8)
            _, views = scratch("a2", (4 * LATENTS, C), torch.int8)
            _, terms = scratch("t1", (LATENTS, 4 * N), torch.int32)
            _, sums = scratch("s", (4 * LATENTS, N), torch.int16)
            rooms = halves, views, terms, sums
            _tiles(latents, context, w1_tiles, table1, w2_tiles, table2, *rooms, result, begin, end)

        parallel(tiles, H * W, even(H * W, TILED_CHUNK))
        return out

    def chunk(begin: int, end: int) -> None:
        a1, a1_array = scratch("a1", (2 * CHUNK, K), torch.int8)
        a2, a2_array = scratch("a2", (4 * CHUNK, C), torch.int8)
        acc1, acc1_array = scratch("acc1", (2 * CHUNK, 4 * N), torch.int32)
        acc2, acc2_array = scratch("acc2", (4 * CHUNK, N), torch.int32)
        halves, quads = 2 * (end - begin), 4 * (end - begin)  # all high bytes, then all low bytes; positions of ctx
        _split(latents, a1_array, begin, end)
        _gather(context, a2_array, begin, end)
        gemm.s32(a1, halves, w1, bias1, mult1, acc1)
        gemm.s32(a2, quads, w2, bias2, mult2, acc2)
        _join(acc1_array, acc2_array, *first, *second, result, begin, end)

    parallel(chunk, H * W, CHUNK)
    return out


def launch(
    x16: Tensor,
    ctx: Tensor,
    w1: Tensor,
    w2: Tensor,
    bias1: Tensor,
    mult1: Tensor,
    bias2: Tensor,
    mult2: Tensor,
    row: Tensor,
    *,
    out: Tensor | None = None,
) -> Tensor:
    _check(x16, ctx, w1, w2, (bias1, mult1, bias2, mult2))
    ops.expect("latent_up_s16: row", row, (1,), torch.int32)
    out = ops.output("latent_up_s16", out, (*ctx.shape[:2], w2.shape[0]), torch.int16, x16.device)
    ops.expect_launchable("latent_up_s16", x16, ctx, w1, w2, bias1, mult1, bias2, mult2, row, out)
    gpu.run(x16, ctx, w1, w2, bias1, mult1, bias2, mult2, row, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    h, w, K, C, N, R = case
    H, W = (h + 1) // 2, (w + 1) // 2
    full = fill.pattern in ("corner", "edges")  # elsewhere mostly small enough not to be limited
    boundary = fill.pattern == "boundary"  # positive and large: the sums grow beyond what a float32 holds
    ctx_max, bias_max, mult_max = (32767, 2**26, 2**31 - 1) if full else (2047, 2**16, 2**26)
    args = {
        "x16": fill((H, W, K), 16384 if boundary else -32640, 32639, torch.int16),
        "ctx": fill((h, w, C), -ctx_max - 1, ctx_max, torch.int16),
        "w1": ops.weights(fill, (4 * N, K)),
        "w2": ops.weights(fill, (N, C)),
        "bias1": fill((R, 4 * N), -bias_max, bias_max, torch.int32),
        "mult1": fill((R, 4 * N), 0, mult_max if full else 2**20, torch.int32),
        "bias2": fill((R, N), -bias_max, bias_max, torch.int32),
        "mult2": fill((R, N), 0, mult_max, torch.int32),
        "row": torch.tensor([R - 1], dtype=torch.int32),
    }
    if boundary:
        # at one position per channel each term lies at a rounding boundary or one below: off by one up or down in
        # either sum changes an output
        m, n = torch.arange(4 * N), torch.arange(N)
        acc1 = (args["x16"].view(H * W, K)[m % (H * W)].long() * args["w1"].long()).sum(1)
        seen = ((args["ctx"].view(h * w, C)[n % (h * w)].long() + 4) >> 3).clamp(-128, 127)
        acc2 = (seen * args["w2"].long()).sum(1)
        args["mult1"][R - 1], args["mult2"][R - 1] = 2**18, 2**20
        args["bias1"][R - 1] = ((2**14 - acc1) & 0x7FFF) - (m & 1)
        args["bias2"][R - 1] = ((2**12 - acc2) & 0x1FFF) - (n & 1) + (n & 2) * 2**23
    return args


def cost(case: Case) -> Cost:
    h, w, K, C, N, _ = case
    positions = (h + 1) // 2 * ((w + 1) // 2)
    return Cost(
        bytes=positions * 2 * K + h * w * 2 * (C + N) + N * (4 * K + C) + 40 * N + 4,
        macs=2 * positions * K * 4 * N + h * w * C * N,
    )


latent_up_s16 = Kernel(
    name="latent_up_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (1, 1, 2, 2, 1, 1),
        (1, 1, 128, 64, 64, 128),
        (17, 33, 24, 40, 20, 128),
        (18, 17, 65, 33, 33, 128),
        (9, 16, MAX_K, 128, 128, 1),
        (2, 3, 8, MAX_C, 4, 128),
    ),
    bench_cases=((46, 80, 320, 128, 128, 128), (90, 160, 320, 128, 128, 128), (136, 240, 320, 128, 128, 128)),
    cost=cost,
)
