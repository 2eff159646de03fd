"""Fake quantisation: the number formats of docs/NUMERICS.md in floating point, with straight-through gradients."""

from enum import Enum

import numpy as np
import torch
from torch import Tensor

from nvc.train.rows import Steps, planes, requantise_rows, requantise_rows_backward, rows_of

S8, U8, S16, X16, LATENT = 1 / 16, 1 / 32, 1 / 128, 1 / 512, 1 / 32  # real value of one integer step
PIXEL = S8  # pixels enter convolutions like any s8: grey level - 128, in sixteenths
SHIFT = 33
W_MAX = 63
BIAS_MAX = 2**26


class Mode(Enum):
    """How a twin computes: FLOAT clamps only; QUANT also rounds activations and weights, with straight-through
    gradients; EXACT (float64) reproduces the integer network bit for bit, without gradients."""

    FLOAT = "float"
    QUANT = "quant"
    EXACT = "exact"


def steps_of(unit: float, lo: float, hi: float, mode: Mode, dtype: torch.dtype) -> Steps:
    """Steps of `unit` between lo and hi, rounded in QUANT mode."""
    return Steps((np.float32(1 / unit), np.float32(lo), np.float32(hi)), mode is Mode.QUANT, dtype)


class _Requantise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, acc, gain, bias, to):  # type: ignore[no-untyped-def]
        a, gain, bias = rows_of(acc.detach()), gain.detach().contiguous(), bias.detach().contiguous()
        ctx.save_for_backward(a, gain, bias)
        ctx.to = to
        return planes(requantise_rows(a, gain, bias, to), acc.shape)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        acc, gain, bias = ctx.saved_tensors
        d_acc, d_gain, d_bias = requantise_rows_backward(acc, gain, bias, ctx.to, rows_of(grad))
        return planes(d_acc, grad.shape), d_gain, d_bias, None


def requantise(acc: Tensor, gain: Tensor, bias: Tensor, unit: float, lo: float, hi: float, mode: Mode) -> Tensor:
    """acc [B, N, H, W] times gain plus bias (each [1 or B, N]) in integer steps of `unit`, clamped to lo..hi and, in
    QUANT mode, rounded half-up.

    The result is bfloat16 while training under autocast if steps up to `hi` are exact in it, else float32.
    """
    device = acc.device.type
    low = torch.is_autocast_enabled(device) and hi <= 256
    dtype = torch.get_autocast_dtype(device) if low else torch.float32
    if device == "cpu":
        return _Requantise.apply(acc, gain, bias, steps_of(unit, lo, hi, mode, dtype))  # type: ignore[no-any-return, no-untyped-call]
    y = torch.addcmul(bias[:, :, None, None], acc.float(), gain[:, :, None, None]) / unit
    steps = (torch.floor(y + 0.5) if mode is Mode.QUANT else y).clamp(lo, hi).detach()
    inside = (y >= lo - 0.5) & (y < hi + 0.5)
    return (steps + torch.where(inside, y - y.detach(), 0)).to(dtype)


def to_steps(x: Tensor, unit: float, lo: int, hi: int, mode: Mode) -> Tensor:
    """`x` [B, N, H, W] (real) in integer steps of `unit`, clamped to lo..hi and, unless FLOAT, rounded half-up.

    The result is float64 in EXACT mode, otherwise as in `requantise`.
    """
    if mode is Mode.EXACT:
        return torch.floor(x * (1 / unit) + 0.5).clamp(lo, hi)
    one = torch.ones(1, x.shape[1], device=x.device)
    return requantise(x.float(), one, torch.zeros_like(one), unit, lo, hi, mode)


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        return (x + 0.5).floor_()

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return grad


def ste_round(x: Tensor) -> Tensor:
    """Round half-up with the gradient of the identity."""
    return _Round.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class _QuantWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, units, group, rounds):  # type: ignore[no-untyped-def]
        w = weight * units
        peak = w.flatten(1).abs().amax(1)
        if group > 1:
            peak = peak.view(group, -1).amax(0).repeat(group)
        step = (peak / W_MAX).clamp_min(1e-6)  # of all-zero rows, whose biases must still fit
        column = step.view(-1, *[1] * (w.ndim - 1))
        ctx.save_for_backward(units / column)
        ctx.mark_non_differentiable(step)
        w.div_(column)
        return (w.add_(0.5).floor_() if rounds else w), step

    @staticmethod
    def backward(ctx, grad, _):  # type: ignore[no-untyped-def]
        (scale,) = ctx.saved_tensors
        return grad * scale, None, None, None


def quantised_weight(weight: Tensor, units: Tensor, group: int, mode: Mode) -> tuple[Tensor, Tensor]:
    """Real weights [N, K, ...] for inputs in steps of `units` -> weights in integer steps (rounded unless FLOAT) and
    the real value [N] of a step of the accumulator; rows i, i + N / group, ... share one."""
    return _QuantWeight.apply(weight, units, group, mode is not Mode.FLOAT)  # type: ignore[no-any-return, no-untyped-call]
