"""The arithmetic of fake quantisation on rows, forward and backward.

Training is bound by memory and by the number of calls, so every operation is one compiled loop over rows,
[B * H * W, C] in float32 or bfloat16.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit, types
from numba.extending import overload
from torch import Tensor

_compiled: Any = njit(nogil=True, cache=True, error_model="numpy")
_HALF, _ZERO = np.float32(0.5), np.float32(0)
_S16_STEPS = np.float32(128)  # of a stream, in one unit


def _widen(v: Any) -> Any:
    """float32 of a float32, or of the bits of a bfloat16. For compiled code."""


def _narrow(v: Any, like: Any) -> Any:
    """Inverse of `_widen` in the format of `like`, rounding to nearest even. For compiled code."""


@overload(_widen)
def _(v):  # type: ignore[no-untyped-def]
    if v == types.uint16:
        return lambda v: np.uint32(np.uint32(v) << np.uint32(16)).view(np.float32)
    return lambda v: v


@overload(_narrow)
def _(v, like):  # type: ignore[no-untyped-def]
    if like == types.uint16:

        def bfloat16(v, like):  # type: ignore[no-untyped-def]
            u = np.float32(v).view(np.uint32)
            return np.uint16(np.uint32(u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

        return bfloat16
    return lambda v, like: v


@_compiled
def _step(y, lo, hi, rounds):  # type: ignore[no-untyped-def]
    return min(max(np.floor(y + _HALF) if rounds else y, lo), hi)


@_compiled
def _inside(y, lo, hi):  # type: ignore[no-untyped-def]
    return (y >= lo - _HALF) & (y < hi + _HALF)


@_compiled
def _requantise_forward(acc, gain, bias, scale, lo, hi, rounds, out):  # type: ignore[no-untyped-def]
    """out [M, N] = steps of (acc * gain + bias) * scale; gain and bias [R, N], R a divisor of M."""
    per = acc.shape[0] // gain.shape[0]
    for i in range(acc.shape[0]):
        a, g, b, o = acc[i], gain[i // per], bias[i // per], out[i]
        for j in range(a.shape[0]):
            o[j] = _narrow(_step((_widen(a[j]) * g[j] + b[j]) * scale, lo, hi, rounds), o[j])


@_compiled
def _requantise_backward(acc, gain, bias, scale, lo, hi, grad, d_acc, d_gain, d_bias):  # type: ignore[no-untyped-def]
    """Gradients of `_requantise_forward`; those of gain and bias are added."""
    per = acc.shape[0] // gain.shape[0]
    for i in range(acc.shape[0]):
        a, g, b, e, da = acc[i], gain[i // per], bias[i // per], grad[i], d_acc[i]
        dg, db = d_gain[i // per], d_bias[i // per]
        for j in range(a.shape[0]):
            x = _widen(a[j])
            d = _widen(e[j]) * scale if _inside((x * g[j] + b[j]) * scale, lo, hi) else _ZERO
            da[j] = _narrow(d * g[j], da[j])
            dg[j] += d * x
            db[j] += d


@_compiled
def _stream_forward(x, acc, gain, bias, scale, lo, hi, rounds, out, view):  # type: ignore[no-untyped-def]
    """out [M, N] = x + acc * gain + bias, in whole s16 steps if `rounds`, and its steps; gain and bias [1, N]."""
    g, b = gain[0], bias[0]
    for i in range(acc.shape[0]):
        a, r, o, v = acc[i], x[i], out[i], view[i]
        for j in range(a.shape[0]):
            y = r[j] + (_widen(a[j]) * g[j] + b[j])
            if rounds:  # twice rounded, a view lies 1/16 step above one rounded once: training should know
                y = np.float32(np.floor(y * _S16_STEPS + _HALF) / _S16_STEPS)
            o[j] = y
            v[j] = _narrow(_step(y * scale, lo, hi, rounds), v[j])


@_compiled
def _stream_backward(out, gain, scale, lo, hi, grad, d_view, d_x, d_acc, d_bias):  # type: ignore[no-untyped-def]
    """Gradients of `_stream_forward`, from those of its results; each of these may be a single row of zeros."""
    g, db = gain[0], d_bias[0]
    for i in range(out.shape[0]):
        y, e, ev, dx, da = out[i], grad[i % len(grad)], d_view[i % len(d_view)], d_x[i], d_acc[i]
        for j in range(y.shape[0]):
            d = e[j] + (_widen(ev[j]) * scale if _inside(y[j] * scale, lo, hi) else _ZERO)
            dx[j] = d
            da[j] = _narrow(d * g[j], da[j])
            db[j] += d


@_compiled
def _relu_sum(a, bias, total):  # type: ignore[no-untyped-def]
    n = total.shape[0]
    total[:] = _ZERO
    for k in range(0, a.shape[0], n):
        part, b = a[k : k + n], bias[k : k + n]
        for j in range(n):
            total[j] += max(_widen(part[j]) + b[j], _ZERO)


@_compiled
def _group_forward(acc, gain, bias, scale, lo, hi, rounds, out):  # type: ignore[no-untyped-def]
    """out [M, N] = steps of gain * scale * sum over groups of relu(acc + bias); acc [M, G * N], gain [1, N]."""
    g, total = gain[0], np.empty(out.shape[1], np.float32)
    for i in range(acc.shape[0]):
        o = out[i]
        _relu_sum(acc[i], bias[0], total)
        for j in range(total.shape[0]):
            o[j] = _narrow(_step(total[j] * g[j] * scale, lo, hi, rounds), o[j])


@_compiled
def _group_backward(acc, gain, bias, scale, lo, hi, grad, d_acc, d_bias):  # type: ignore[no-untyped-def]
    """Gradients of `_group_forward`; that of bias is added."""
    n = grad.shape[1]
    g, offset, d_offset, total = gain[0], bias[0], d_bias[0], np.empty(n, np.float32)
    for i in range(acc.shape[0]):
        a, e, da = acc[i], grad[i], d_acc[i]
        _relu_sum(a, offset, total)
        for j in range(n):
            s = g[j] * scale
            total[j] = _widen(e[j]) * s if _inside(total[j] * s, lo, hi) else _ZERO
        for k in range(0, a.shape[0], n):
            part, b, dp, db = a[k : k + n], offset[k : k + n], da[k : k + n], d_offset[k : k + n]
            for j in range(n):
                d = total[j] if _widen(part[j]) + b[j] > _ZERO else _ZERO
                dp[j] = _narrow(d, dp[j])
                db[j] += d


def rows_of(x: Tensor) -> Tensor:
    """[B, C, H, W] as contiguous [B * H * W, C]; no copy when x is channels_last."""
    return x.permute(0, 2, 3, 1).contiguous().view(-1, x.shape[1])


def planes(rows: Tensor, shape: torch.Size) -> Tensor:
    """Inverse of `rows_of`; `shape` gives batch, height and width, its channels do not matter."""
    return rows.view(shape[0], shape[2], shape[3], -1).permute(0, 3, 1, 2)


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [(t.view(torch.uint16) if t.dtype == torch.bfloat16 else t).numpy() for t in tensors]


class Steps(NamedTuple):
    """A number format as the loops want it."""

    limits: tuple[np.float32, np.float32, np.float32]  # steps per unit, least, greatest
    rounds: bool
    dtype: torch.dtype


def requantise_rows(acc: Tensor, gain: Tensor, bias: Tensor, to: Steps) -> Tensor:
    """acc [M, N], gain and bias [R, N] -> acc * gain + bias in steps [M, N]."""
    out = torch.empty_like(acc, dtype=to.dtype)
    _requantise_forward(*_arrays(acc, gain, bias), *to.limits, to.rounds, *_arrays(out))
    return out


def requantise_rows_backward(acc: Tensor, gain: Tensor, bias: Tensor, to: Steps, grad: Tensor) -> list[Tensor]:
    """Gradients of acc, gain and bias."""
    d = [torch.empty_like(acc), torch.zeros_like(gain), torch.zeros_like(bias)]
    _requantise_backward(*_arrays(acc, gain, bias), *to.limits, *_arrays(grad, *d))
    return d


def stream_rows(x: Tensor, acc: Tensor, gain: Tensor, bias: Tensor, to: Steps) -> tuple[Tensor, Tensor]:
    """x [M, N] float32, acc [M, N], gain and bias [1, N] -> x + acc * gain + bias, and the same in steps."""
    out, steps = torch.empty_like(x), torch.empty_like(acc, dtype=to.dtype)
    _stream_forward(*_arrays(x, acc, gain, bias), *to.limits, to.rounds, *_arrays(out, steps))
    return out, steps


def stream_rows_backward(
    out: Tensor, gain: Tensor, to: Steps, grad: Tensor | None, grad_steps: Tensor | None
) -> list[Tensor]:
    """Gradients of x, acc and bias."""
    none = torch.zeros_like(gain)
    grad, grad_steps = none if grad is None else grad, none.to(to.dtype) if grad_steps is None else grad_steps
    d = [torch.empty_like(out), torch.empty_like(out, dtype=to.dtype), none.clone()]
    _stream_backward(*_arrays(out, gain), *to.limits, *_arrays(grad, grad_steps, *d))
    return d


def group_rows(acc: Tensor, gain: Tensor, bias: Tensor, to: Steps) -> Tensor:
    """acc [M, G * N], gain [1, N], bias [1, G * N] -> gain * sum over G of relu(acc + bias), in steps [M, N]."""
    out = torch.empty(len(acc), gain.shape[1], dtype=to.dtype)
    _group_forward(*_arrays(acc, gain, bias), *to.limits, to.rounds, *_arrays(out))
    return out


def group_rows_backward(acc: Tensor, gain: Tensor, bias: Tensor, to: Steps, grad: Tensor) -> list[Tensor]:
    """Gradients of acc and bias."""
    d = [torch.empty_like(acc), torch.zeros_like(bias)]
    _group_backward(*_arrays(acc, gain, bias), *to.limits, *_arrays(grad, *d))
    return d
