"""Which kernels one frame runs, how often and at which cases: recorded while sessions code a picture on the CPU."""

import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from nvc.codec.decoder import FrameDecoder
from nvc.codec.encoder import FrameEncoder
from nvc.codec.geometry import Geometry
from nvc.kernels import TABLE
from nvc.kernels._table import Case, Kernel
from nvc.kernels.rans_encode import lane_count
from nvc.models.weights import shipped
from nvc.testing import splitmix64
from profiling.compile import Zeros

QP = 32
Calls = Counter[tuple[str, Case]]  # (kernel, case): how often


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
    cases = (*kernel.cases, *kernel.bench_cases)
    examples = [(case, _features(kernel.make(case, Zeros()))) for case in cases]
    names = list(dict.fromkeys(feature for _, features in examples for feature in features))

    def source(i: int) -> str | None:
        return next((n for n in names if all(features.get(n, 0) == case[i] for case, features in examples)), None)

    return tuple(source(i) for i in range(len(cases[0])))


def case_of(kernel: Kernel, operands: dict[str, Any]) -> Case:
    """The case whose operands have the shapes of these. Raises ValueError when there is none."""
    if kernel.name == "rans_encode":  # the one kernel whose cases differ in length: those of the segments, and lanes
        lengths = operands["bounds"].diff().tolist()
        return *lengths, int(operands["lanes"]) or lane_count(sum(lengths))
    features = _features(operands)
    case = tuple(features.get(source, 0) if source else 0 for source in _sources(kernel.name))
    made = kernel.make(case, Zeros())
    for name, value in operands.items():
        if isinstance(value, Tensor) and value.shape != made[name].shape:
            raise ValueError(
                f"{kernel.name}: case {case} would have {name} {tuple(made[name].shape)}, not {tuple(value.shape)}"
            )
    return case


@contextmanager
def recorded() -> Iterator[Calls]:
    """Counts the kernel calls made while the context lasts."""
    calls: Calls = Counter()
    run = Kernel.__call__

    def call(kernel: Kernel, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        operands = inspect.signature(kernel.reference).bind(*args, **kwargs).arguments
        calls[kernel.name, case_of(kernel, operands)] += 1
        return run(kernel, *args, **kwargs | ({} if out is None else {"out": out}))

    with patch.object(Kernel, "__call__", call):
        yield calls


def picture(width: int, height: int, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Planes of picture `number` of a made-up clip: waves and a little noise, moving by (2, 5) pixels a picture."""

    def plane(h: int, w: int, scale: int) -> Tensor:
        i = np.arange(h)[:, None] * scale + 2 * number
        j = np.arange(w)[None, :] * scale + 5 * number
        noise = (splitmix64(h * w, number) & np.uint64(3)).astype(np.int64).reshape(h, w)
        waves = np.abs((i * i // 1024 + j) % 200 - 100) + np.abs((3 * j - i) % 120 - 60)
        return torch.from_numpy((waves + noise).astype(np.uint8))

    chroma = (height + 1) // 2, (width + 1) // 2
    return plane(height, width, 1), plane(*chroma, 2), plane(*chroma, 2)


def frame_calls(width: int, height: int) -> dict[str, Calls]:
    """Kernel calls of one inter frame of preset `fast` at QP 32, about 0.08 bit a pixel, for `encode` and `decode`."""
    network, geometry = shipped("fast").network, Geometry(width, height)
    encoder, decoder = FrameEncoder(network, geometry), FrameDecoder(network, geometry)
    for number in range(3):  # the last: a keyframe's successor still makes up for what that lacks
        key = number == 0
        with recorded() as encoding:
            coded = encoder.encode(*picture(width, height, number), QP, key=key, reset=False)
        with recorded() as decoding:
            decoder.decode(coded.payload, QP, key=key, reset=False)
    return {"decode": decoding, "encode": encoding}
