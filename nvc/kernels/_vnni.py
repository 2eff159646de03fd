"""Vector code of the pointwise layers for CPUs with AVX-512 VNNI: tiles of 6 pixels x 64 channels, all in registers.

`vpdpbusd` multiplies four unsigned by four signed bytes and adds to int32, exactly: activations a are int8 in memory,
become a + 128 on the way (one xor), weights are signed, and 128 * (sum of a channel's weights) is taken off the bias.
Requantisation happens while the sums are still in registers. Sums lie in the order of channels that the packing
instructions of the epilogue want (ORDERS); weights and tables are packed in that order (nvc.kernels._gemm).

Arrays are C-contiguous; offsets count elements and are not checked.
"""

from contextlib import contextmanager

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from nvc.kernels._vector import I8, I16, I32, I64, Builder, emitted, intrinsic

TILE = 64  # channels of a tile: four vectors of sixteen sums
PIXELS = 6  # 6 x 4 sums, 4 vectors of weights and the activations fit into 32 registers
V16 = ir.VectorType(I32, 16)

# ORDERS[kind][16 q + lane]: the channel of a tile whose sum lies in that lane of vector q
_lane = np.arange(16)
ORDERS = {
    "u8": np.concatenate([16 * (_lane >> 2) + 4 * q + (_lane & 3) for q in range(4)]),
    "s16": np.concatenate([32 * (q >> 1) + 8 * (_lane >> 2) + 4 * (q & 1) + (_lane & 3) for q in range(4)]),
    "s32": np.arange(TILE),
    "r32": np.arange(TILE),
    "group": np.arange(TILE),  # 16 hidden channels of each of the four groups
}
# where a view stored by 64 channels lies: stored[n] is channel VIEW[n]
VIEW = np.array([32 * (n >> 3 & 1) + 8 * (n >> 4) + (n & 7) for n in range(TILE)])


class Emitter(Builder):
    """What the tiles share, on top of the plain vector operations."""

    def shuffle(self, x, y, lanes):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), [int(n) for n in lanes]))

    def dot(self, acc, a, w):
        """acc + sums over four bytes of unsigned a times signed w. LLVM 22 has byte vectors here and upgrades these."""
        return self.call("llvm.x86.avx512.vpdpbusd.512", V16, (acc, a, w))

    def call(self, name, returns, args):
        f = ir.FunctionType(returns, [a.type for a in args])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, f, name), args)

    def narrow16(self, x, y):
        """Two vectors of int32 to int16, saturated, interleaved by 128-bit lanes."""
        return self.call("llvm.x86.avx512.packssdw.512", ir.VectorType(I16, 32), (x, y))

    def narrow_s8(self, x, y):
        return self.call("llvm.x86.avx512.packsswb.512", ir.VectorType(I8, 64), (x, y))

    def narrow_u8(self, x, y):
        return self.call("llvm.x86.avx512.packuswb.512", ir.VectorType(I8, 64), (x, y))

    def flip(self, x):
        """Bytes with the top bit flipped: int8 v to unsigned v + 128, or back."""
        return self.b.xor(x, self.constant(x, -128))

    def high(self, x, y):
        """floor(x * y / 2^32) of each int32 lane."""
        wide, even, odd = ir.VectorType(I64, 8), None, None
        x, y = self.b.bitcast(x, wide), self.b.bitcast(y, wide)
        n = self.constant(x, 32)
        even = self.b.mul(self.b.ashr(self.b.shl(x, n), n), self.b.ashr(self.b.shl(y, n), n))
        odd = self.b.mul(self.b.ashr(x, n), self.b.ashr(y, n))
        even = self.b.bitcast(self.b.lshr(even, n), V16)
        return self.shuffle(even, self.b.bitcast(odd, V16), [n + 16 * (n & 1) for n in range(16)])

    def requant(self, acc, mult):
        """(acc * mult + 2^32) >> 33, the bias already in acc."""
        one = self.constant(acc, 1)
        return self.b.ashr(self.b.add(self.high(acc, mult), one), one)

    def sums(self, pixels, a, ia, sa, w, iw, init, count):
        """Sums [pixels][4] of a tile, added to init: rows of `a` from ia, sa apart, `count` groups of four channels."""
        b, rows = self.b, [self.at(ia, sa, m) for m in range(pixels)]
        first = b.block
        loop, after = b.append_basic_block("groups"), b.append_basic_block("summed")
        b.branch(loop)
        b.position_at_end(loop)
        k = b.phi(I64)
        acc = [[b.phi(V16) for _ in range(4)] for _ in range(pixels)]
        at = b.add(iw, b.shl(k, I64(8)))
        weights = [b.bitcast(self.load(w, b.add(at, I64(64 * q)), I8, 64), V16) for q in range(4)]
        for m in range(pixels):
            p = b.bitcast(b.gep(a, [b.add(rows[m], b.shl(k, I64(2)))]), I32.as_pointer())
            group = self.splat(b.xor(b.load(p, align=1), I32(-0x7F7F7F80)), 16)
            for q in range(4):
                total = self.dot(acc[m][q], group, weights[q])
                acc[m][q].add_incoming(init[m][q], first)
                acc[m][q].add_incoming(total, loop)
                acc[m][q] = total
        k.add_incoming(I64(0), first)
        step = b.add(k, I64(1))
        k.add_incoming(step, loop)
        b.cbranch(b.icmp_signed("<", step, count), loop, after)
        b.position_at_end(after)
        return acc

    @contextmanager
    def loop(self, count):
        with cgutils.for_range(self.b, count, intp=I64) as loop:
            yield loop.index

    def table(self, table, at):
        return [self.load(table, self.b.add(at, I64(16 * q)), I32, 16) for q in range(4)]

    def widen(self, x, y):
        """32 channels, int16 in x or int32 in x and y, as the two int32 vectors that narrow16 takes back."""
        for half in (0, 4):
            part = self.shuffle(x, y, [8 * (n >> 2) + half + (n & 3) for n in range(16)])
            yield part if part.type.element is I32 else self.sext(part, I32)


