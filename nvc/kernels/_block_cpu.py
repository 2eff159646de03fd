"""The cpu twin of block_s16: in tiles where the CPU has the vector instructions, else layer by layer."""

from typing import Any

import numpy as np
import torch

from nvc.kernels import _gemm as gemm
from nvc.kernels._fixed import clamp8, clamp16, compiled, requant, store_u8, view
from nvc.kernels._gemm import TILE_ROWS, prepare
from nvc.kernels._layers import layer_group, layer_residual, layer_u8, layer_viewed
from nvc.kernels._pool import even, parallel, scratch
from nvc.kernels._vnni import TILE
from nvc.kernels._vnni_inputs import depthwise64

CHUNK = 1024  # pixels: accumulators of a chunk stay in the second-level cache


@compiled
def _dw(h, w, bias, mult, sums, d, begin, end):
    H, W, K = h.shape
    for p in range(begin, end):
        y = p // W
        x = p - y * W
        if 0 < y < H - 1 and 0 < x < W - 1:
            for k in range(K):
                top = np.int32(h[y - 1, x - 1, k]) * np.int32(w[0, k]) + np.int32(h[y - 1, x, k]) * np.int32(w[1, k])
                top += np.int32(h[y - 1, x + 1, k]) * np.int32(w[2, k])
                mid = np.int32(h[y, x - 1, k]) * np.int32(w[3, k]) + np.int32(h[y, x, k]) * np.int32(w[4, k])
                mid += np.int32(h[y, x + 1, k]) * np.int32(w[5, k])
                low = np.int32(h[y + 1, x - 1, k]) * np.int32(w[6, k]) + np.int32(h[y + 1, x, k]) * np.int32(w[7, k])
                low += np.int32(h[y + 1, x + 1, k]) * np.int32(w[8, k])
                d[p - begin, k] = clamp8(requant(np.int32(top + mid + low), bias[k], mult[k]))
        else:
            sums[:] = 0
            for t in range(9):
                i = y - 1 + t // 3
                j = x - 1 + t % 3
                if 0 <= i < H and 0 <= j < W:
                    for k in range(K):
                        sums[k] += np.int32(h[i, j, k]) * np.int32(w[t, k])
                else:
                    for k in range(K):
                        sums[k] -= np.int32(w[t, k]) << np.int32(7)
            for k in range(K):
                d[p - begin, k] = clamp8(requant(sums[k], bias[k], mult[k]))


@compiled
def _residual_view(acc, bias, mult, x, x1, a):
    for p in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = clamp16(np.int32(x[p, c]) + requant(acc[p, c], bias[c], mult[c]))
            x1[p, c] = v
            a[p, c] = view(v)


@compiled
def _group(acc, bias, mult, s, n):
    K = mult.shape[0]
    for p in range(n):
        for k in range(K):
            g = np.int32(max(np.int32(acc[p, k] + bias[k]), np.int32(0)))
            g = np.int32(g + max(np.int32(acc[p, K + k] + bias[K + k]), np.int32(0)))
            g = np.int32(g + max(np.int32(acc[p, 2 * K + k] + bias[2 * K + k]), np.int32(0)))
            g = np.int32(g + max(np.int32(acc[p, 3 * K + k] + bias[3 * K + k]), np.int32(0)))
            s[p, k] = store_u8(requant(g, np.int32(0), mult[k]))


@compiled
def _tiles(layers, following, h, x, d, a, x1, out, after, begin, end):
    H, W, K = h.shape
    C = 2 * K
    (w_dw, t_dw), (w_proj, t_proj), (w_up, t_up), (w_down, t_down) = layers
    for p in range(begin, end, TILE_ROWS):
        n = min(TILE_ROWS, end - p)
        done = 0
        while done < n:
            y = (p + done) // W
            z = p + done - y * W
            run = min(n - done, W - z)
            row = y * W * K
            above, below = -1 if y > 0 else 0, -1 if y < H - 1 else 0
            ia, ib = row + above * W * K, row - below * W * K
            for k in range(0, K, TILE):
                depthwise64(
                    h, ia + k, row + k, ib + k, above, below, z, W, K, w_dw, 12 * k, t_dw, k, K, d, done * K + k, K, run
                )
            done += run
        layer_viewed(d, 0, K, n, w_proj, K, t_proj, C, x1, 0, C, x, p * C, C, a, 0, C)
        layer_group(a, 0, C, n, w_up, C, t_up, 2 * C, d, 0, K)
        if following is None:
            layer_residual(d, 0, K, n, w_down, K, t_down, C, out, p * C, C, x1, 0, C)
        else:
            w, table = following
            N = after.shape[1]
            layer_viewed(d, 0, K, n, w_down, K, t_down, C, out, p * C, C, x1, 0, C, a, 0, C)
            layer_u8(a, 0, C, n, w, C, table, N, after, p * N, N)


def run(h, x, dw, proj, up, down, following, out, after):
    """Operands as in the contract, checked; each layer is (weights, bias, multiplier), None for what is not there."""
    H, W, C = x.shape
    K = C >> 1
    hs, xs, os = h.numpy(), x.reshape(-1, C).numpy(), out.view(-1, C).numpy()
    afters: Any = None if after is None else after.view(H * W, -1).numpy()
    rows = even(H * W, CHUNK)
    layers = [
        prepare("depthwise", *dw),
        prepare("s16", *proj),
        prepare("group", *up, views=C),
        prepare("s16", *down),
    ]
    if after is not None:
        layers.append(prepare("u8", *following, views=C))
    packed = tuple((layer.w, layer.tables[0]) for layer in layers if layer is not None)
    if len(packed) == len(layers):

        def tiles(begin, end):
            _, d = scratch("half", (TILE_ROWS, K), torch.int8)
            _, a = scratch("a", (TILE_ROWS, C), torch.int8)
            _, x1 = scratch("x1", (TILE_ROWS, C), torch.int16)
            last = None if after is None else packed[4]
            _tiles(packed[:4], last, hs, xs, d, a, x1, os, afters, begin, end)

        parallel(tiles, H * W, rows)
        return
    t_proj, t_up, t_down = (w.t() for w, _, _ in (proj, up, down))
    rq_dw, rq_proj, rq_up, rq_down = ((b[0].numpy(), m[0].numpy()) for _, b, m in (dw, proj, up, down))
    taps, (w_next, bias_next, mult_next) = dw[0].numpy(), following

    def chunk(begin, end):
        half, half_np = scratch("half", (rows, K), torch.int8)
        a, a_np = scratch("a", (rows, C), torch.int8)
        acc, acc_np = scratch("acc", (rows, C), torch.int32)
        wide, wide_np = scratch("acc", (rows, 2 * C), torch.int32)
        _, x1_np = scratch("x1", (rows, C), torch.int16)
        _, sums_np = scratch("sums", (K,), torch.int32)
        _dw(hs, taps, *rq_dw, sums_np, half_np, begin, end)
        torch._int_mm(half, t_proj, out=acc)
        _residual_view(acc_np, *rq_proj, xs[begin:end], x1_np, a_np)
        torch._int_mm(a, t_up, out=wide)
        _group(wide_np, *rq_up, half_np, end - begin)
        torch._int_mm(half, t_down, out=acc)
        _residual_view(acc_np, *rq_down, x1_np[: end - begin], os[begin:end], a_np)
        if after is not None:
            gemm.u8(a, end - begin, w_next, bias_next, mult_next, 0, afters[begin:end])

    parallel(chunk, H * W, rows)
