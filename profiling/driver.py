"""A stand-in for the CUDA driver: Triton compiles for the target named, and a launch is noted instead of run.

Only for a process of its own, in which TRITON_INTERPRET is not set: Triton chooses between compiler and interpreter
when a kernel is decorated, and the driver is one for all.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import torch
import triton
from torch.utils._python_dispatch import TorchDispatchMode
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase

# bytes of shared memory that one program may have, by compute capability
SHARED_LIMIT = {80: 166912, 86: 101376, 89: 101376, 90: 232448, 100: 232448, 120: 101376}


@dataclass(frozen=True)
class Launch:
    """One launch: the compiled function, its grid and its compiled files by suffix (`ptx`, `cubin`)."""

    name: str
    grid: tuple[int, int, int]
    warps: int
    shared: int
    files: dict[str, Path]


# all that torch may be asked for between the launches of a kernel: memory for the output, and other views of it
_ALLOWED = {
    "empty",
    "empty_like",
    "new_empty",
    "view",
    "select",
    "slice",
    "permute",
    "transpose",
    "t",
    "unsqueeze",
    "detach",
}


class OnlyLaunches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises RuntimeError when the launch code of `kernel` has torch compute something or looks at a tensor's value.

    On a GPU either would be a launch of its own or a wait for all that came before, and end the capture of a graph.
    """

    def __init__(self, kernel: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kernel = kernel

    def __enter__(self) -> Self:
        self._patches = ExitStack()
        for name in ("tolist", "numpy", "cpu"):  # on a CPU tensor these are not torch operations
            self._patches.enter_context(patch.object(torch.Tensor, name, partial(self._refuse, f"Tensor.{name}")))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._patches.close()

    def _refuse(self, what: object, *_: Any) -> None:
        raise RuntimeError(f"{self._kernel}: the launch code calls {what}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ not in _ALLOWED:
            self._refuse(func)
        return func(*args, **kwargs or {})


class _Utils:
    def __init__(self, arch: int) -> None:
        self.properties = {"max_shared_mem": SHARED_LIMIT[arch], "multiprocessor_count": 132, "warpSize": 32}

    def load_binary(self, *binary: Any) -> tuple[int, ...]:
        return 0, 0, 0, 0, 1024  # module, function, registers, spills, threads that a program may have

    def get_device_properties(self, device: int) -> dict[str, int]:
        return self.properties

    def unload_module(self, module: int) -> None:
        """Triton calls this for every module at exit."""


class Driver(DriverBase):  # type: ignore[misc]
    """Pretends to be a GPU of compute capability `arch` (90: 9.0); `launches` grows with every launch."""

    def __init__(self, arch: int) -> None:
        self.arch, self.utils, self.launcher_cls = arch, _Utils(arch), self._launcher
        self.launches: list[Launch] = []
        self._files: dict[str, dict[str, Path]] = {}
        triton.knobs.runtime.kernel_load_end_hook.add(self._loaded)

    def _loaded(self, module: int, function: int, name: str, files: dict[str, str], digest: str) -> None:
        self._files[digest] = {Path(file).suffix[1:]: Path(path) for file, path in files.items()}

    def _launcher(self, source: Any, metadata: Any) -> Any:
        def launch(*args: Any) -> None:
            files = self._files[metadata.hash]
            self.launches.append(Launch(metadata.name, args[:3], metadata.num_warps, metadata.shared, files))

        return launch

    @staticmethod
    def is_active() -> bool:
        return True

    def map_python_to_cpp_type(self, ty: str) -> str:
        return ty

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.arch, 32)

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")

    def get_benchmarker(self) -> None:
        return None

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0
