"""The dispatch table. A kernel is registered once, here; models, tests and benchmarks read the same entry."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nvc.trace import span

TABLE: dict[str, "Kernel"] = {}
_launching = False
Case = tuple[int, ...]
Result = Tensor | tuple[Tensor, ...]


class Fill(Protocol):
    """Source of integer test data; `nvc.testing.Fill` implements it."""

    pattern: str

    def __call__(self, shape: tuple[int, ...], lo: int, hi: int, dtype: torch.dtype) -> Tensor: ...


@dataclass(frozen=True)
class Cost:
    bytes: int  # compulsory traffic: every operand once
    macs: int  # integer multiply-accumulates


@dataclass(frozen=True)
class Kernel:
    """One contract, three implementations that agree bit for bit.

    `reference` is the specification: plain int64 torch on the CPU. `cpu` is fast and exact. `launch` is Triton, on CUDA
    tensors or, under the interpreter, CPU tensors. `cpu` and `launch` take the arguments of `reference` and
    `out`: tensors of the shapes and dtypes that `reference` returns (allocated when None), which they return.
    """

    name: str
    reference: Callable[..., Any]
    cpu: Callable[..., Any]
    launch: Callable[..., Any]
    make: Callable[[Case, Fill], dict[str, Any]]  # keyword arguments of every implementation
    cases: tuple[Case, ...]  # shapes of the correctness sweep
    bench_cases: tuple[Case, ...]  # shapes the codec really runs
    cost: Callable[[Case], Cost]

    def __post_init__(self) -> None:
        if TABLE.setdefault(self.name, self) is not self:
            raise ValueError(f"kernel {self.name!r} registered twice")

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Dispatch on the device of the first operand (and on `launching`, in tests)."""
        match x.device.type:
            case "cpu" if not _launching:
                implementation = self.cpu
            case "cpu" | "cuda":
                implementation = self.launch
            case other:
                raise NotImplementedError(f"{self.name}: no implementation for device {other!r}")
        with span(self.name):
            return implementation(x, *args, **kwargs)


@contextmanager
def launching() -> Iterator[None]:
    """Send CPU tensors to `launch` too: under the Triton interpreter, a GPU session without a GPU. For tests."""
    global _launching
    _launching = True
    try:
        yield
    finally:
        _launching = False
