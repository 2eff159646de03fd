"""Where a new scene begins, from the luma planes of a stream one by one, without looking ahead. Integers only: encoders
on all machines decide alike."""

import numpy as np
from torch import Tensor

from nvc.kernels._thumbnail import BLOCK, REACH, means, moved

ROWS = 36  # of a thumbnail, whatever the size of the picture
SAMPLED = 288  # rows that are looked at
SUDDEN = 5  # a cut changes this many times as much as the frame before did; wild camera work reached 4.4


def _thumbnail(luma: np.ndarray) -> np.ndarray:
    """int32 means of cells, about as wide as high, in whole blocks."""
    step = max(1, luma.shape[0] // SAMPLED)
    sampled = luma[::step, ::step]
    rows = min(ROWS, sampled.shape[0])
    columns = min(max(1, round(rows * sampled.shape[1] / sampled.shape[0])), sampled.shape[1])
    cells = np.empty((rows, columns), np.int32)
    means(sampled, cells)
    return np.pad(cells, [(0, -n % BLOCK) for n in cells.shape], "edge")


def _change(now: np.ndarray, before: np.ndarray) -> tuple[int, int]:
    """What `before`, each block moved as fits best, leaves of `now`; and what the blocks' means leave of it, and half a
    grey level, so that a flat picture leaves something."""
    height, width = now.shape
    blocks = now.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    mean = (2 * blocks.sum((1, 3), keepdims=True) + BLOCK * BLOCK) // (2 * BLOCK * BLOCK)
    return moved(now, np.pad(before, REACH, "edge")), int(np.abs(blocks - mean).sum()) + now.size // 2


class SceneCuts:
    """Fed every frame of a stream, tells the first ones of new scenes."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._last: tuple[int, int] | None = None

    def starts(self, luma: Tensor) -> bool:
        """Whether the frame with this uint8 plane [H, W] has less in common with the frame before than with flat
        blocks, and suddenly so. Not the first two frames: what is usual in the stream is not known then."""
        now, before, last = _thumbnail(luma.cpu().numpy()), self._before, self._last
        self._before = now
        if before is None:
            return False
        left, flat = self._last = _change(now, before)
        return last is not None and left >= flat and left * last[1] >= SUDDEN * last[0] * flat
