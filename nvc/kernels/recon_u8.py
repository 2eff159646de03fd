"""Features to planes: 96 channels per position, each a residual plus a gated prediction, unpacked to 4:2:0.

The first 96 features are residuals already; the product corrects them. Weights of 7 bits that had to pass them on as
well would be too coarse for anything else.

A 16x16 block of an inter frame without symbols, whose vector is whole, is a copy of its prediction: a residual from the
features alone would wear it away, a little in every frame.

    A         = view(x) = clamp((x + 4) >> 3, -128, 127)
    acc[p, n] = sum_c w[n, c] A[p, c]                                              0 <= n < 192
    t[p, n]   = ((acc[p, n] + bias[row, n]) * mult[row, n] + 2^32) >> 33
    r[p, k]   = x[p, k] + clamp(t[p, k], -32768, 32767)                            0 <= k < 96, unit 1/8 grey level
    g[p, k]   = clamp(t[p, 96 + k], 0, 64)                                         unit 1/64
    copied[b] = every q[b, :] is 0 and mv[b, 0] & 3 == mv[b, 1] & 3 == 0
    s[p, k]   = pred[p, k] + 128                                                   where p lies in a copied block
              = clamp((8 r[p, k] + g[p, k] pred[p, k] + 32) >> 6, -128, 127) + 128 elsewhere
    Y[8 a + i, 8 b + j] = s[(a, b), 8 i + j],  U[4 a + i, 4 b + j] = s[(a, b), 64 + 4 i + j],  V the same from 80 on

    name    shape            dtype   range
    x       [h, w, C]        int16   full            s16, 96 <= C <= 1024
    pred    [h, w, 96]       int8    full            pixels - 128
    w       [192, C]         int8    -63 .. 63
    bias    [R, 192]         int32   |b| <= 2^26
    mult    [R, 192]         int32   0 .. 2^31 - 1
    row     [1]              int32   0 .. R - 1
    q       [h/2, w/2, N]    int16   full            symbols of the latents; None in a keyframe, where nothing is copied
    mv      [h/2, w/2, 2]    int16   full            block vectors, quarter pel; None in a keyframe
    Y       [8h, 8w]         uint8   full
    U, V    [4h, 4w]         uint8   full

Bounds: |w A| < 2^13, |acc| < 2^23, |acc + bias| < 2^27: int32. The product is below 2^58: int64. |t| < 2^25,
|8 r + g pred + 32| <= 2^19 + 2^13 + 2^5 < 2^20: int32. `>>` is arithmetic: rounding is half-up for both signs.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _gemm as gemm
from nvc.kernels import _operands as ops
from nvc.kernels._fixed import clamp, clamp8, compiled
from nvc.kernels._layers import layer_s16
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._vector import copy_row
from nvc.kernels._vnni_inputs import views_of
from nvc.kernels.gpu import recon_u8 as gpu

MAX_C = 1024
CHUNK = 256  # positions: operand and accumulators of a chunk stay in the level-2 cache
TILED_CHUNK = 1024

Planes = tuple[Tensor, Tensor, Tensor]


def _check(x: Tensor, pred: Tensor, w: Tensor, bias: Tensor, mult: Tensor, q: Tensor | None, mv: Tensor | None) -> None:
    (H, W, C), R = x.shape, bias.shape[0]
    if not 96 <= C <= MAX_C:
        raise ValueError(f"recon_u8: C={C} is outside 96..{MAX_C}")
    ops.expect("recon_u8: x", x, (H, W, C), torch.int16)
    ops.expect("recon_u8: pred", pred, (H, W, 96), torch.int8)
    ops.expect("recon_u8: w", w, (192, C), torch.int8)
    ops.expect("recon_u8: bias", bias, (R, 192), torch.int32)
    ops.expect("recon_u8: mult", mult, (R, 192), torch.int32)
    if (q is None) != (mv is None):
        raise ValueError("recon_u8: symbols and vectors come together")
    if q is not None and mv is not None:
        if H & 1 or W & 1:
            raise ValueError(f"recon_u8: {H}x{W} positions are not whole blocks")
        ops.expect("recon_u8: q", q, (H // 2, W // 2, q.shape[-1]), torch.int16)
        ops.expect("recon_u8: mv", mv, (H // 2, W // 2, 2), torch.int16)


def reference(
    x: Tensor,
    pred: Tensor,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    q: Tensor | None,
    mv: Tensor | None,
) -> Planes:
    _check(x, pred, w, bias, mult, q, mv)
    (H, W, _), k = x.shape, ops.row_index("recon_u8", row, bias.shape[0])
    acc = ((x.long() + 4) >> 3).clamp(-128, 127) @ w.long().T + bias[k].long()
    assert acc.abs().max() < 2**27, "the bound in the header is wrong"
    t = (acc * mult[k].long() + 2**32) >> 33
    r, g = x[..., :96].long() + t[..., :96].clamp(-32768, 32767), t[..., 96:].clamp(0, 64)
    s = ((8 * r + g * pred.long() + 32) >> 6).clamp(-128, 127) + 128
    if q is not None and mv is not None:
        copied = (q == 0).all(2) & (mv & 3 == 0).all(2)
        copied = copied.repeat_interleave(2, 0).repeat_interleave(2, 1)
        s = torch.where(copied[..., None], pred.long() + 128, s)
    y = s[..., :64].reshape(H, W, 8, 8).permute(0, 2, 1, 3).reshape(8 * H, 8 * W)
    u = s[..., 64:80].reshape(H, W, 4, 4).permute(0, 2, 1, 3).reshape(4 * H, 4 * W)
    v = s[..., 80:].reshape(H, W, 4, 4).permute(0, 2, 1, 3).reshape(4 * H, 4 * W)
    return y.to(torch.uint8), u.to(torch.uint8), v.to(torch.uint8)


@compiled
def _is_copied(q, mv, a, b):
    symbols = np.int16(0)
    for n in range(q.shape[2]):
        symbols |= q[a, b, n]
    return symbols == 0 and (mv[a, b, 0] | mv[a, b, 1]) & 3 == 0


@compiled
def _pixels(x, rg, pred, w, q, mv, row, s, begin, end):
    for p in range(begin, end):
        copy_row(pred, p, row, 0, 96)
        if len(mv) and _is_copied(q, mv, (p // w) >> 1, (p % w) >> 1):
            for k in range(96):
                s[p - begin, k] = np.uint8(row[k]) ^ np.uint8(128)
            continue
        for k in range(96):
            r = np.int32(np.int32(x[p, k]) + np.int32(rg[p - begin, k]))
            g = clamp(rg[p - begin, 96 + k], 0, 64)
            v = np.int32(np.int32(8) * r + g * np.int32(row[k]) + np.int32(32)) >> np.int32(6)
            s[p - begin, k] = np.uint8(clamp8(v)) ^ np.uint8(128)


@compiled
def _unpack(s, y, u, v, begin, end):
    w = y.shape[1] >> 3
    a, b = begin // w, begin % w
    p = 0
    while p < end - begin:
        run = min(w - b, end - begin - p)  # positions left in this row of blocks
        for i in range(8):
            for c in range(run):
                for j in range(8):
                    y[8 * a + i, 8 * (b + c) + j] = s[p + c, 8 * i + j]
        for i in range(4):
            for c in range(run):
                for j in range(4):
                    u[4 * a + i, 4 * (b + c) + j] = s[p + c, 64 + 4 * i + j]
            for c in range(run):
                for j in range(4):
                    v[4 * a + i, 4 * (b + c) + j] = s[p + c, 80 + 4 * i + j]
        p += run
        a, b = a + 1, 0


@compiled
def _tiles(x, w, table, pred, width, q, mv, a, rg, row, s, y, u, v, begin, end):
    C = x.shape[1]
    for p in range(begin, end, gemm.TILE_ROWS):
        n = min(gemm.TILE_ROWS, end - p)
        views_of(x, p * C, a, 0, n * C)
        layer_s16(a, 0, C, n, w, C, table, 192, rg, 0, 192)
        _pixels(x, rg, pred, width, q, mv, row, s, p, p + n)
        _unpack(s, y, u, v, p, p + n)


_NONE = np.zeros((0, 0, 0), np.int16)


def cpu(
    x: Tensor,
    pred: Tensor,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    q: Tensor | None,
    mv: Tensor | None,
    *,
    out: Planes | None = None,
) -> Planes:
    _check(x, pred, w, bias, mult, q, mv)
    (H, W, C), r = x.shape, ops.row_index("recon_u8", row, bias.shape[0])
    y, u, v = out or (None, None, None)
    y = ops.output("recon_u8", y, (8 * H, 8 * W), torch.uint8, x.device)
    u = ops.output("recon_u8", u, (4 * H, 4 * W), torch.uint8, x.device)
    v = ops.output("recon_u8", v, (4 * H, 4 * W), torch.uint8, x.device)
    planes = y.numpy(), u.numpy(), v.numpy()
    features, predicted = x.reshape(H * W, C).numpy(), pred.reshape(H * W, 96).numpy()
    symbols, vectors = (_NONE if t is None else t.numpy() for t in (q, mv))

    if (layer := gemm.prepare("s16", w, bias, mult, views=C)) is not None:

        def tiles(begin: int, end: int) -> None:
            _, a = scratch("a", (gemm.TILE_ROWS, C), torch.int8)
            _, rg = scratch("rg", (gemm.TILE_ROWS, 192), torch.int16)
            rooms = a, rg, scratch("row", (96,), torch.int8)[1], scratch("s", (gemm.TILE_ROWS, 96), torch.uint8)[1]
            pictures = predicted, W, symbols, vectors
            _tiles(features, layer.w, layer.tables[r], *pictures, *rooms, *planes, begin, end)

        parallel(tiles, H * W, even(H * W, TILED_CHUNK))
        return y, u, v

    def chunk(begin: int, end: int) -> None:
        a, a_array = scratch("a", (CHUNK, C), torch.int8)
        _, rg = scratch("rg", (CHUNK, 192), torch.int16)
        _, s = scratch("s", (CHUNK, 96), torch.uint8)
        gemm.views(features[begin:end], a_array)
        gemm.s16(a, end - begin, w, bias, mult, r, rg[: end - begin])
        _pixels(features, rg, predicted, W, symbols, vectors, scratch("row", (96,), torch.int8)[1], s, begin, end)
        _unpack(s, *planes, begin, end)

    parallel(chunk, H * W, CHUNK)
    return y, u, v


def launch(
    x: Tensor,
    pred: Tensor,
    w: Tensor,
    bias: Tensor,
    mult: Tensor,
    row: Tensor,
    q: Tensor | None,
    mv: Tensor | None,
    *,
    out: Planes | None = None,
) -> Planes:
    _check(x, pred, w, bias, mult, q, mv)
    ops.expect("recon_u8: row", row, (1,), torch.int32)
    if pred.stride(2) != 1 or pred.device != x.device:
        raise ValueError(f"recon_u8: pred has strides {pred.stride()} on {pred.device}, x is on {x.device}")
    H, W, _ = x.shape
    y, u, v = out or (None, None, None)
    y = ops.output("recon_u8", y, (8 * H, 8 * W), torch.uint8, x.device)
    u = ops.output("recon_u8", u, (4 * H, 4 * W), torch.uint8, x.device)
    v = ops.output("recon_u8", v, (4 * H, 4 * W), torch.uint8, x.device)
    ops.expect_launchable("recon_u8", x, w, bias, mult, row, q, mv, y, u, v)
    gpu.run(x, pred, w, bias, mult, row, q, mv, y, u, v)
    return y, u, v


def make(case: Case, fill: Fill) -> dict[str, Any]:
    H, W, C, R, slack, N = case  # slack: pred is a slice of a buffer with that many more channels; N = 0: a keyframe
    x_max = 32767 if fill.pattern in ("corner", "edges") else 1023  # elsewhere within the range of the view
    x = fill((H, W, C), -x_max - 1, x_max, torch.int16)
    pred = fill((H, W, 96 + slack), -128, 127, torch.int8)[:, :, slack:]
    w = ops.weights(fill, (192, C))
    bias, mult = ops.tables(fill, R, 192)
    if fill.pattern == "boundary":
        # at one position per channel r lies beside the first value of a grey level and g beside 33; pred is large
        # enough to show a step of g: off by one in either sum changes a pixel, up for even and down for odd channels
        k = torch.arange(96)
        p, odd = k % (H * W), k & 1
        pred.view(H * W, 96)[p, k] |= 8
        pred.view(H * W, 96)[p, k] &= 127
        acc = ((x.long() + 4) >> 3).clamp(-128, 127).view(H * W, C) @ w.long().T
        first = (64 * 5 - 32 - (32 + odd) * pred.view(H * W, 96)[p, k].long() + 3) >> 2
        first -= x.view(H * W, C)[p, k].long()
        ops.on_boundary(bias[:, :96], mult[:, :96], R - 1, acc[:, :96], first)
        ops.on_boundary(bias[:, 96:], mult[:, 96:], R - 1, acc[:, 96:], 33)
    q = mv = None
    if N:  # every second block with symbols, in its last channel alone; every third with a vector that is not whole
        b = torch.arange(H * W // 4).view(H // 2, W // 2)
        q = torch.zeros((H // 2, W // 2, N), dtype=torch.int16)
        mv = fill((H // 2, W // 2, 2), -2047, 2047, torch.int16)
        q[b % 2 == 1, N - 1] = fill((H * W // 4,), -32768, 32767, torch.int16)[: int((b % 2).sum())]
        mv &= torch.where(b % 3 == 2, -1, -4)[..., None].to(torch.int16)
    args = {"x": x, "pred": pred, "w": w, "bias": bias, "mult": mult}
    return args | {"row": torch.tensor([R - 1], dtype=torch.int32), "q": q, "mv": mv}


def cost(case: Case) -> Cost:
    H, W, C, _, _, N = case
    blocks = H * W // 4 * (2 * N + 4) if N else 0
    return Cost(bytes=H * W * (2 * C + 2 * 96) + blocks + 192 * C + 8 * 192 + 4, macs=H * W * C * 192)


recon_u8 = Kernel(
    name="recon_u8",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (1, 1, 96, 1, 0, 0),
        (2, 2, 128, 128, 96, 1),
        (7, 5, 97, 128, 0, 0),
        (17, 33, 128, 128, 96, 0),
        (18, 34, 128, 128, 96, 130),
        (2, 6, MAX_C, 1, 0, 320),
    ),
    bench_cases=((46, 80, 128, 128, 96, 320), (90, 160, 128, 128, 96, 320), (136, 240, 128, 128, 96, 320)),
    cost=cost,
)
