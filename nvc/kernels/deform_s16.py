"""Modulated deformable 3x3 convolution over several supports: sampling and convolution in one.

    Y, fy = y + t / 3 - 1 + (dy >> 4), dy & 15      (dy, dx) = offset[y, x, n, g, t]      t = 0..8, t / 3 rounded down
    X, fx = x + t % 3 - 1 + (dx >> 4), dx & 15      g = c / (C / G), rounded down
    S = (16 - fy) (16 - fx) in[n, Y, X, c]     + (16 - fy) fx in[n, Y, X + 1, c]
      +       fy  (16 - fx) in[n, Y + 1, X, c] +       fy  fx in[n, Y + 1, X + 1, c]
    A[y, x, k]   = clamp((mask[y, x, n, g, t] S + 2^17) >> 18, -128, 127)                 k = (9 n + t) C + c
    acc[y, x, m] = sum_k A[y, x, k] w[m, k]
    out[y, x, m] = clamp(((acc + bias[m]) * mult[m] + 2^32) >> 33, -32768, 32767)

    name    shape                 dtype   range
    x       [N, H, W, C]          int16   full; `in` above, coordinates clamped to 0 .. H-1 and 0 .. W-1
    offset  [H, W, N, G, 9, 2]    int16   full; (dy, dx) in sixteenths of a position; C a multiple of G
    mask    [H, W, N, G, 9]       uint8   full; 128 is one, so 0 .. 255/128
    w       [M, 9 N C]            int8    -63 .. 63
    bias    [1, M]                int32   |b| <= 2^26
    mult    [1, M]                int32   0 .. 2^31-1
    out     [H, W, M]             int16   full

Bounds (9 N C <= 4608, and H, W < 2^16, checked; the others by the exporter):
    |Y|, |X| <= 2^16 + 2^11 + 2                                    -> int32 coordinates; clamped, so any offset is legal
    the weights of S are >= 0 and sum to 2^8: |S| <= 2^23; times the mask, in any order of the products,
    at most 255 * 2^23 = 2^31 - 2^23, plus 2^17          < 2^31    -> int32 sum
    |A w| < 2^13, |acc| <= 4608 * 128 * 63 < 2^26, |acc + bias| < 2^27      -> int32 accumulator
    |(acc + bias) mult| < 2^58, plus 2^32                          < 2^59   -> int64 product
`>>` is arithmetic: half-up rounding for both signs. A sample is rounded once: offset 0 and mask 128 give the 8-bit view
of the stream, clamp((x + 4) >> 3, -128, 127), exactly.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp, clamp8, compiled
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import deform_s16 as gpu

MAX_K, MAX_SIDE = 4608, 2**16 - 1
CHUNK = 48  # pixels: at K = 2304 their 110 KB of samples stay in the second-level cache


def _check(x, offset, mask, w, bias, mult):
    (N, H, W, C), M, G = x.shape, w.shape[0], mask.shape[3]
    if min(N, H, W, C, G) < 1 or C % G or max(H, W) > MAX_SIDE:
        raise ValueError(f"deform_s16: {N} supports of {H}x{W}x{C} can't be sampled in {G} groups of channels")
    if 9 * N * C > MAX_K:
        raise ValueError(f"deform_s16: 9NC={9 * N * C} is above {MAX_K}; the accumulator bound would not hold")
    ops.expect("deform_s16: x", x, (N, H, W, C), torch.int16)
    ops.expect("deform_s16: offset", offset, (H, W, N, G, 9, 2), torch.int16)
    ops.expect("deform_s16: mask", mask, (H, W, N, G, 9), torch.uint8)
    ops.expect("deform_s16: w", w, (M, 9 * N * C), torch.int8)
    ops.expect("deform_s16: bias", bias, (1, M), torch.int32)
    ops.expect("deform_s16: mult", mult, (1, M), torch.int32)


def _samples(x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    """int64 A of the header, [H, W, 9 N C]."""
    (N, H, W, C), G = x.shape, mask.shape[3]
    t = torch.arange(9)
    whole, f, m = offset.long() >> 4, (offset.long() & 15)[..., None], mask.long()[..., None]
    Y = torch.arange(H).view(H, 1, 1, 1, 1) + t // 3 - 1 + whole[..., 0]  # [H, W, N, G, 9]
    X = torch.arange(W).view(1, W, 1, 1, 1) + t % 3 - 1 + whole[..., 1]
    n, g = torch.arange(N).view(N, 1, 1), torch.arange(G).view(G, 1)
    streams, S = x.long().view(N, H, W, G, C // G), torch.zeros(1, dtype=torch.int64)
    for i, wy in enumerate((16 - f[..., 0, :], f[..., 0, :])):
        for j, wx in enumerate((16 - f[..., 1, :], f[..., 1, :])):
            S = S + wy * wx * streams[n, (Y + i).clamp(0, H - 1), (X + j).clamp(0, W - 1), g]
    assert (m * S).abs().max() + 2**17 < 2**31
    a = ((m * S + 2**17) >> 18).clamp(-128, 127)  # [H, W, N, G, 9, C / G]
    return a.transpose(3, 4).reshape(H, W, 9 * N * C)


def reference(x: Tensor, offset: Tensor, mask: Tensor, w: Tensor, bias: Tensor, mult: Tensor) -> Tensor:
    _check(x, offset, mask, w, bias, mult)
    acc = _samples(x, offset, mask) @ w.long().T
    assert acc.abs().max() < 2**26
    assert (acc + bias).abs().max() < 2**27
    v = ((acc + bias.long()) * mult.long() + 2**32) >> 33
    return v.clamp(-32768, 32767).to(torch.int16)


@compiled
def _sample(x, offset, mask, a, shape, begin, end):
    """Rows begin..end of A. Flat: x [N H W, C], offset [H W, N, G, 9, 2], mask [H W, N, G, 9]; shape = (H, W)."""
    (H, W), C, (N, G) = shape, x.shape[1], mask.shape[1:3]
    width = C // G
    for p in range(begin, end):
        y = p // W
        z = p - y * W
        for n in range(N):
            for g in range(G):
                for t in range(9):
                    dy, dx = np.int32(offset[p, n, g, t, 0]), np.int32(offset[p, n, g, t, 1])
                    top, left = y + t // 3 - 1 + (dy >> 4), z + t % 3 - 1 + (dx >> 4)
                    row, below = n * H + clamp(top, 0, H - 1), n * H + clamp(top + 1, 0, H - 1)
                    column, beside = clamp(left, 0, W - 1), clamp(left + 1, 0, W - 1)
                    m, fy, fx = np.int32(mask[p, n, g, t]), dy & 15, dx & 15
                    wa, wb = np.int32(m * (16 - fy) * (16 - fx)), np.int32(m * (16 - fy) * fx)
                    wc, wd = np.int32(m * fy * (16 - fx)), np.int32(m * fy * fx)
                    first = g * width
                    xa, xb = x[row * W + column, first:], x[row * W + beside, first:]
                    xc, xd = x[below * W + column, first:], x[below * W + beside, first:]
                    to = a[p - begin, (9 * n + t) * C + first :]
                    for c in range(width):
                        upper = np.int32(np.int32(xa[c]) * wa) + np.int32(np.int32(xb[c]) * wb)
                        lower = np.int32(np.int32(xc[c]) * wc) + np.int32(np.int32(xd[c]) * wd)
                        to[c] = clamp8(np.int32(np.int32(upper + lower) + np.int32(2**17)) >> np.int32(18))


def cpu(
    x: Tensor, offset: Tensor, mask: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None
) -> Tensor:
    _check(x, offset, mask, w, bias, mult)
    (_, H, W, C), (M, K) = x.shape, w.shape
    out = ops.output("deform_s16", out, (H, W, M), torch.int16, x.device)
    xs, offsets, masks = x.reshape(-1, C).numpy(), offset.flatten(0, 1).numpy(), mask.flatten(0, 1).numpy()
    os, rows = out.view(-1, M).numpy(), even(H * W, CHUNK)

    def chunk(begin, end):
        a, a_np = scratch("a", (rows, K), torch.int8)
        _sample(xs, offsets, masks, a_np, (H, W), begin, end)
        gemm.s16(a, end - begin, w, bias, mult, 0, os[begin:end])

    parallel(chunk, H * W, rows)
    return out


def launch(
    x: Tensor, offset: Tensor, mask: Tensor, w: Tensor, bias: Tensor, mult: Tensor, *, out: Tensor | None = None
) -> Tensor:
    _check(x, offset, mask, w, bias, mult)
    out = ops.output("deform_s16", out, (*x.shape[1:3], w.shape[0]), torch.int16, x.device)
    ops.expect_launchable("deform_s16", x, offset, mask, w, bias, mult, out)
    gpu.run(x, offset, mask, w, bias, mult, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    """`uniform`: half of the offsets short, or nearly all would point outside. `boundary`: every pair of phases."""
    N, H, W, C, G, M = case
    x = ops.stream(fill, (N * H, W, C)).view(N, H, W, C)
    offset = fill((H, W, N, G, 9, 2), -32768, 32767, torch.int16)
    mask = fill((H, W, N, G, 9), 0, 255, torch.uint8)
    w = ops.weights(fill, (M, 9 * N * C))
    bias, mult = ops.tables(fill, 1, M)
    match fill.pattern:
        case "uniform":
            offset[..., ::2, :] >>= 9
        case "boundary":
            phase = torch.arange(mask.numel()).view(mask.shape)
            phases = torch.stack((phase, phase >> 4), -1) & 15
            offset = (phases + 16 * fill(offset.shape, -2, 1, torch.int64)).short()
            mask = fill(mask.shape, 96, 128, torch.uint8)
            acc = _samples(x, offset, mask).flatten(0, 1) @ w.long().T
            ops.on_boundary(bias, mult, 0, acc, -1000)
    return {"x": x, "offset": offset, "mask": mask, "w": w, "bias": bias, "mult": mult}


def cost(case: Case) -> Cost:
    N, H, W, C, G, M = case
    K = 9 * N * C
    return Cost(bytes=H * W * (2 * N * C + 45 * N * G + 2 * M) + M * K + 8 * M, macs=H * W * K * (M + 4))


deform_s16 = Kernel(
    name="deform_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (1, 1, 1, 1, 1, 1),
        (1, 2, 3, 4, 1, 300),
        (1, 9, 11, 15, 3, 17),
        (1, 1, 2, 80, 1, 3),
        (1, 2, 2, 96, 6, 5),
        (3, 7, 8, 64, 4, 64),
        (2, 3, 9, 32, 8, 128),
        (4, 3, 5, MAX_K // 36, 8, 40),
    ),
    bench_cases=((2, 45, 80, 128, 8, 128), (2, 90, 160, 128, 8, 128), (2, 135, 240, 256, 8, 256)),
    cost=cost,
)
