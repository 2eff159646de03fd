"""What every kernel file says about its operands: the check of one tensor, the output, and tables for the sweep."""

import torch
from torch import Tensor

from nvc.kernels._table import Fill

MAX_BIAS, MAX_MULT, MAX_WEIGHT = 2**26, 2**31 - 1, 63
MAX_NEXT = 1024  # inputs of a layer that a kernel begins


def expect(what: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Raise ValueError unless `tensor` has this shape and dtype; `what` names kernel and operand in the message."""
    if tensor.shape != shape or tensor.dtype != dtype:
        raise ValueError(f"{what} is {tensor.dtype} {tuple(tensor.shape)}, expected {dtype} {shape}")


def output(name: str, out: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """`out` if it can take the result of kernel `name`, a new tensor when None, ValueError otherwise."""
    if out is None:
        return torch.empty(shape, dtype=dtype, device=device)
    expect(f"{name}: out", out, shape, dtype)
    if not out.is_contiguous():
        raise ValueError(f"{name}: out has strides {out.stride()}, expected contiguous")
    return out


def expect_next(name: str, tables: tuple[Tensor | None, ...], n: int) -> None:
    """Raise ValueError unless `tables`, weights [M, n], bias and multiplier [1, M] of the layer that reads the n
    channels of kernel `name` next, are all there or none, and n keeps that layer's accumulators in range."""
    if len({t is None for t in tables}) > 1:
        raise ValueError(f"{name}: w_next, bias_next and mult_next come together")
    if tables[0] is None:
        return
    if not 2 <= n <= MAX_NEXT:
        raise ValueError(f"{name}: N={n} is outside 2..{MAX_NEXT}; the next accumulator bound would not hold")
    m = len(tables[0])
    for key, table, shape in zip(("w", "bias", "mult"), tables, ((m, n), (1, m), (1, m)), strict=True):
        assert table is not None
        expect(f"{name}: {key}_next", table, shape, torch.int8 if key == "w" else torch.int32)


def outputs_with_next(
    name: str,
    out: Tensor | tuple[Tensor, Tensor] | None,
    shape: tuple[int, ...],
    w_next: Tensor | None,
    device: torch.device,
) -> tuple[Tensor, Tensor | None]:
    """(int16 result [..., N], int8 [..., M] of the next layer or None): those of `out` if they fit, else new ones."""
    result, after = out if isinstance(out, tuple) else (out, None)
    result = output(name, result, shape, torch.int16, device)
    if w_next is not None:
        after = output(name, after, (*shape[:2], len(w_next)), torch.int8, device)
    return result, after


def expect_launchable(name: str, *tensors: Tensor | None) -> None:
    """Raise ValueError unless the operands of kernel `name` are contiguous and on the device of the first."""
    given = [t for t in tensors if t is not None]
    for i, t in enumerate(given):
        if t.device != given[0].device:
            raise ValueError(f"{name}: operand {i} is on {t.device}, the first is on {given[0].device}")
        if not t.is_contiguous():
            raise ValueError(f"{name}: operand {i} has strides {t.stride()}, expected contiguous")


def expect_words(name: str, *tensors: Tensor) -> None:
    """Raise ValueError unless the operands of kernel `name`, which are read by four bytes, begin at multiples of 4."""
    for i, t in enumerate(tensors):
        if t.data_ptr() % 4:
            raise ValueError(f"{name}: operand {i} begins at address {t.data_ptr()}, no multiple of 4")


def row_index(name: str, row: Tensor, rows: int) -> int:
    """The table row that kernel `name` is to use; ValueError when the tables do not have it."""
    r = int(row)
    if not 0 <= r < rows:
        raise ValueError(f"{name}: row={r} is outside 0..{rows - 1}")
    return r


def stream(fill: Fill, shape: tuple[int, int, int]) -> Tensor:
    """An s16 picture. The 8-bit view would saturate almost everywhere: `uniform` keeps every second channel inside it,
    `boundary` all of them, at values whose views are large and positive."""
    if fill.pattern == "boundary":
        return fill(shape, 768, 1023, torch.int16)
    x = fill(shape, -32768, 32767, torch.int16)
    if fill.pattern == "uniform":
        x[..., ::2] >>= 5
    return x


def weights(fill: Fill, shape: tuple[int, ...]) -> Tensor:
    """int8 weights in [-63, 63]; positive and large for `boundary`, so that sums grow as far as they can."""
    return fill(shape, 32 if fill.pattern == "boundary" else -MAX_WEIGHT, MAX_WEIGHT, torch.int8)


def tables(fill: Fill, rows: int, n: int) -> tuple[Tensor, Tensor]:
    """int32 (bias, mult) [rows, n]: full range, except that `uniform` has in every second column the sizes of a trained
    layer, whose results seldom reach the clamp."""
    bias = fill((rows, n), -MAX_BIAS, MAX_BIAS, torch.int32)
    mult = fill((rows, n), 0, MAX_MULT, torch.int32)
    if fill.pattern == "uniform":
        bias[:, ::2] >>= 10
        mult[:, ::2] >>= 6
    return bias, mult


def next_layer(fill: Fill, m: int, y: Tensor) -> dict[str, Tensor]:
    """w_next, bias_next and mult_next of a layer with m outputs that reads the stream y [H, W, N] next."""
    w, (bias, mult) = weights(fill, (m, y.shape[2])), tables(fill, 1, m)
    if fill.pattern == "boundary":
        acc = ((y.long() + 4) >> 3).clamp(-128, 127).flatten(0, 1) @ w.long().T
        on_boundary(bias, mult, 0, acc, 100)
    return {"w_next": w, "bias_next": bias, "mult_next": mult}


def on_boundary(bias: Tensor, mult: Tensor, row: int, acc: Tensor, middle: int | Tensor) -> None:
    """Put one accumulator per column, of int64 acc [P, n], beside a rounding boundary at the result `middle`, one for
    all or int64 [n]: in even columns an error of +1 in the sum shows, in odd ones of -1.

    Nothing else would show so small an error: the shift hides it. The result turns into `middle` where acc + bias is
    (2 middle - 1) 2^(32 - s), with mult = 2^s. In columns 0 and 1 of four s = 30; in the others the sum is as large as
    2^24 .. 2^25, where every second integer is no float32. Needs |middle| < 2^22.
    """
    n = torch.arange(acc.shape[1])
    odd = 2 * torch.as_tensor(middle).expand(len(n)) - 1
    length = torch.tensor([int(v).bit_length() for v in odd.abs()])
    step = torch.where(n & 2 > 0, 25 - length, 2)
    mult[row] = (2 ** (32 - step)).int()
    bias[row] = (odd * 2**step - 1 + (n & 1) - acc[n % acc.shape[0], n]).int()
