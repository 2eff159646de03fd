"""What the AVX-512 code of the cpu twins shares, and products by VNNI: 6 pixels x 64 channels at a time, in registers.

`vpdpbusd` multiplies four unsigned by four signed bytes and adds to int32, exactly: activations a are int8 in memory,
become a + 128 on the way (one xor), weights are signed, and 128 * (sum of a channel's weights) is taken off the bias.
Sums lie in the order of channels that the packing instructions of the epilogue want (ORDERS); weights and tables are
packed in that order (nvc.kernels._gemm).

Arrays are C-contiguous; offsets count elements and are not checked.
"""

from contextlib import contextmanager, nullcontext

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

from nvc.kernels._vector import I8, I16, I32, I64, Builder

TILE = 64  # channels of a tile: four vectors of sixteen sums
PIXELS = 6  # 6 x 4 sums, 4 vectors of weights and the activations fit into 32 registers
V16, V8 = ir.VectorType(I32, 16), ir.VectorType(I64, 8)

# ORDERS[kind][16 q + lane]: the channel of a tile whose sum lies in that lane of vector q
_lane = np.arange(16)
ORDERS = {
    "u8": np.concatenate([16 * (_lane >> 2) + 4 * q + (_lane & 3) for q in range(4)]),
    "s16": np.concatenate([32 * (q >> 1) + 8 * (_lane >> 2) + 4 * (q & 1) + (_lane & 3) for q in range(4)]),
    "s32": np.arange(TILE),
    "group": np.arange(TILE),  # 16 hidden channels of each of the four groups
}
ORDERS["r32"] = ORDERS["s16"]
# where a view stored by 64 channels lies: stored[n] is channel VIEW[n]
VIEW = np.array([32 * (n >> 3 & 1) + 8 * (n >> 4) + (n & 7) for n in range(TILE)])


class Emitter(Builder):
    """What the tiles share, on top of the plain vector operations."""

    def dot8(self, acc, a, w):
        """acc + sums over four bytes of unsigned a times signed w. LLVM 22 has byte vectors here and upgrades these."""
        return self.call("llvm.x86.avx512.vpdpbusd.512", V16, (acc, a, w))

    def dot16(self, acc, a, w):
        """acc + sums over two int16 of a times w."""
        return self.call("llvm.x86.avx512.vpdpwssd.512", V16, (acc, a, w))

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

    def odd(self, x):
        """Odd int32 lanes in the places of the even ones."""
        wide = self.b.bitcast(x, V8)
        return self.b.bitcast(self.b.lshr(wide, self.constant(wide, 32)), V16)

    def both(self, x):
        """x, and its odd lanes in the places of the even ones: what `requant` wants of multipliers and sums."""
        return x, self.odd(x)

    def _wide(self, x, y):
        """int64 [8] products of the even int32 lanes, as int32 [16]."""
        even = []
        for t in (x, y):
            t = self.b.bitcast(t, V8)
            n = self.constant(t, 32)
            even.append(self.b.ashr(self.b.shl(t, n), n))
        return self.b.bitcast(self.b.mul(*even), V16)

    def _rounded(self, high):
        one = self.constant(high, 1)
        return self.b.ashr(self.b.add(high, one), one)

    def requant(self, sums, mult):
        """(sum * mult + 2^32) >> 33 of operands [4] as from `both`. Of vectors 0 and 1, then of 2 and 3, the even lanes
        come in one vector, the odd ones in another: in 128 bits two of the first, then two of the second."""
        results = []
        for q in (0, 2):
            for n in (0, 1):
                x, y = (self._wide(sums[q + i][n], mult[q + i][n]) for i in (0, 1))
                lanes = [4 * g + at for g in range(4) for at in (1, 3, 17, 19)]
                results.append(self._rounded(self.lanes(x, y, lanes)))
        return results

    def requant_alone(self, x, mult):
        """The same of one vector, its lanes where they were."""
        even, odd = (self._wide(s, m) for s, m in zip(self.both(x), mult, strict=True))
        return self._rounded(self.lanes(self.odd(even), odd, [n + 16 * (n & 1) for n in range(16)]))

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
                total = self.dot8(acc[m][q], group, weights[q])
                acc[m][q].add_incoming(init[m][q], first)
                acc[m][q].add_incoming(total, loop)
                acc[m][q] = total
        k.add_incoming(I64(0), first)
        step = b.add(k, I64(1))
        k.add_incoming(step, loop)
        b.cbranch(b.icmp_signed("<", step, count), loop, after)
        b.position_at_end(after)
        return acc

    def joined(self, high, low):
        """256 high + low, vectors [4]."""
        return [self.b.add(self.b.shl(x, self.constant(x, 8)), y) for x, y in zip(high, low, strict=True)]

    @contextmanager
    def loop(self, count):
        with cgutils.for_range(self.b, count, intp=I64) as loop:
            yield loop.index

    def table(self, table, at):
        return [self.load(table, self.b.add(at, I64(16 * q)), I32, 16) for q in range(4)]

    def sorted(self, x):
        """Bytes or int16 narrowed from results of `requant`, which lie as 0, 2, 4, 6, 1, 3, 5, 7, (...) in 128 bits."""
        n = 128 // x.type.element.width
        return self.lanes(x, x, [i - i % 8 + 4 * (i % 2) + i % 8 // 2 for i in range(4 * n)])


def narrowed_view(v, halves):
    """int8 [64] in order VIEW: clamp((x + 4) >> 3, -128, 127) of two int16 [32]."""
    parts = []
    for x in halves:
        x = v.pairwise("sadd.sat", x, v.constant(x, 4))
        parts.append(v.b.ashr(x, v.constant(x, 3)))
    return v.narrow_s8(*parts)


class Products:
    """The products of one layer: n pixels from offset ia of `a`, rows sa apart, k inputs each, with weights `w`."""

    def __init__(self, v, a, ia, sa, n, w, k):
        self.v, self.a, self.ia, self.sa, self.n, self.w, self.k = v, a, ia, sa, n, w, k

    def configured(self):
        """A context around `each`."""
        return nullcontext()

    def each(self, t, table, inits, then):
        """Call then(pixel, sums [4]) for tile t of 64 channels, from within loops over all pixels; sums are as from
        `both`. From `inits`, one or two offsets in table, come 64 numbers to add; with two, rows hold k high and k low
        bytes, and the sums of the first count 256 times."""
        v, b = self.v, self.v.b
        iw, groups = b.mul(t, b.mul(I64(TILE), self.k)), b.lshr(self.k, I64(2))
        inits = [v.table(table, init) for init in inits]

        def pixels(count, m):
            row = b.add(self.ia, b.mul(m, self.sa))
            acc: list[list[ir.Value]] = []
            for part, init in enumerate(inits):
                base = [v.joined(sums, init) for sums in acc] if acc else [init] * count
                acc = v.sums(count, self.a, v.at(row, self.k, part), self.sa, self.w, iw, base, groups)
            for i, sums in enumerate(acc):
                then(b.add(m, I64(i)), [v.both(x) for x in sums])

        full = b.mul(b.udiv(self.n, I64(PIXELS)), I64(PIXELS))
        with v.loop(b.udiv(self.n, I64(PIXELS))) as m:
            pixels(PIXELS, b.mul(m, I64(PIXELS)))
        with v.loop(b.sub(self.n, full)) as m:
            pixels(1, b.add(full, m))
