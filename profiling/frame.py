"""Which kernels one frame runs, how often and at which cases: recorded while sessions code a picture on the CPU."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from nvc.kernels._table import Case
from nvc.kernels._tables import default_tables
from nvc.models.config import CONFIGS
from nvc.models.lowdelay import LowDelay
from nvc.models.weights import Model
from nvc.profile import calls
from nvc.profile.calls import BESIDE, Call, Picture
from nvc.testing import splitmix64

QP = 32
CODERS = frozenset({"rans_decode", "rans_encode"})
Calls = Counter[tuple[str, Case]]  # (kernel, case): how often


class Frame(NamedTuple):
    """What a frame runs. An encoder's graph has a branch, which begins and ends with the reconstruction."""

    calls: Calls  # all
    branch: Calls  # of these: coding the symbols
    line: Calls  # of these: reconstructing


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


def blank(preset: str) -> Model:
    """A network of the shape of a preset, with which every symbol is zero."""
    network = LowDelay(CONFIGS[preset])
    network.cdf.copy_(default_tables())
    return Model(network.eval(), bytes(32), {})


def frame_calls(width: int, height: int, preset: str = "fast") -> dict[str, Frame]:
    """Kernel calls of one inter frame at QP 32 for `encode` and `decode`, with `fast` at about 0.03 bit a pixel. There
    are no weights for `main`: its kernels are those of a blank network, and what is coded is what `fast` codes."""
    pictures = [picture(width, height, number) for number in range(3)]  # the second still mends what a keyframe lacks
    encode, decode = calls.frame_calls(pictures, QP)
    if preset != "fast":
        coders = [[call for call in work if call.kernel in CODERS] for work in (encode, decode)]
        works = calls.frame_calls(pictures, QP, model=blank(preset))
        encode, decode = (
            [call for call in work if call.kernel not in CODERS] + of_fast
            for work, of_fast in zip(works, coders, strict=True)
        )
    branch, line = (_count(call for call in encode if call.stage == stage) for stage in (BESIDE, "synthesise"))
    return {"decode": Frame(_count(decode), Calls(), Calls()), "encode": Frame(_count(encode), branch, line)}


def _count(found: Iterable[Call]) -> Calls:
    return Counter(call[:2] for call in found)
