"""What tests change in Triton's interpreter: it runs inline PTX, and is faster."""

import numpy as np
import ptx


class _Call:
    def __init__(self, results):
        self.results = results

    def get_result(self, number):
        return self.results[number]


def adapt():
    """Once TRITON_INTERPRET is set."""
    from triton.language import core
    from triton.runtime import interpreter
    from triton.runtime.interpreter import InterpretedFunction, InterpreterBuilder, TensorHandle

    def create_inline_asm(self, asm, constraints, values, types, is_pure, pack):
        dtypes = [t.scalar for t in types]
        results = ptx.run(asm, [v.data for v in values], [np.dtype(str(dtype)) for dtype in dtypes], pack)
        return _Call([TensorHandle(r, dtype) for r, dtype in zip(results, dtypes, strict=True)])

    patch_and_call = InterpretedFunction.__call__

    def call(self, *arguments, **keywords):
        # The launch has replaced the functions of triton.language; those of `core`, which Triton's own device functions
        # use, the first such call does. Every call would do both again, which takes most of its time
        if core.is_builtin(core.full):
            return patch_and_call(self, *arguments, **keywords)
        return self.rewrite()(*arguments, **keywords)

    # it computes every sum twice, in 64 bits as well, for an assertion that it then leaves out
    interpreter.interpreter_builder.options = interpreter.InterpreterOptions(sanitize_overflow=False)
    InterpreterBuilder.create_inline_asm = create_inline_asm
    InterpretedFunction.__call__ = call
