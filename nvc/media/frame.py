"""What every source delivers and every sink takes: 8-bit 4:2:0 pictures and the facts needed to show them."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nvc.media.errors import MediaError

Plane = npt.NDArray[np.uint8]

UNSPECIFIED = 2  # H.273: this colour property is not known
MAX_SIDE = 65535
MAX_PIXELS = 1 << 28  # checked before anything is allocated: a hostile header cannot ask for terabytes
MAX_RATIONAL = (1 << 31) - 1  # containers keep both halves of a rational in 32 signed bits


@dataclass(frozen=True)
class VideoFormat:
    """Properties shared by all pictures of a video.

    width, height: luma samples, 1 .. 65535 each, at most 2^28 together; chroma planes have ceil(size / 2).
    time_base: seconds per tick of `Planes.pts`. frame_rate: nominal pictures per second, None when unknown.
    primaries, transfer, matrix: H.273 code points, 2 = unspecified. full_range: luma 0 .. 255 instead of 16 .. 235.
    sample_aspect: width / height of a pixel, 1 when unknown. rotation: degrees counter-clockwise for display.
    Raises MediaError for values outside these ranges.
    """

    width: int
    height: int
    time_base: Fraction = Fraction(1, 25)
    frame_rate: Fraction | None = Fraction(25)
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool = False
    sample_aspect: Fraction = Fraction(1)
    rotation: int = 0

    def __post_init__(self) -> None:
        w, h = self.width, self.height
        if not (1 <= w <= MAX_SIDE and 1 <= h <= MAX_SIDE and w * h <= MAX_PIXELS):
            raise MediaError(f"a picture size of {w}x{h} is outside 1x1 .. {MAX_SIDE} a side and {MAX_PIXELS} pixels")
        for name in ("time_base", "frame_rate", "sample_aspect"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and max(value.numerator, value.denominator) <= MAX_RATIONAL):
                raise MediaError(f"{name.replace('_', ' ')} {value} is not a positive ratio of 32-bit integers")

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """[rows, columns] of the planes y, u, v."""
        chroma = ((self.height + 1) // 2, (self.width + 1) // 2)
        return (self.height, self.width), chroma, chroma

    @property
    def frame_ticks(self) -> int:
        """Nominal duration of a picture in ticks, at least 1; 1/25 s when the rate is unknown."""
        return max(1, round(1 / ((self.frame_rate or Fraction(25)) * self.time_base)))


class Planes(NamedTuple):
    """One picture: y uint8 [H, W], u and v uint8 [ceil(H/2), ceil(W/2)], pts in ticks of `VideoFormat.time_base`.

    Sources deliver C-contiguous arrays, possibly read-only views of a mapped file; pts strictly increases.
    """

    y: Plane
    u: Plane
    v: Plane
    pts: int


def check_planes(format: VideoFormat, picture: Planes) -> None:
    """Raise ValueError unless the planes have the dtype and shapes of `format`."""
    for name, plane, shape in zip("yuv", picture[:3], format.shapes, strict=True):
        if plane.shape != shape or plane.dtype != np.uint8:
            raise ValueError(f"plane {name} is {plane.dtype} {plane.shape}, expected uint8 {shape}")
