"""Float twins of the convolution kernels. Tensors are [B, C, H, W]; convolution inputs are in integer steps."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvc.models.config import QPS, ROWS
from nvc.train import quant
from nvc.train.quant import BIAS_MAX, S8, S16, SHIFT, U8, W_MAX, Mode, planes, requantise, rows_of, to_steps

GAIN_MAX = (2**31 - 1) / 2**SHIFT  # of an accumulator step, in steps of the output
KNOTS = 9  # gains are piecewise linear in QP in the log domain, so that every QP is trained


def knot_weights() -> Tensor:
    """[QPS, KNOTS] linear interpolation from knots to QPs."""
    at = torch.arange(QPS) * (KNOTS - 1) / (QPS - 1)
    return (1 - (at[:, None] - torch.arange(KNOTS)).abs()).clamp_min(0)


class RowTable(nn.Module):
    """[ROWS, N] values, one row per frame type and QP, interpolated from knots; `scale` sets how fast they learn."""

    interpolation: Tensor

    def __init__(self, n: int, init: Sequence[float] | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        start = torch.tensor(init if init is not None else [0.0] * KNOTS).float()
        self.knots = nn.Parameter(start[None, :, None].repeat(2, 1, n) / scale)
        self.register_buffer("interpolation", knot_weights(), persistent=False)

    def forward(self) -> Tensor:
        with torch.autocast(self.knots.device.type, enabled=False):  # bfloat16 would shift gains by up to 1 %
            return self.scale * (self.interpolation.to(self.knots.dtype) @ self.knots).reshape(ROWS, -1)


def _unmixed(grad: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and w (float32, with the shape of w) of the product of rows x by weights w."""
    return grad @ w.flatten(1), (grad.t() @ x).float().view(w.shape)


class _Mix(torch.autograd.Function):
    """1x1 convolution as a product of matrices. The gradient of w is float32 whatever the dtype of x."""

    @staticmethod
    def forward(ctx, x, w):  # type: ignore[no-untyped-def]
        rows, low = rows_of(x), w.to(x.dtype)
        ctx.save_for_backward(rows, low)
        with torch.autocast(x.device.type, enabled=False):
            return planes(rows @ low.flatten(1).t(), x.shape)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        d_x, d_w = _unmixed(rows_of(grad), *ctx.saved_tensors)
        return planes(d_x, grad.shape), d_w


def mix(x: Tensor, w: Tensor) -> Tensor:
    """x [B, K, H, W], w [N, K, 1, 1] -> [B, N, H, W] in the dtype of x."""
    return _Mix.apply(x, w)  # type: ignore[no-any-return, no-untyped-call]


class Stream(NamedTuple):
    """Features [B, C, H, W]: real values (s16) and their 8-bit view in steps."""

    value: Tensor
    view: Tensor


class Prepared(NamedTuple):
    """Weights in integer steps, and the map from accumulators to real values: gain and bias, each [R, N]."""

    weight: Tensor
    gain: Tensor
    bias: Tensor


