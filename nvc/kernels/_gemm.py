"""Pointwise layers of the cpu twins: int8 activations times 7-bit weights, requantised.

Three implementations with the same bits. For layers of 64 n outputs, vector code (nvc.kernels._layers) with products by
AMX or by AVX-512 VNNI; elsewhere `torch._int_mm` and a loop over its sums. `prepare` says which: it gives the packed
layer, or None. `s32`, `s16` and `u8` choose by themselves: n pixels, activations int8 [>= n, K], weights int8 [N, K],
row r of int32 tables [R, N], results in `out` [n, N].
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _amx
from nvc.kernels._fixed import clamp16, compiled, requant, store_u8, view
from nvc.kernels._layers import layer_s16, layer_s32, layer_u8
from nvc.kernels._pool import scratch
from nvc.kernels._vector import available
from nvc.kernels._vnni import ORDERS, PIXELS, TILE, VIEW

# pixels that go through a chain of layers together: what lies between the layers stays in the nearest cache
TILE_ROWS = 24 * PIXELS
assert TILE_ROWS % _amx.ROWS == 0
_VNNI = available("avx512vnni")
# what can make products on this machine, fastest first
UNITS = [unit for unit, usable in (("amx", _VNNI and _amx.permitted()), ("vnni", _VNNI), ("torch", True)) if usable]
_unit = UNITS[0]


def set_unit(unit: str) -> str:
    """Have products made by one of UNITS; returns what did before. For tests."""
    global _unit
    before, _unit = _unit, unit
    return before


class Layer(NamedTuple):
    """A layer as nvc.kernels._layers reads it."""

    w: np.ndarray  # int8 [N / 64, K / 4, 64, 4], for AMX [N / 64, K / 64, 4, 16, 64]; depthwise [K / 64, 3, 64, 4]
    tables: np.ndarray  # int32 [R, 2, N]: bias (s32: 0), for VNNI less 128 times the sum of weights, and multiplier;
    # split: [R, 3, N], what VNNI takes off, multiplier, bias
    source: tuple[Any, ...]  # kind, unit, versions, bias, multiplier that it was made from


def _is_from(source, kind, unit, versions, bias, mult):
    return source[:3] == (kind, unit, versions) and source[3] is bias and source[4] is mult


def _vnni_weights(w):
    """int8 [N, K] -> [N / 64, K / 4, 64, 4]."""
    return w.reshape(-1, TILE, w.shape[1] // 4, 4).transpose(0, 2, 1, 3)


def _amx_weights(w):
    """int8 [N, K] -> [N / 64, K / 64, 4, 16, 64]: tiles of 64 inputs and 16 channels. The last ends with the inputs; it
    has zeros for those that are in the tile before as well."""
    (N, K), depth = w.shape, _amx.DEPTH
    tiles = [w[:, k : k + depth] for k in range(0, K - depth + 1, depth)]
    if rest := K % depth:
        tiles.append(np.concatenate((np.zeros((N, depth - rest), np.int8), w[:, K - rest :]), 1))
    packed = np.stack(tiles, 1).reshape(N // TILE, 4, 16, len(tiles), 16, 4).transpose(0, 3, 1, 4, 2, 5)
    return packed.reshape(N // TILE, len(tiles), 4, 16, depth)


def _pointwise(w, bias, mult, kind, split, views, unit):
    N, K = w.shape
    columns = np.arange(N).reshape(-1, TILE)[:, ORDERS[kind]].ravel()
    scales = columns
    if kind == "group":  # a tile holds 16 hidden channels of each of the four groups
        n = np.arange(N)
        columns = (n >> 4 & 3) * (N // 4) + (n >> 6) * 16 + (n & 15)
        scales = columns % (N // 4)
    inputs = np.concatenate((np.arange(views).reshape(-1, TILE)[:, VIEW].ravel(), np.arange(views, K)))
    w = w[columns][:, inputs]
    if unit == "amx":
        packed, offset = _amx_weights(w), np.zeros(N, np.int32)
    else:
        packed, offset = _vnni_weights(w), -128 * w.astype(np.int32).sum(1)
    offset = np.broadcast_to(offset, bias.shape)
    rows = (offset, mult[:, scales], offset + bias[:, columns])
    return packed, rows if split else (rows[0] if kind == "s32" else rows[2], rows[1])


def _depthwise(w, bias, mult):
    K = w.shape[1]
    channels = np.arange(K).reshape(-1, TILE)[:, ORDERS["u8"]]
    packed = np.zeros((K // TILE, 3, TILE, 4), np.int8)
    packed[..., :3] = w.reshape(3, 3, K)[:, :, channels].transpose(2, 1, 3, 0)
    sums = w.astype(np.int32).sum(0)
    return packed, ((bias - 128 * sums)[:, channels.ravel()], mult[:, channels.ravel()])


def _aligned(x):
    """Contiguous, from a multiple of 64 bytes on, as torch's memory is: tiles that cross cache lines load slowly."""
    return torch.from_numpy(np.ascontiguousarray(x)).clone().numpy()


