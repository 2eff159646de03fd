"""Frames as users hand them in and get them back."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nvc.codec.errors import CodecError
from nvc.codec.geometry import Geometry
from nvc.models.lowdelay import Planes

Plane = np.ndarray | Tensor


class Frame(NamedTuple):
    """One decoded 4:2:0 picture: y uint8 [H, W], u and v uint8 [ceil(H/2), ceil(W/2)]; rows may be strided."""

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    pts: int  # in ticks of the stream's time base
    number: int  # 0 for the first frame of the stream
    key: bool
    qp: int

    def torch(self) -> tuple[Tensor, Tensor, Tensor]:
        """The planes as tensors that share their memory."""
        return torch.from_numpy(self.y), torch.from_numpy(self.u), torch.from_numpy(self.v)

    def tobytes(self) -> bytes:
        """y, u, v row by row: the bytes that `nvc decode --md5` hashes."""
        return b"".join(np.ascontiguousarray(p).tobytes() for p in (self.y, self.u, self.v))


def as_planes(y: Plane, u: Plane, v: Plane, geometry: Geometry) -> tuple[Tensor, Tensor, Tensor]:
    """Check planes against the stream's size. Raises CodecError with the offending plane."""
    luma = geometry.height, geometry.width
    return as_plane("y", y, luma), as_plane("u", u, geometry.chroma), as_plane("v", v, geometry.chroma)


def as_plane(name: str, plane: Plane, shape: tuple[int, ...]) -> Tensor:
    """One of them, of this shape."""
    tensor = torch.from_numpy(plane) if isinstance(plane, np.ndarray) else plane
    if tensor.dtype != torch.uint8 or tuple(tensor.shape) != shape:
        raise CodecError(f"plane {name} is {tensor.dtype} {tuple(tensor.shape)}, the stream needs uint8 {shape}")
    return tensor


def crop(planes: Planes, geometry: Geometry, pts: int, number: int, key: bool, qp: int) -> Frame:
    """The visible part of padded planes, copied."""
    shapes = (geometry.height, geometry.width), geometry.chroma, geometry.chroma
    y, u, v = (p[:h, :w].numpy().copy() for p, (h, w) in zip(planes, shapes, strict=True))
    return Frame(y, u, v, pts, number, key, qp)
