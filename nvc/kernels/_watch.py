"""Waiting for another thread without sleeping: a numba loop, outside the interpreter lock."""

import platform

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from nvc.kernels._fixed import compiled
from nvc.kernels._vector import intrinsic

ROUNDS = 20_000  # some 300 us with, some 20 us without an instruction to pause
_PAUSES = {"x86_64": "llvm.x86.sse2.pause", "AMD64": "llvm.x86.sse2.pause"}
_PAUSE = _PAUSES.get(platform.machine())


@intrinsic
def _peek(typingctx, array):
    """The first element of an int64 array, read from memory each time."""

    def code(context, b, signature, args):
        pointer = context.make_array(signature.args[0])(context, b, args[0]).data
        if _PAUSE is not None:
            b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(ir.VoidType(), []), _PAUSE), [])
        return b.load_atomic(pointer, "acquire", 8)

    return types.int64(array), code


@compiled
def changed(array, old):
    """Watch the first element of an int64 array for a while; whether it was seen to differ from `old`."""
    for _ in range(ROUNDS):  # noqa: SIM110  numba has no generator expressions
        if _peek(array) != old:
            return True
    return False
