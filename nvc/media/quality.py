"""Peak signal-to-noise ratio with an exact mean square error."""

import math

import numpy as np

from nvc.media.frame import Plane

CAP = 100.0  # of equal planes, whose ratio is infinite: an average over frames stays finite


def psnr(a: Plane, b: Plane) -> float:
    """PSNR in dB of two uint8 planes of one shape; 100.0 for equal planes, and never more than that.

    The squared error is summed in integers, so the result does not depend on the order of summation.
    Raises ValueError for other dtypes, different shapes or empty planes.
    """
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"planes are {a.dtype} and {b.dtype}, expected uint8")
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"planes are {a.shape} and {b.shape}, expected one shape that is not empty")
    difference = np.subtract(a, b, dtype=np.int32)
    error = int(np.multiply(difference, difference).sum(dtype=np.int64))
    return min(CAP, 10 * math.log10(255 * 255 * a.size / error)) if error else CAP


def psnr_611(y: float, u: float, v: float) -> float:
    """The usual 4:2:0 average of plane PSNRs: (6 y + u + v) / 8."""
    return (6 * y + u + v) / 8
