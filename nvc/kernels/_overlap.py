"""How the quarters of a block share it with the blocks around, and the numbers that code this.

A block's byte has two bits for each of its 8x8 quarters, the top left one lowest, then top right, bottom left: what its
samples are predicted from, with weights in 32nds.

    0 BLENDED     all three: the own vector, those of the neighbours above or below and to the left or right
    1 OWN         the own vector alone
    2 VERTICAL    the vector of the neighbour above or below, towards the middle of the block the own one
    3 HORIZONTAL  the vector of the neighbour to the left or right, towards the middle of the block the own one

The byte that is number r in `BYTES`, the frequent ones first, is coded as the difference 0, -1, 1, -2, 2, .. for
r = 0, 1, 2, 3, 4, ..: bytes with few quarters that differ from 0, then those with few different ones.
"""

import functools

import numpy as np
import torch
from torch import Tensor

QUARTERS = tuple((row, column) for row in (0, 1) for column in (0, 1))
BLENDED, OWN, VERTICAL, HORIZONTAL = range(4)  # kinds
# of a sample's prediction that come from a neighbouring block's vector, by distance from the common edge
OVERLAP = np.array((9, 8, 7, 5, 4, 3, 2, 1), np.int16)
OVERLAP_CHROMA = np.array((8, 6, 4, 1), np.int16)


def _order() -> np.ndarray:
    def effort(byte: int) -> tuple[int, int, int]:
        kinds = [byte >> 2 * quarter & 3 for quarter in range(4)]
        changed = [kind for kind in kinds if kind != BLENDED]
        return len(changed), len(set(changed)), byte

    return np.array(sorted(range(256), key=effort), np.uint8)


BYTES = _order()
RANKS = np.argsort(BYTES).astype(np.uint8)
_TABLES = torch.from_numpy(np.stack((BYTES, RANKS)))


@functools.cache
def tables_on(device: torch.device) -> Tensor:
    """uint8 [2, 256]: BYTES and RANKS. Copied to a device once."""
    return _TABLES.to(device)


def differences(overlap: Tensor) -> Tensor:
    """What codes the bytes `overlap`, of any shape; int64, -128 .. 127."""
    rank = torch.from_numpy(RANKS)[overlap.long()].long()
    return torch.where(rank & 1 > 0, -(rank + 1 >> 1), rank >> 1)


def restored(differences: Tensor) -> Tensor:
    """The bytes that such differences code, uint8; of any other, the last of `BYTES`."""
    d = differences.long()
    return torch.from_numpy(BYTES)[(2 * d.abs() - (d < 0).long()).clamp(max=255)]


def ramps(overlap: np.ndarray) -> np.ndarray:
    """int16 [4, n]: weights of the leading neighbour by kind and distance from the common edge: those of `overlap`,
    none, or what `overlap` leaves of the whole where the own vector takes the neighbour's part."""
    none = np.zeros_like(overlap)
    return np.stack((overlap, none, 32 - overlap[::-1], none))


def down_and_across(overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int16 [4, 2 n] each: weights of the vertical neighbour by kind and row of the block, and of the horizontal one by
    kind and column."""
    down = ramps(overlap)
    across = down[[BLENDED, OWN, HORIZONTAL, VERTICAL]]
    return tuple(np.concatenate((ramp, ramp[:, ::-1]), 1) for ramp in (down, across))  # type: ignore[return-value]
