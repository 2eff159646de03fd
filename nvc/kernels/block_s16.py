"""Second half of a block: depthwise 3x3, pointwise, residual; then a gated-sum feed-forward with its residual. And, if
there is one, the pointwise layer that reads the stream next, as `conv1x1_u8` would: the first half of the next block.

With K = C / 2, view(v) = clamp((v + 4) >> 3, -128, 127) and rq(acc, n) = ((acc + bias[n]) * mult[n] + 2^32) >> 33:

    d[p, k]   = clamp(rq_dw(sum_t h[p + tap t, k] * w_dw[t, k]), -128, 127)      t = 3 dy + dx; h = -128 outside
    x1[p, c]  = clamp16(x[p, c] + rq_proj(sum_k d[p, k] * w_proj[c, k]))
    g[p, j]   = sum_c view(x1[p, c]) * w_up[j, c] + bias_up[j]
    s[p, k]   = clamp((sum_i max(g[p, i K + k], 0) * mult_up[k] + 2^32) >> 33, 0, 255) - 128      i = 0..3
    out[p, c] = clamp16(x1[p, c] + rq_down(sum_k s[p, k] * w_down[c, k]))
    next[p, n] = clamp(rq_next(sum_c view(out[p, c]) * w_next[n, c]), 0, 255) - 128

    name       shape        dtype   range
    h          [H, W, K]    int8    full, u - 128
    x          [H, W, C]    int16   full
    w_dw       [9, K]       int8    -63 .. 63
    bias_dw    [1, K]       int32   |b| <= 2^26
    mult_dw    [1, K]       int32   0 .. 2^31-1
    w_proj     [C, K]       int8    -63 .. 63;   bias_proj, mult_proj [1, C] as above
    w_up       [2 C, C]     int8    -63 .. 63;   bias_up [1, 2 C], mult_up [1, K] as above
    w_down     [C, K]       int8    -63 .. 63;   bias_down, mult_down [1, C] as above
    w_next     [N, C]       int8    -63 .. 63;   bias_next, mult_next [1, N] as above; or all three None
    -> out     [H, W, C]    int16   full; may be x itself
       next    [H, W, N]    int8    full; not h: a pair with `out`, which is the result alone without w_next

Bounds (C even, C <= 256, checked; the others by the exporter):
    |d w|, |view w|, |s w| < 2^13, |sum| < 2^23, |sum + bias| < 2^27     -> int32 accumulators
    0 <= sum_i max(g, 0) < 2^29, times mult < 2^60, plus 2^32            -> int64 product
    |rq| <= 2^25, |x + rq| < 2^26                                        -> int32 residual sums
`>>` is arithmetic: half-up rounding for both signs.
"""

import torch
from torch import Tensor

from nvc.kernels import _block_cpu
from nvc.kernels import _operands as ops
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.conv1x1_u8 import conv1x1_u8
from nvc.kernels.gpu import block_s16 as gpu

MAX_C = 256


def _check(h, x, dw, proj, up, down, following):
    H, W, C = x.shape
    K = C >> 1
    if C & 1 or not 4 <= C <= MAX_C:
        raise ValueError(f"block_s16: C={C} is odd or outside 4..{MAX_C}; the accumulator bounds would not hold")
    ops.expect("block_s16: h", h, (H, W, K), torch.int8)
    ops.expect("block_s16: x", x, (H, W, C), torch.int16)
    sizes = [
        ("dw", dw, (9, K), K, K),
        ("proj", proj, (C, K), C, C),
        ("up", up, (2 * C, C), 2 * C, K),
        ("down", down, (C, K), C, C),
    ]
    if len({t is None for t in following}) > 1:
        raise ValueError("block_s16: w_next, bias_next and mult_next come together")
    if following[0] is not None:
        N = following[0].shape[0]
        sizes.append(("next", following, (N, C), N, N))
    for layer, (w, bias, mult), shape, n_bias, n_mult in sizes:
        ops.expect(f"block_s16: w_{layer}", w, shape, torch.int8)
        ops.expect(f"block_s16: bias_{layer}", bias, (1, n_bias), torch.int32)
        ops.expect(f"block_s16: mult_{layer}", mult, (1, n_mult), torch.int32)


