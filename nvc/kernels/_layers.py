"""Pointwise layers of the cpu twins as vector code: products of 64 channels, requantised and stored while near.

The type of the packed weights says where the products come from: four dimensions, the vector unit (nvc.kernels._vnni);
five, tile registers (nvc.kernels._amx). Requantisation is the same. Arrays are C-contiguous; offsets count elements and
are not checked.
"""

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from nvc.kernels import _amx, _vnni
from nvc.kernels._vector import I8, I32, I64, emitted, intrinsic
from nvc.kernels._vnni import TILE, Emitter, narrowed_view

_SECOND = 1 << 16  # selects the second of two int16 in a product of pairs; 1 the first


def _narrow16(v, results):
    """int16 [2][32] of results [4] of `requant`, in the order of channels."""
    return [v.sorted(v.narrow16(results[q], results[q + 1])) for q in (0, 2)]


def _residual(v, results, x, ix):
    """Results plus 64 channels of x: a stream, or int32 as layer16_r32 leaves them."""
    if x.type.pointee is I32:
        return [v.b.add(result, v.load(x, v.at(ix, I64(16), q), I32, 16)) for q, result in enumerate(results)]
    pairs = [v.load(x, v.at(ix, I64(16), q), I32, 16) for q in (0, 0, 2, 2)]
    return [
        v.dot16(result, pair, v.constant(pair, _SECOND if q & 1 else 1))
        for q, (result, pair) in enumerate(zip(results, pairs, strict=True))
    ]


def _gated(v, sums, mult):
    """u8 - 128 of 16 channels: the sums of their four groups, each at least 0, added and requantised."""
    zero, total = v.constant(sums[0][0], 0), None
    for x, _ in sums:
        g = v.pairwise("smax", x, zero)
        total = g if total is None else v.b.add(total, g)
    s = v.pairwise("umin", v.requant_alone(total, mult[0]), v.constant(zero, 255))
    return v.flip(v.b.trunc(s, ir.VectorType(I8, 16)))


def _finish(v, kind, sums, mult, out, io, x, ix, views, iv):
    """From the sums [4] of a pixel to its results in memory."""
    if kind == "s32":
        for q in range(4):
            v.store(sums[q][0], out, v.at(io, I64(16), q))
        return
    if kind == "group":
        v.store(_gated(v, sums, mult), out, io)
        return
    results = v.requant(sums, mult)
    if kind == "r32":
        for q in range(4):
            v.store(results[q], out, v.at(io, I64(16), q))
    elif kind == "u8":
        pair = [v.narrow16(results[q], results[q + 1]) for q in (0, 2)]
        v.store(v.flip(v.sorted(v.narrow_u8(*pair))), out, io)
    else:
        halves = _narrow16(v, results if x is None else _residual(v, results, x, ix))
        for n, half in enumerate(halves):
            v.store(half, out, v.at(io, I64(32), n))
        if views is not None:
            v.store(narrowed_view(v, halves), views, iv)


def _layer(
    v,
    unit,
    kind,
    split,
    a,
    ia,
    sa,
    n,
    w,
    k,
    table,
    N,
    out,
    io,
    so,
    x=None,
    ix=None,
    sx=None,
    views=None,
    iv=None,
    sv=None,
):
    b, step = v.b, I64(16 if kind == "group" else TILE)
    products = unit.Products(v, a, ia, sa, n, w, k)
    with products.configured(), v.loop(b.udiv(N, I64(TILE))) as t:
        channel, column = b.mul(t, I64(TILE)), b.mul(t, step)
        inits = [channel, v.at(channel, N, 2)] if split else [channel]
        mult = [v.both(x) for x in v.table(table, b.add(channel, N))]

        def then(pixel, sums):
            def at(offset, stride):
                return None if offset is None else b.add(b.add(offset, b.mul(pixel, stride)), column)

            _finish(v, kind, sums, mult, out, at(io, so), x, at(ix, sx), views, at(iv, sv))

        products.each(t, table, inits, then)


def _unit(w):
    return _amx if w.ndim == 5 else _vnni


def _plain(kind, split=False):
    @intrinsic
    def layer(typingctx, a, ia, sa, n, w, k, table, N, out, io, so):
        args = (a, ia, sa, n, w, k, table, N, out, io, so)
        return emitted(types.none, args, lambda v, *args: _layer(v, _unit(w), kind, split, *args), Emitter)

    return layer


def _added(split=False):
    @intrinsic
    def layer(typingctx, a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx):
        args = (a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx)
        return emitted(types.none, args, lambda v, *args: _layer(v, _unit(w), "s16", split, *args), Emitter)

    return layer


# Layers of n pixels: activations from offset ia, rows sa apart, k inputs each; packed weights w; table int32 [2, N],
# bias then multiplier; results from offset io, rows so apart.
layer_s32 = _plain("s32")  # int32 sums with bias
layer_u8 = _plain("u8")  # ReLU, int8 value - 128
layer_group = _plain("group")  # ReLU, sum over the four groups, u8: N / 4 results
layer_s16 = _plain("s16")
layer_residual = _added()  # layer_s16 added to x, int16 or int32, rows sx apart from offset ix, before the limit
# The same for 16-bit activations: rows of k high bytes and k low bytes; the table's third row is the bias.
layer16_r32 = _plain("r32", split=True)  # requantised, int32; of 32 channels the even ones, then the odd ones
layer16_residual = _added(split=True)


@intrinsic
def layer_viewed(typingctx, a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx, views, iv, sv):
    """layer_residual that also stores the 8-bit view of its results, in order VIEW."""
    args = (a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx, views, iv, sv)
    return emitted(types.none, args, lambda v, *args: _layer(v, _unit(w), "s16", False, *args), Emitter)
