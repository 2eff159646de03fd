"""Whether a frame repeats the one before, by their luma planes. In integers: encoders on all machines decide alike."""

import numpy as np

BLOCK = 16
SAD = 384  # of a block that stands still, below this: 1.5 grey levels a pixel, noise
SHARE = 5, 6  # of all blocks, at least so many


def repeats(luma: np.ndarray, before: np.ndarray) -> bool:
    """Whether nearly all whole 16x16 blocks of uint8 `luma` [H, W] are as they were in `before`, of that shape."""
    rows, columns = (n // BLOCK for n in luma.shape)
    now, then = (
        p[: BLOCK * rows, : BLOCK * columns].astype(np.int16).reshape(rows, BLOCK, columns, BLOCK)
        for p in (luma, before)
    )
    still = int((np.abs(now - then).sum((1, 3), dtype=np.int32) < SAD).sum())
    part, whole = SHARE
    return rows * columns > 0 and whole * still >= part * rows * columns