def _outputs(
    x: Tensor, w_next: Tensor | None, out: Tensor | tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor | None]:
    """(stream, what the next layer makes of it or None)."""
    stream, after = out if isinstance(out, tuple) else (out, None)
    stream = ops.output("block_s16", stream, tuple(x.shape), torch.int16, x.device)
    if w_next is not None:
        after = ops.output("block_s16", after, (*x.shape[:2], len(w_next)), torch.int8, x.device)
    return stream, after


def _rq(acc: Tensor, bias: Tensor, mult: Tensor) -> Tensor:
    assert acc.abs().max() < 2**23
    assert (acc + bias).abs().max() < 2**27
    return ((acc + bias.long()) * mult.long() + 2**32) >> 33


def _taps(h: Tensor, w: Tensor) -> Tensor:
    """int64 [H, W, K]: sums of the depthwise layer."""
    H, W, K = h.shape
    padded = torch.full((H + 2, W + 2, K), -128, dtype=torch.int64)
    padded[1:-1, 1:-1] = h
    taps = [padded[dy : dy + H, dx : dx + W] * w[3 * dy + dx].long() for dy in range(3) for dx in range(3)]
    return torch.stack(taps).sum(0)


def _gates(x1: Tensor, w: Tensor) -> Tensor:
    """int64 [H, W, 2 C]: sums of the first feed-forward layer."""
    return ((x1 + 4) >> 3).clamp(-128, 127) @ w.long().T


def _grouped(acc: Tensor, bias: Tensor, mult: Tensor) -> Tensor:
    assert acc.abs().max() < 2**23
    assert (acc + bias).abs().max() < 2**27
    g: Tensor = (acc + bias.long()).clamp(min=0).unflatten(2, (4, -1)).sum(2)
    assert g.max() < 2**29
    return ((g * mult.long() + 2**32) >> 33).clamp(0, 255) - 128