def _store_u8(v, results, out, io):
    """Four vectors in order "u8", clamped to 0..255, stored as int8 value - 128."""
    pair = [v.narrow16(results[q], results[q + 1]) for q in (0, 2)]
    v.store(v.flip(v.narrow_u8(*pair)), out, io)


def _store_s16(v, results, out, io):
    halves = [v.narrow16(results[q], results[q + 1]) for q in (0, 2)]
    for n, half in enumerate(halves):
        v.store(half, out, v.at(io, I64(32), n))
    return halves


def narrowed_view(v, halves):
    """int8 [64] in order VIEW: clamp((x + 4) >> 3, -128, 127) of two int16 [32]."""
    parts = []
    for x in halves:
        x = v.pairwise("sadd.sat", x, v.constant(x, 4))
        parts.append(v.b.ashr(x, v.constant(x, 3)))
    return v.narrow_s8(*parts)


def _residual(v, results, x, ix):
    """Results plus 64 channels of x, a stream or int32."""
    added = []
    for n in (0, 2):
        if x.type.pointee is I16:
            loaded = v.load(x, v.at(ix, I64(16), n), I16, 32)
            parts = v.widen(loaded, loaded)
        else:
            pair = [v.load(x, v.at(ix, I64(16), n + i), I32, 16) for i in range(2)]
            parts = v.widen(*pair)
        added += [v.b.add(result, part) for result, part in zip(results[n : n + 2], parts, strict=True)]
    return added


