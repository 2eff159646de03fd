"""Which kernels a frame runs, in which stage and at which cases: recorded while a session codes it.

A case is what a kernel's `make` and `cost` understand. It is found from the shapes of the operands, with the examples
that the kernel itself gives in `cases` and `bench_cases`.
"""

import inspect
import io
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nvc.codec.reader import Decoder
from nvc.codec.writer import Encoder
from nvc.kernels import TABLE
from nvc.kernels._rans import lane_count
from nvc.kernels._table import Case, Cost, Kernel
from nvc.models.weights import Model
from nvc.trace import marks

Picture = tuple[np.ndarray, np.ndarray, np.ndarray]  # planes y, u, v
BESIDE = "entropy"  # the stage of what runs in a thread of its own, outside of every span


class Call(NamedTuple):
    """One call of a kernel, with the operands that it had."""

    kernel: str
    case: Case
    stage: str
    operands: dict[str, Any]

    @property
    def cost(self) -> Cost:
        """Bytes and multiply-accumulates of the call."""
        return TABLE[self.kernel].cost(self.case)


class _Zeros:
    """Test data without the trouble: only its shapes count here."""

    pattern = "zero"

    def __call__(self, shape: tuple[int, ...], lo: int, hi: int, dtype: torch.dtype) -> Tensor:
        return torch.full(shape, min(max(0, lo), hi), dtype=dtype)


def _features(operands: dict[str, Any]) -> dict[str, int]:
    """Every number that the operands of a call show; a case is made of these."""
    seen: dict[str, int] = {}
    for name, value in operands.items():
        if isinstance(value, Tensor):
            for axis, size in enumerate(value.shape):
                seen |= {f"{name} axis {axis} / {part}": size // part for part in (1, 2, 4)}
            if value.dim() > 1 and value.numel():
                seen[f"{name} slack"] = value.stride(-2) - value.shape[-1]
            if value.numel() == 1:
                seen[f"{name} value"] = int(value)
            seen[f"{name} is wide"] = value.element_size() - 1
        elif value is not None:
            seen[f"{name} value"] = int(value)
    return seen


@cache
def _sources(name: str) -> tuple[str | None, ...]:
    """For every number of a kernel's case the feature that shows it, learned from the cases the kernel itself names."""
    kernel = TABLE[name]
    examples = [(case, _features(kernel.make(case, _Zeros()))) for case in (*kernel.cases, *kernel.bench_cases)]
    names = list(dict.fromkeys(feature for _, features in examples for feature in features))

    def source(i: int) -> str | None:
        return next((n for n in names if all(features.get(n, 0) == case[i] for case, features in examples)), None)

    return tuple(source(i) for i in range(len(kernel.cases[0])))


def case_of(kernel: Kernel, operands: dict[str, Any]) -> Case:
    """The case whose operands have the shapes of these. Raises ValueError when there is none."""
    # entropy coders: what is coded, not the buffers that it lies in
    if kernel.name == "rans_encode":  # cases of several lengths: those of the segments, and lanes
        lengths = operands["bounds"].diff().tolist()
        return *lengths, lane_count(sum(lengths), int(operands["lanes"]))
    if kernel.name == "rans_decode":
        return len(operands["rows"]), *(int(operands[name]) for name in ("count", "n_words", "lanes", "last"))
    features = _features(operands)
    case = tuple(features.get(source, 0) if source else 0 for source in _sources(kernel.name))
    made = kernel.make(case, _Zeros())
    for name, value in operands.items():
        if isinstance(value, Tensor) and value.shape != made[name].shape:
            raise ValueError(
                f"{kernel.name}: case {case} would have {name} {tuple(made[name].shape)}, not {tuple(value.shape)}"
            )
    return case


def _kept(operands: dict[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in operands.items()}


@contextmanager
def recorded(*, keep: bool = False) -> Iterator[list[Call]]:
    """The kernel calls made while the context lasts, in any thread; filled when it ends. One at a time in a process.

    `keep`: with copies of their operands, else with none.
    """
    counter, seen = itertools.count(), list[tuple[str, Case, dict[str, Any], int, int]]()
    run, found = Kernel.__call__, list[Call]()

    def call(kernel: Kernel, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        operands = inspect.signature(kernel.reference).bind(*args, **kwargs).arguments
        kept = _kept(operands) if keep else {}
        seen.append((kernel.name, case_of(kernel, operands), kept, threading.get_ident(), next(counter)))
        return run(kernel, *args, **kwargs | ({} if out is None else {"out": out}))

    Kernel.__call__ = call  # type: ignore[method-assign, assignment]
    try:
        with marks(lambda: (threading.get_ident(), next(counter))) as spans:
            yield found
    finally:
        Kernel.__call__ = run  # type: ignore[method-assign]
    for name, case, kept, thread, at in seen:
        around = [(a[1], stage) for stage, a, b in spans if a[0] == thread and a[1] < at < b[1] and stage not in TABLE]
        found.append(Call(name, case, max(around)[1] if around else BESIDE, kept))


def frame_calls(
    pictures: Sequence[Picture], qp: int, *, model: Model | None = None, keep: bool = False
) -> tuple[list[Call], list[Call]]:
    """Kernel calls of encoding and decoding the last of these pictures (planes uint8), coded in a row on the CPU with
    `model`, by default the shipped `fast` weights.

    A GPU runs the same kernels at the same cases. `keep` as in `recorded`.
    """
    stream, (height, width) = io.BytesIO(), pictures[0][0].shape
    with Encoder(stream, width, height, qp=qp, model=model, device="cpu", reconstructions=False) as encoder:
        for planes in pictures[:-1]:
            encoder.write(*planes)
        with recorded(keep=keep) as encoding:
            encoder.write(*pictures[-1])
    stream.seek(0)
    decoder = Decoder(stream, model=model, device="cpu")
    for _ in pictures[:-1]:
        next(decoder)
    with recorded(keep=keep) as decoding:
        next(decoder)
    return encoding, decoding
