"""Buffers of one stream, allocated at its first frame: fresh memory costs the operating system as much as a layer."""

import torch
from torch import Tensor


class Workspace:
    """Tensors by name and shape, on one device. What is alive together has different names."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """The buffer of this name and shape; a name has one dtype. It holds whatever was last written."""
        found = self._buffers.get((name, shape))
        if found is None:
            found = self._buffers[name, shape] = torch.empty(shape, dtype=dtype, device=self._device)
        return found

    def s8(self, name: str, *shape: int) -> Tensor:
        return self(name, shape, torch.int8)

    def s16(self, name: str, *shape: int) -> Tensor:
        return self(name, shape, torch.int16)

    def u8(self, name: str, *shape: int) -> Tensor:
        return self(name, shape, torch.uint8)
