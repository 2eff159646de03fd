"""Products of the pointwise layers in the tile registers of CPUs with AMX: 16 pixels x 64 channels at a time.

One instruction multiplies 16 x 64 signed bytes by 64 x 16 and adds to 16 x 16 int32, exactly. Four registers hold sums,
one holds activations, three take turns with the weights; the sums then go through memory, since the vector unit, which
requantises them, can't read a tile. Rows that begin at multiples of 64 bytes load twice as fast as others.

Intel, "Intel Architecture Instruction Set Extensions Programming Reference", chapter on AMX.
"""

import ctypes
import platform
from contextlib import contextmanager

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core import cgutils

from nvc.kernels._vector import I8, I32, I64

ROWS = 16  # pixels of a tile
DEPTH = 64  # inputs of a tile, bytes of a row
_ACTIVATIONS, _WEIGHTS = 4, (5, 6, 7)
_REGISTERS = 8
_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18


def permitted() -> bool:
    """Whether this process may use the tile registers. Linux lends them only to those who ask."""
    features = binding.get_host_cpu_features()
    if platform.system() != "Linux" or not (features.get("amx-tile") and features.get("amx-int8")):
        return False
    asked: int = ctypes.CDLL(None).syscall(_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA)
    return asked == 0


def _call(v, name, *args):
    """Numbers among the arguments name registers; pointers are to bytes."""
    values = [I8(arg) if isinstance(arg, int) else arg for arg in args]
    values = [v.b.bitcast(x, I8.as_pointer()) if isinstance(x.type, ir.PointerType) else x for x in values]
    kind = ir.FunctionType(ir.VoidType(), [x.type for x in values])
    v.b.call(cgutils.get_or_insert_function(v.b.module, kind, f"llvm.x86.{name}"), values)


def _room(v, element, size):
    """Memory on the stack, at a multiple of 64 bytes."""
    space = cgutils.alloca_once(v.b, ir.ArrayType(element, size))
    space.align = 64
    return v.b.bitcast(space, element.as_pointer())


def _least(v, x, y):
    return v.b.select(v.b.icmp_signed("<", x, y), x, y)


@contextmanager
def _configured(v, rows):
    """Tiles of activations and sums have `rows` rows inside, those of weights 16; all rows have 64 bytes."""
    shape = [0] * 64
    shape[0] = 1  # the palette
    shape[16 : 16 + 2 * _REGISTERS : 2] = [DEPTH] * _REGISTERS
    shape[48 : 48 + _REGISTERS] = [ROWS] * _REGISTERS
    value = ir.Constant(ir.VectorType(I8, 64), shape)
    for n in range(_ACTIVATIONS + 1):
        value = v.b.insert_element(value, v.b.trunc(rows, I8), I32(48 + n))
    config = _room(v, I8, 64)
    v.store(value, config, I64(0))
    _call(v, "ldtilecfg", config)
    yield
    _call(v, "tilerelease")


def _products(v, a, at, sa, w, iw, k, table, init, room):
    """int32 [rows, 64] to `room`: 64 numbers of `table` plus rows of k activations, `sa` bytes apart, times the 64
    channels packed at iw.

    Where k is no multiple of 64 the last tile begins at k - 64, and its first weights are 0.
    """
    b = v.b
    for q in range(4):
        _call(v, "tileloadd64", q, b.gep(table, [v.at(init, I64(16), q)]), I64(0))
    with v.loop(b.lshr(b.add(k, I64(DEPTH - 1)), I64(6))) as block:
        begin = _least(v, b.shl(block, I64(6)), b.sub(k, I64(DEPTH)))
        _call(v, "tileloadd64", _ACTIVATIONS, b.gep(a, [b.add(at, begin)]), sa)
        weights = b.add(iw, b.shl(block, I64(12)))
        for q in range(4):
            register = _WEIGHTS[q % 3]
            _call(v, "tileloadd64", register, b.gep(w, [v.at(weights, I64(16 * DEPTH), q)]), I64(DEPTH))
            _call(v, "tdpbssd", q, _ACTIVATIONS, register)
    for q in range(4):
        _call(v, "tilestored64", q, b.gep(room, [I64(16 * q)]), I64(4 * 64))


class Products:
    """The products of one layer, n >= 1 pixels and k >= 64 inputs; interface as in nvc.kernels._vnni."""

    def __init__(self, v, a, ia, sa, n, w, k):
        self.v, self.a, self.ia, self.sa, self.n, self.w, self.k = v, a, ia, sa, n, w, k
        self.rows = _least(v, n, I64(ROWS))
        self.size = v.b.shl(v.b.lshr(v.b.add(k, I64(DEPTH - 1)), I64(6)), I64(12))  # of the weights of 64 channels

    def configured(self):
        return _configured(self.v, self.rows)

    def each(self, t, table, inits, then):
        v, b = self.v, self.v.b
        rooms = [_room(v, I32, ROWS * 64 + 1) for _ in inits]
        with v.loop(b.lshr(b.add(self.n, I64(ROWS - 1)), I64(4))) as tile:
            begin = b.shl(tile, I64(4))
            first = _least(v, begin, b.sub(self.n, self.rows))  # the last tile goes back, it must not read beyond
            at = b.add(self.ia, b.mul(first, self.sa))
            for part, (room, init) in enumerate(zip(rooms, inits, strict=True)):
                rows = self.a, v.at(at, self.k, part), self.sa
                _products(v, *rows, self.w, b.mul(t, self.size), self.k, table, init, room)
            with v.loop(_least(v, b.sub(self.n, begin), I64(ROWS))) as i:
                pixel = b.add(begin, i)
                row = b.shl(b.sub(pixel, first), I64(6))
                # odd lanes come to the places of the even ones by an address
                whole, odd = ([self._sums(rooms, v.at(row, I64(1), n), q) for q in range(4)] for n in (0, 1))
                then(pixel, list(zip(whole, odd, strict=True)))

    def _sums(self, rooms, row, q):
        high, *low = (self.v.load(room, self.v.at(row, I64(16), q), I32, 16) for room in rooms)
        return self.v.joined([high], low)[0] if low else high