def prepare(kind: str, w: Tensor, bias: Tensor, mult: Tensor, *, split: bool = False, views: int = 0) -> Layer | None:
    """The layer for the tiles of `kind` ("depthwise" or one of ORDERS), None where they can't run.

    w int8 [N, K] (depthwise [9, K]), bias int32 [R, N], mult int32 [R, N] (group [1, N / 4]). split: 16-bit inputs in
    two halves. The first `views` inputs come in order VIEW. The layer is kept with its weights, and made anew when a
    tensor was changed in place.
    """
    grain = TILE if kind == "depthwise" or split else 4
    if _unit == "torch" or w.shape[1] % grain or views % TILE or (kind != "depthwise" and w.shape[0] % TILE):
        return None
    unit = _unit if kind != "depthwise" and w.shape[1] >= _amx.DEPTH else "vnni"
    found: Layer | None = getattr(w, "packed_layer", None)
    versions = (w._version, bias._version, mult._version)
    if found is None or not _is_from(found.source, kind, unit, versions, bias, mult):
        arrays = w.numpy(), bias.numpy(), mult.numpy()
        packed, rows = _depthwise(*arrays) if kind == "depthwise" else _pointwise(*arrays, kind, split, views, unit)
        tables = np.stack(rows, axis=1).astype(np.int32)
        source = (kind, unit, versions, bias, mult)
        found = Layer(_aligned(packed), _aligned(tables), source)
        w.packed_layer = found  # type: ignore[attr-defined]  # a weak dictionary of tensors costs ten times the look-up
    return found


@compiled
def views(x, a):
    """8-bit views of a stream's rows int16 [n, C] to the first n rows of a."""
    for p in range(x.shape[0]):
        for c in range(x.shape[1]):
            a[p, c] = view(x[p, c])


@compiled
def _vector_s32(a, n, w, table, out):
    layer_s32(a, 0, a.shape[1], n, w, a.shape[1], table, out.shape[1], out, 0, out.shape[1])


@compiled
def _vector_s16(a, n, w, table, out):
    layer_s16(a, 0, a.shape[1], n, w, a.shape[1], table, out.shape[1], out, 0, out.shape[1])


@compiled
def _vector_u8(a, n, w, table, out):
    layer_u8(a, 0, a.shape[1], n, w, a.shape[1], table, out.shape[1], out, 0, out.shape[1])


@compiled
def _plain_s16(acc, bias, mult, out):
    for p in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[p, c] = clamp16(requant(acc[p, c], bias[c], mult[c]))


@compiled
def _plain_u8(acc, bias, mult, out):
    for p in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[p, c] = store_u8(requant(acc[p, c], bias[c], mult[c]))


def s32(a: Tensor, n: int, w: Tensor, bias: Tensor, mult: Tensor, out: Tensor) -> None:
    """Sums without the bias; the tables only let the layer be kept."""
    if (layer := prepare("s32", w, bias, mult)) is None:
        torch._int_mm(a[:n], w.t(), out=out[:n])
    else:
        _vector_s32(a.numpy(), n, layer.w, layer.tables[0], out.numpy())


def _requantised(vector, plain, kind, a, n, w, bias, mult, r, out):
    if (layer := prepare(kind, w, bias, mult)) is None:
        acc, acc_array = scratch("acc", (a.shape[0], w.shape[0]), torch.int32)
        torch._int_mm(a[:n], w.t(), out=acc[:n])
        plain(acc_array, bias[r].numpy(), mult[r].numpy(), out)
    else:
        vector(a.numpy(), n, layer.w, layer.tables[r], out)


def s16(a: Tensor, n: int, w: Tensor, bias: Tensor, mult: Tensor, r: int, out: np.ndarray) -> None:
    """out int16: clamp((sum + bias) * mult >> 33)."""
    _requantised(_vector_s16, _plain_s16, "s16", a, n, w, bias, mult, r, out)


def u8(a: Tensor, n: int, w: Tensor, bias: Tensor, mult: Tensor, r: int, out: np.ndarray) -> None:
    """out int8: the same limited to 0..255, less 128."""
    _requantised(_vector_u8, _plain_u8, "u8", a, n, w, bias, mult, r, out)
