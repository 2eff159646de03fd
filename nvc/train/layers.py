"""Float twins of the convolution kernels. Tensors are [B, C, H, W]; convolution inputs are in integer steps."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvc.models.config import QPS, ROWS
from nvc.train.quant import (
    BIAS_MAX,
    S8,
    S16,
    SHIFT,
    U8,
    W_MAX,
    Mode,
    quantised_weight,
    requantise,
    ste_round,
    to_steps,
)
from nvc.train.rows import planes, rows_of

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


def unmixed(grad: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and w (float32) of the product of rows x by weights w [N, K]."""
    return grad @ w, (grad.t() @ x).float()


class _Mix(torch.autograd.Function):
    """1x1 convolution of x [B, K, H, W] with w [N, K], in the dtype of autocast or, if precise, float32.

    Gradients are products in the dtype of autocast."""

    @staticmethod
    def forward(ctx, x, w, precise):  # type: ignore[no-untyped-def]
        device, rows = x.device.type, rows_of(x)
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        ctx.save_for_backward(rows.to(low), w.to(low))
        ctx.dtype = x.dtype
        dtype = torch.float32 if precise else low
        with torch.autocast(device, enabled=False):
            return planes(rows.to(dtype) @ w.to(dtype).t(), x.shape)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        rows, w = ctx.saved_tensors
        d_x, d_w = unmixed(rows_of(grad).to(rows.dtype), rows, w)
        return planes(d_x.to(ctx.dtype), grad.shape), d_w, None


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
    """Twin of a 1x1 integer convolution, weights [N, K], or depthwise 3x3, [N, 1, 3, 3], with its requantisation.

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
        self.groups = n if depthwise else 1
        self.group, self.out_unit, self.precise = group, out_unit, precise
        weight = torch.empty((n, 1, 3, 3) if depthwise else (n, sum(c for c, _ in segments)))
        nn.init.xavier_uniform_(weight)
        self.weight = nn.Parameter(weight * scale)
        self.bias = nn.Parameter(torch.zeros(n))
        units = torch.cat([torch.full((1, 1 if depthwise else c), u) for c, u in segments], 1)
        self.register_buffer("units", units[..., None, None] if depthwise else units, persistent=False)
        self.log_gain = RowTable(n, gain_init) if gain else None
        self.row_bias = RowTable(n, bias_init) if gain else None
        self.prepared: Prepared | None = None

    def steps(self, mode: Mode) -> tuple[Tensor, Tensor]:
        """Weights in integer steps and the real value [N] of one accumulator step."""
        return quantised_weight(self.weight, self.units, self.group, mode)

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
        b, g = (self.bias[None], 1.0) if self.log_gain is None else self.affine()
        # a multiplier must stay below 2^31: the gain saturates where its table would
        return Prepared(w, (step[None] * g).clamp(max=GAIN_MAX * self.out_unit), b * g)

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        """Accumulators of x [B, K, H, W] and weights, in their dtype."""
        if self.groups > 1:
            return F.conv2d(x, w, padding=1, groups=self.groups)
        return F.conv2d(x, w[..., None, None])

    def accumulate(self, x: Tensor, rows: Tensor | None, mode: Mode) -> tuple[Tensor, Tensor, Tensor]:
        """Accumulator, gain and bias of x [B, K, H, W] in integer steps; FLOAT and QUANT."""
        w, gain, bias = self.prepared or self.prepare(mode)
        if self.log_gain is not None and rows is not None:
            gain, bias = gain[rows], bias[rows]
        if self.groups > 1:
            return self.product(x, w.to(x.dtype)), gain, bias
        return _Mix.apply(x, w, self.precise), gain, bias  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, rows: Tensor | None, mode: Mode) -> Tensor:
        """x [B, K, H, W] in integer steps, rows [B] -> real [B, N, H, W], rounded to out_unit in EXACT mode."""
        if mode is not Mode.EXACT:
            return requantise(*self.accumulate(x, rows, mode), 1.0, -math.inf, math.inf, Mode.FLOAT)
        w, bias, mult = self.tables()
        row = 0 if self.log_gain is None or rows is None else int(rows[0])
        acc = self.product(x, w.double()).long()
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
        out = ste_round(out / S16) * S16 if mode is Mode.QUANT else out
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
            acc = self.product(x, w.double()).long() + bias[0].long().view(1, -1, 1, 1)
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
