"""Runs the inline PTX of the kernels on numpy arrays: what Triton's interpreter cannot.

Only the instructions that the kernels use. An instance of the assembly takes `pack` neighbours of a tensor's last axis;
as on a GPU, where which these are depends on the layout, its results must not depend on it.
"""

import functools
import re

import numpy as np


def _bytes(words):
    return np.ascontiguousarray(words).view(np.uint8).reshape(*words.shape, 4)


def _signed(words):
    return _bytes(words).view(np.int8).astype(np.int32)


def _prmt(a, b, selector):
    """Bytes of a (0..3) and b (4..7) by the four lowest hexadecimal digits of selector, none above 7."""
    number = selector[..., None] >> np.array([0, 4, 8, 12], np.uint32) & 15
    assert number.max() < 8
    both = np.concatenate(np.broadcast_arrays(_bytes(a), _bytes(b)), -1)
    if number.ndim == 1:
        return np.ascontiguousarray(both[..., number]).view(np.uint32)[..., 0]
    return np.take_along_axis(both, number.astype(np.int64), -1).view(np.uint32)[..., 0]


def _vabsdiff4_add(a, b, c):
    return c + np.abs(_bytes(a).astype(np.int32) - _bytes(b)).sum(-1).astype(np.uint32)


def _dp4a(a, b, c):
    return c + (_signed(a) * _signed(b)).sum(-1).astype(np.uint32)


def _pack(dtype):
    """cvt.pack.sat: a above b, and of bytes the lower half of c above both."""
    limits, bits = np.iinfo(dtype), np.uint32(8 * np.dtype(dtype).itemsize)
    mask = np.uint32((1 << bits) - 1)

    def run(a, b, c=None):
        a, b = (np.clip(v.view(np.int32), limits.min, limits.max).view(np.uint32) & mask for v in (a, b))
        both = a << bits | b
        return both if c is None else c << np.uint32(16) | both

    return run


INSTRUCTIONS = {
    "vabsdiff4.u32.u32.u32.add": _vabsdiff4_add,
    "prmt.b32": _prmt,
    "dp4a.s32.s32": _dp4a,
    "shl.b32": np.left_shift,
    "shr.u32": np.right_shift,
    "and.b32": np.bitwise_and,
    "xor.b32": np.bitwise_xor,
    "cvt.pack.sat.s8.s32.b32": _pack(np.int8),
    "cvt.pack.sat.u8.s32.b32": _pack(np.uint8),
    "cvt.pack.sat.s16.s32": _pack(np.int16),
}
_STATEMENT = re.compile(r"\s*(\S+)\s+([^;]+);")  # instruction, operands


@functools.cache
def _statements(asm):
    """[(instruction, target, sources)]: names of registers, or immediate values."""
    parsed = []
    for name, operands in _STATEMENT.findall(asm.strip("{} ")):
        if name != ".reg":
            target, *sources = (operand.strip() for operand in operands.split(","))
            values = (np.uint32(int(s, 0)) if s[0].isdigit() else s for s in sources)
            parsed.append((INSTRUCTIONS[name], target, tuple(values)))
    return parsed


def _to_registers(tensor, pack):
    """uint32 arrays, one for each register that holds a share of an instance's `pack` elements."""
    if missing := -tensor.shape[-1] % pack:
        tensor = np.pad(tensor, [(0, 0)] * (tensor.ndim - 1) + [(0, missing)])
    registers, each = np.ascontiguousarray(tensor).view(np.uint32), pack * tensor.itemsize // 4
    return [registers[..., k::each] for k in range(each)]


def _from_registers(registers, dtype, columns):
    both = np.stack(np.broadcast_arrays(*registers), -1)
    return both.reshape(*both.shape[:-2], -1).view(dtype)[..., :columns]


def run(asm, tensors, dtypes, pack):
    """The tensors, one for each of `dtypes`, that the assembly makes of others, all of one shape."""
    each = [pack * np.dtype(dtype).itemsize // 4 for dtype in dtypes]
    values = dict(enumerate(r for t in tensors for r in _to_registers(np.atleast_1d(t), pack)))
    registers = {f"${sum(each) + n}": value for n, value in values.items()}
    for instruction, target, sources in _statements(asm):
        registers[target] = instruction(*(registers[s] if isinstance(s, str) else s for s in sources))
    outputs, shape = (registers[f"${n}"] for n in range(sum(each))), tensors[0].shape
    columns = shape[-1] if shape else 1
    parts = ([next(outputs) for _ in range(n)] for n in each)
    return [_from_registers(part, d, columns).reshape(shape) for part, d in zip(parts, dtypes, strict=True)]