class Conv(nn.Module):
    """Twin of a 1x1 (or depthwise 3x3) integer convolution with its requantisation.

    segments: (channels, unit) of the concatenated inputs. `group` > 1: rows share one step (group sum).
    gain: adds a per-row, per-channel gain exp(.) and bias. precise: accumulate in float32 even under autocast.
    """

    units: Tensor

    def __init__(
        self,
        segments: Sequence[tuple[int, float]],
        n: int,
        out_unit: float,
        *,
        depthwise: bool = False,
        group: int = 1,
        gain: bool = False,
        gain_init: Sequence[float] | None = None,
        bias_init: Sequence[float] | None = None,
        precise: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        k = 1 if depthwise else sum(c for c, _ in segments)
        side = 3 if depthwise else 1
        self.groups = n if depthwise else 1
        self.group, self.out_unit, self.precise = group, out_unit, precise
        weight = torch.empty(n, k, side, side)
        nn.init.xavier_uniform_(weight)
        self.weight = nn.Parameter(weight * scale)
        self.bias = nn.Parameter(torch.zeros(n))
        units = torch.cat([torch.full((1 if depthwise else c,), u) for c, u in segments[: 1 if depthwise else None]])
        self.register_buffer("units", units.view(1, -1, 1, 1), persistent=False)
        self.log_gain = RowTable(n, gain_init) if gain else None
        self.row_bias = RowTable(n, bias_init) if gain else None
        self.prepared: Prepared | None = None

    def steps(self, mode: Mode) -> tuple[Tensor, Tensor]:
        """Weights in integer steps and the real value [N] of one accumulator step."""
        return quant.quantised_weight(self.weight, self.units, self.group, mode)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Real bias and gain, each [R, N]."""
        if self.log_gain is None or self.row_bias is None:
            return self.bias[None], torch.ones_like(self.bias)[None]
        return self.bias + self.row_bias(), self.log_gain().exp()

    def tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weight [N, K...] int8, bias [R, N] int32 (without the u8 offset) and mult [R, N] int32."""
        with torch.no_grad():
            double = self.double_copy()
            w, step = double.steps(Mode.EXACT)
            b, g = double.affine()
            bias = torch.floor(b / step + 0.5)
            mult = torch.floor((step * g / self.out_unit).clamp(max=GAIN_MAX) * 2.0**SHIFT + 0.5)
        if w.abs().max() > W_MAX or bias.abs().max() > BIAS_MAX:
            raise ValueError("a layer left the range of its integer tables")
        return w.to(torch.int8), bias.to(torch.int32), mult.to(torch.int32)

    def double_copy(self) -> "Conv":
        import copy

        return copy.deepcopy(self).double()

    def prepare(self, mode: Mode) -> Prepared:
        """What every frame of a training step shares."""
        w, step = self.steps(mode)
        b, g = self.affine()
        # a multiplier must stay below 2^31: the gain saturates where its table would
        return Prepared(w, (step * g).clamp(max=GAIN_MAX * self.out_unit), b * g)

    def accumulate(self, x: Tensor, rows: Tensor | None, mode: Mode) -> tuple[Tensor, Tensor, Tensor]:
        """Accumulator, gain and bias of x [B, K, H, W] in integer steps; FLOAT and QUANT."""
        w, gain, bias = self.prepared or self.prepare(mode)
        if self.log_gain is not None and rows is not None:
            gain, bias = gain[rows], bias[rows]
        if self.groups > 1:
            return F.conv2d(x, w.to(x.dtype), padding=w.shape[-1] // 2, groups=self.groups), gain, bias
        return mix(x.float() if self.precise else x, w), gain, bias

    def forward(self, x: Tensor, rows: Tensor | None, mode: Mode) -> Tensor:
        """x [B, K, H, W] in integer steps, rows [B] -> real [B, N, H, W], rounded to out_unit in EXACT mode."""
        if mode is not Mode.EXACT:
            return requantise(*self.accumulate(x, rows, mode), 1.0, -math.inf, math.inf, Mode.FLOAT)
        w, bias, mult = self.tables()
        row = 0 if self.log_gain is None or rows is None else int(rows[0])
        acc = F.conv2d(x, w.double(), padding=w.shape[-1] // 2, groups=self.groups).long()
        out = ((acc + bias[row].long().view(1, -1, 1, 1)) * mult[row].long().view(1, -1, 1, 1) + 2**32) >> SHIFT
        return out.double() * self.out_unit

    def to_s8(self, x: Tensor, mode: Mode) -> Tensor:
        """`forward` without gain, as s8 steps."""
        if mode is Mode.EXACT:
            return view(self(x, None, mode), mode)
        return requantise(*self.accumulate(x, None, mode), S8, -128, 127, mode)

    def to_u8(self, x: Tensor, mode: Mode) -> Tensor:
        """`forward` without gain, then ReLU, as u8 steps."""
        if mode is Mode.EXACT:
            return relu_u8(self(x, None, mode), mode)
        return requantise(*self.accumulate(x, None, mode), U8, 0, 255, mode)

    def to_stream(self, x: Tensor, rows: Tensor | None, mode: Mode, base: Tensor | None = None) -> Stream:
        """`forward` added to the values of the stream `base`."""
        out = self(x, rows, mode)
        out = out if base is None else clamp16(base + out, S16, mode)
        return Stream(out, view(out, mode))


def clamp16(x: Tensor, unit: float, mode: Mode) -> Tensor:
    """The range of int16, which only the exact twin needs: no trained stream comes near it."""
    return x.clamp(-32768 * unit, 32767 * unit) if mode is Mode.EXACT else x


def view(x: Tensor, mode: Mode) -> Tensor:
    """8-bit view of a stream, in steps."""
    return to_steps(x, S8, -128, 127, mode)


def relu_u8(x: Tensor, mode: Mode) -> Tensor:
    """ReLU in u8 steps."""
    return to_steps(x, U8, 0, 255, mode)


class GroupSum(Conv):
    """1x1 to 2C, ReLU, sum of four groups, as u8 steps."""

    def forward(self, x: Tensor, rows: Tensor | None, mode: Mode) -> Tensor:
        if mode is Mode.EXACT:
            w, bias, mult = self.tables()
            acc = F.conv2d(x, w.double()).long() + bias[0].long().view(1, -1, 1, 1)
            total = torch.stack(acc.clamp_min(0).chunk(self.group, 1)).sum(0)
            out = (total * mult[0, : total.shape[1]].long().view(1, -1, 1, 1) + 2**32) >> SHIFT
            return out.double().clamp(0, 255)
        acc, gain, bias = self.accumulate(x, None, mode)
        positive = torch.relu(acc.float() + bias[:, :, None, None])
        total = positive.view(len(acc), self.group, -1, *acc.shape[2:]).sum(1)
        return requantise(total, gain, torch.zeros_like(gain), U8, 0, 255, mode)

    def prepare(self, mode: Mode) -> Prepared:
        """As for a Conv, but the gain is that of the sums and the bias in accumulator steps."""
        w, step = self.steps(mode)
        return Prepared(w, step[None, : len(step) // self.group], (self.bias / step)[None])


class _Block(torch.autograd.Function):
    """`Block` on the CPU, where the calls that it saves are a third of the time. `prepared` holds, each five times,
    weights, gains and biases; gains get no gradient."""

    @staticmethod
    def forward(ctx, value, view, mode, *prepared):  # type: ignore[no-untyped-def]
        dtype, shape = view.dtype, view.shape
        reduce, dw, proj, up, down = weights = [w.to(dtype) for w in prepared[:5]]
        gains, biases = prepared[5:10], prepared[10:]
        u8 = quant.steps_of(U8, 0, 255, mode, dtype)
        s8 = quant.steps_of(S8, -128, 127, mode, dtype)
        v0 = rows_of(view)
        a0 = v0 @ reduce.flatten(1).t()
        h = quant.requantise_rows(a0, gains[0], biases[0], u8)
        a1 = rows_of(F.conv2d(planes(h, shape), dw, padding=1, groups=len(dw)))
        d = quant.requantise_rows(a1, gains[1], biases[1], s8)
        x1, v1 = quant.stream_rows(rows_of(value), d @ proj.flatten(1).t(), gains[2], biases[2], s8)
        a3 = v1 @ up.flatten(1).t()
        s = quant.group_rows(a3, gains[3], biases[3], u8)
        x2, v2 = quant.stream_rows(x1, s @ down.flatten(1).t(), gains[4], biases[4], s8)
        ctx.save_for_backward(v0, a0, h, a1, d, x1, v1, a3, s, x2, *weights, *gains, *biases)
        ctx.shape, ctx.formats = shape, (u8, s8)
        ctx.set_materialize_grads(False)
        return planes(x2, shape), planes(v2, shape)

    @staticmethod
    def backward(ctx, grad, grad_view):  # type: ignore[no-untyped-def]
        v0, a0, h, a1, d, x1, v1, a3, s, x2, reduce, dw, proj, up, down, *tables = ctx.saved_tensors
        gains, biases, shape, (u8, s8) = tables[:5], tables[5:], ctx.shape, ctx.formats

        grad, grad_view = (None if g is None else rows_of(g) for g in (grad, grad_view))
        d_x, d_acc, d_b4 = quant.stream_rows_backward(x2, gains[4], s8, grad, grad_view)
        d_s, d_down = _unmixed(d_acc, s, down)
        d_acc, d_b3 = quant.group_rows_backward(a3, gains[3], biases[3], u8, d_s)
        d_v1, d_up = _unmixed(d_acc, v1, up)
        d_x, d_acc, d_b2 = quant.stream_rows_backward(x1, gains[2], s8, d_x, d_v1)
        d_d, d_proj = _unmixed(d_acc, d, proj)
        d_acc, _, d_b1 = quant.requantise_rows_backward(a1, gains[1], biases[1], s8, d_d)
        d_h, d_dw, _ = torch.ops.aten.convolution_backward(
            *(planes(d_acc, shape), planes(h, shape), dw, None, [1, 1], [1, 1], [1, 1], False, [0, 0], len(dw)),
            [True, True, False],
        )
        d_acc, _, d_b0 = quant.requantise_rows_backward(a0, gains[0], biases[0], u8, rows_of(d_h))
        d_v0, d_reduce = _unmixed(d_acc, v0, reduce)
        d_weights = d_reduce, d_dw.float(), d_proj, d_up, d_down
        return planes(d_x, shape), planes(d_v0, shape), None, *d_weights, *[None] * 5, d_b0, d_b1, d_b2, d_b3, d_b4


class Block(nn.Module):
    """Half-width depthwise block (after DCVC-UF): residual of 1x1, ReLU, 3x3 depthwise, 1x1, then residual
    of 1x1, ReLU, sum of groups of four, 1x1."""

    def __init__(self, c: int) -> None:
        super().__init__()
        half = c // 2
        self.reduce = Conv([(c, S8)], half, U8)
        self.dw = Conv([(half, U8)], half, S8, depthwise=True)
        self.proj = Conv([(half, S8)], c, S16, scale=0.0)
        self.up = GroupSum([(c, S8)], 2 * c, U8, group=4)
        self.down = Conv([(half, U8)], c, S16, scale=0.0)
        self.dw.weight.data[:, :, 1, 1] += 0.5

    def forward(self, x: Stream, mode: Mode) -> Stream:
        if mode is not Mode.EXACT and x.view.device.type == "cpu":
            convs = (self.reduce, self.dw, self.proj, self.up, self.down)
            prepared = zip(*(conv.prepared or conv.prepare(mode) for conv in convs), strict=True)
            return Stream(*_Block.apply(*x, mode, *itertools.chain(*prepared)))  # type: ignore[no-untyped-call]
        d = self.dw.to_s8(self.reduce.to_u8(x.view, mode), mode)
        x = self.proj.to_stream(d, None, mode, x.value)
        return self.down.to_stream(self.up(x.view, None, mode), None, mode, x.value)