def _epilogue(v, kind, acc, mult, out, io, so, x, ix, sx, views, iv, sv):
    """From the sums [pixels][4] of a tile to its results in memory."""
    for m, sums in enumerate(acc):
        at = v.at(io, so, m)
        if kind in ("s32", "r32"):
            for q in range(4):
                v.store(sums[q] if kind == "s32" else v.requant(sums[q], mult[q]), out, v.at(at, I64(16), q))
        elif kind == "group":
            zero, total = v.constant(sums[0], 0), None
            for q in range(4):
                g = v.pairwise("smax", sums[q], zero)
                total = g if total is None else v.b.add(total, g)
            s = v.pairwise("smin", v.requant(total, mult[0]), v.constant(zero, 255))
            v.store(v.flip(v.b.trunc(s, ir.VectorType(I8, 16))), out, at)
        else:
            results = [v.requant(sums[q], mult[q]) for q in range(4)]
            if kind == "u8":
                _store_u8(v, results, out, at)
                continue
            if x is not None:
                results = _residual(v, results, x, v.at(ix, sx, m))
            halves = _store_s16(v, results, out, at)
            if views is not None:
                v.store(narrowed_view(v, halves), views, v.at(iv, sv, m))


def _layer(
    v, kind, split, a, ia, sa, n, w, k, table, N, out, io, so, x=None, ix=None, sx=None, views=None, iv=None, sv=None
):
    """Tiles of 64 channels; in each, groups of PIXELS pixels and then single ones."""
    b, groups = v.b, v.b.lshr(k, I64(2))
    step = I64(16 if kind == "group" else TILE)
    full = b.mul(b.udiv(n, I64(PIXELS)), I64(PIXELS))
    with v.loop(b.udiv(N, I64(TILE))) as t:
        channel = b.mul(t, I64(TILE))
        bias, mult = v.table(table, channel), v.table(table, b.add(N, channel))
        iw, column = b.mul(channel, k), b.mul(t, step)

        def pixels(count, m):
            row = b.add(ia, b.mul(m, sa))
            acc = v.sums(count, a, row, sa, w, iw, [bias] * count, groups)
            if split:
                low = v.table(table, b.add(b.shl(N, I64(1)), channel))
                acc = [[b.add(b.shl(s, v.constant(s, 8)), low[q]) for q, s in enumerate(sums)] for sums in acc]
                acc = v.sums(count, a, b.add(row, k), sa, w, iw, acc, groups)
            rest = [o if o is None else b.add(b.add(o, b.mul(m, s)), column) for o, s in ((ix, sx), (iv, sv))]
            _epilogue(
                v, kind, acc, mult, out, b.add(b.add(io, b.mul(m, so)), column), so, x, rest[0], sx, views, rest[1], sv
            )

        with v.loop(b.udiv(n, I64(PIXELS))) as m:
            pixels(PIXELS, b.mul(m, I64(PIXELS)))
        with v.loop(b.sub(n, full)) as m:
            pixels(1, b.add(full, m))


def _plain(kind, split=False):
    @intrinsic
    def layer(typingctx, a, ia, sa, n, w, k, table, N, out, io, so):
        args = (a, ia, sa, n, w, k, table, N, out, io, so)
        return emitted(types.none, args, lambda v, *args: _layer(v, kind, split, *args), Emitter)

    return layer


def _added(split=False):
    @intrinsic
    def layer(typingctx, a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx):
        args = (a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx)
        return emitted(types.none, args, lambda v, *args: _layer(v, "s16", split, *args), Emitter)

    return layer


# Layers of n pixels: activations from offset ia, rows sa apart, k inputs each; packed weights w; table int32 [2, N],
# bias then multiplier; results from offset io, rows so apart.
layer_s32 = _plain("s32")  # int32 sums with bias
layer_u8 = _plain("u8")  # ReLU, int8 value - 128
layer_group = _plain("group")  # ReLU, sum over the four groups, u8: N / 4 results
layer_s16 = _plain("s16")
layer_residual = _added()  # layer_s16 added to x, int16 or int32, rows sx apart from offset ix, before the limit
# The same for 16-bit activations: rows of k high bytes and k low bytes; the table's third row is the bias.
layer16_r32 = _plain("r32", split=True)  # requantised, int32
layer16_residual = _added(split=True)


@intrinsic
def layer_viewed(typingctx, a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx, views, iv, sv):
    """layer_residual that also stores the 8-bit view of its results, in order VIEW."""
    args = (a, ia, sa, n, w, k, table, N, out, io, so, x, ix, sx, views, iv, sv)
    return emitted(types.none, args, lambda v, *args: _layer(v, "s16", False, *args), Emitter)
