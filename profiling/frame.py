"""Which kernels one frame runs, how often and at which cases: recorded while sessions code a picture on the CPU."""

from collections import Counter

import numpy as np

from nvc.kernels._table import Case
from nvc.profile import calls
from nvc.profile.calls import Picture
from nvc.testing import splitmix64

QP = 32
Calls = Counter[tuple[str, Case]]  # (kernel, case): how often


def picture(width: int, height: int, number: int) -> Picture:
    """Planes uint8 of picture `number` of a made-up clip: waves and noise that move by (2, 5) pixels a picture."""

    def plane(h: int, w: int, scale: int) -> np.ndarray:
        i = np.arange(h)[:, None] * scale + 2 * number
        j = np.arange(w)[None, :] * scale + 5 * number
        noise = (splitmix64(h * w, number) & np.uint64(3)).astype(np.int64).reshape(h, w)
        waves = np.abs((i * i // 1024 + j) % 200 - 100) + np.abs((3 * j - i) % 120 - 60)
        return (waves + noise).astype(np.uint8)

    chroma = (height + 1) // 2, (width + 1) // 2
    return plane(height, width, 1), plane(*chroma, 2), plane(*chroma, 2)


def frame_calls(width: int, height: int) -> dict[str, Calls]:
    """Kernel calls of one inter frame of preset `fast` at QP 32, about 0.08 bit a pixel, for `encode` and `decode`."""
    pictures = [picture(width, height, number) for number in range(3)]  # the second still mends what a keyframe lacks
    encode, decode = calls.frame_calls(pictures, QP)
    return {"decode": Counter(call[:2] for call in decode), "encode": Counter(call[:2] for call in encode)}