def reference(
    h: Tensor,
    x: Tensor,
    w_dw: Tensor,
    bias_dw: Tensor,
    mult_dw: Tensor,
    w_proj: Tensor,
    bias_proj: Tensor,
    mult_proj: Tensor,
    w_up: Tensor,
    bias_up: Tensor,
    mult_up: Tensor,
    w_down: Tensor,
    bias_down: Tensor,
    mult_down: Tensor,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    dw, proj = (w_dw, bias_dw, mult_dw), (w_proj, bias_proj, mult_proj)
    up, down = (w_up, bias_up, mult_up), (w_down, bias_down, mult_down)
    following = w_next, bias_next, mult_next
    _check(h, x, dw, proj, up, down, following)
    d = _rq(_taps(h, w_dw), bias_dw, mult_dw).clamp(-128, 127)
    x1 = (x + _rq(d @ w_proj.long().T, bias_proj, mult_proj)).clamp(-32768, 32767)
    s = _grouped(_gates(x1, w_up), bias_up, mult_up)
    y = (x1 + _rq(s @ w_down.long().T, bias_down, mult_down)).clamp(-32768, 32767).to(torch.int16)
    return y if w_next is None else (y, conv1x1_u8.reference(y, w_next, bias_next, mult_next))


def cpu(
    h: Tensor,
    x: Tensor,
    w_dw: Tensor,
    bias_dw: Tensor,
    mult_dw: Tensor,
    w_proj: Tensor,
    bias_proj: Tensor,
    mult_proj: Tensor,
    w_up: Tensor,
    bias_up: Tensor,
    mult_up: Tensor,
    w_down: Tensor,
    bias_down: Tensor,
    mult_down: Tensor,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
    *,
    out: Tensor | tuple[Tensor, Tensor] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    dw, proj = (w_dw, bias_dw, mult_dw), (w_proj, bias_proj, mult_proj)
    up, down = (w_up, bias_up, mult_up), (w_down, bias_down, mult_down)
    following = w_next, bias_next, mult_next
    _check(h, x, dw, proj, up, down, following)
    outputs = _outputs(x, w_next, out)
    _block_cpu.run(h, x, dw, proj, up, down, following, *outputs)
    return outputs[0] if outputs[1] is None else (outputs[0], outputs[1])


def launch(
    h: Tensor,
    x: Tensor,
    w_dw: Tensor,
    bias_dw: Tensor,
    mult_dw: Tensor,
    w_proj: Tensor,
    bias_proj: Tensor,
    mult_proj: Tensor,
    w_up: Tensor,
    bias_up: Tensor,
    mult_up: Tensor,
    w_down: Tensor,
    bias_down: Tensor,
    mult_down: Tensor,
    w_next: Tensor | None = None,
    bias_next: Tensor | None = None,
    mult_next: Tensor | None = None,
    *,
    out: Tensor | tuple[Tensor, Tensor] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    dw, proj = (w_dw, bias_dw, mult_dw), (w_proj, bias_proj, mult_proj)
    up, down = (w_up, bias_up, mult_up), (w_down, bias_down, mult_down)
    following = w_next, bias_next, mult_next
    _check(h, x, dw, proj, up, down, following)
    outputs = _outputs(x, w_next, out)
    tables = (*dw, *proj, *up, *down, *following)
    ops.expect_launchable("block_s16", h, x, *tables, *outputs)
    gpu.run(h, x, *tables, *outputs)
    return outputs[0] if outputs[1] is None else (outputs[0], outputs[1])


def _set_boundaries(h, x, w_dw, bias_dw, mult_dw, w_proj, bias_proj, mult_proj, w_up, bias_up, mult_up, w_down, **last):
    """Each layer in turn gets tables that fit its sums; an error in one shows through the weights of the next."""
    C, P = x.shape[2], x.shape[0] * x.shape[1]
    K = C >> 1
    acc = _taps(h, w_dw)
    ops.on_boundary(bias_dw, mult_dw, 0, acc.view(P, K), 0)
    acc = _rq(acc, bias_dw, mult_dw).clamp(-128, 127) @ w_proj.long().T
    ops.on_boundary(bias_proj, mult_proj, 0, acc.view(P, C), 0)
    x1 = (x + _rq(acc, bias_proj, mult_proj)).clamp(-32768, 32767)
    acc, n = _gates(x1, w_up), torch.arange(2 * C)
    # four equal terms of a group, the last of them less one in even columns, add up to where 100 turns into 101; in two
    # columns of four each is above 2^24
    step = torch.where(n % K & 2 > 0, 19, 2)
    mult_up[0] = (2 ** (32 - step[:K])).int()
    bias_up[0] = (201 * 2 ** (step - 2) - (n >= 3 * K) * (1 - (n & 1)) - acc.view(P, 2 * C)[n % K % P, n]).int()
    acc = _grouped(acc, bias_up, mult_up) @ w_down.long().T
    ops.on_boundary(last["bias_down"], last["mult_down"], 0, acc.view(P, C), 0)
    if "w_next" in last:
        y = (x1 + _rq(acc, last["bias_down"], last["mult_down"])).clamp(-32768, 32767)
        acc = ((y + 4) >> 3).clamp(-128, 127) @ last["w_next"].long().T
        ops.on_boundary(last["bias_next"], last["mult_next"], 0, acc.view(P, -1), 100)


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    H, W, C, N = case
    K = C >> 1
    args = {"h": fill((H, W, K), -128, 127, torch.int8), "x": ops.stream(fill, (H, W, C))}
    layers = [("dw", (9, K)), ("proj", (C, K)), ("up", (2 * C, C)), ("down", (C, K)), ("next", (N, C))]
    for layer, shape in layers if N else layers[:-1]:
        bias, mult = ops.tables(fill, 1, K if layer == "dw" else shape[0])
        mult = mult[:, :K].contiguous() if layer == "up" else mult
        args |= {f"w_{layer}": ops.weights(fill, shape), f"bias_{layer}": bias, f"mult_{layer}": mult}
    if fill.pattern == "boundary":
        _set_boundaries(**args)
    return args


def cost(case: Case) -> Cost:
    H, W, C, N = case
    # h, x, out and next once, then the weights
    size = H * W * (C // 2 + 4 * C + N) + 3 * C * C + 44 * C + N * (C + 8)
    return Cost(bytes=size, macs=H * W * (9 * C // 2 + 3 * C * C + N * C))


block_s16 = Kernel(
    name="block_s16",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (1, 1, 4, 0),
        (1, 9, 8, 3),
        (3, 2, 34, 17),
        (13, 41, 64, 0),
        (13, 41, 64, 32),
        (20, 31, 128, 64),
        (5, 18, 128, 128),
        (6, 7, 256, 0),
        (3, 5, 138, 9),
        (6, 7, 256, 128),
    ),
    bench_cases=((45, 80, 128, 0), (90, 160, 128, 64), (135, 240, 128, 0), (135, 240, 128, 64), (135, 240, 256, 128)),
    cost=cost,
)
