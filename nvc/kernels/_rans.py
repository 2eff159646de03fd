"""How many lanes the entropy coder has, and how they take turns: docs/NUMERICS.md, "Entropy coding", says why."""

import numpy as np

from nvc.kernels._fixed import compiled
from nvc.kernels._tables import LANE_SYMBOLS, MANY_SYMBOLS, MAX_LANES, SHORT_LANE_SYMBOLS

LOG_GROUP = 5
GROUP = 1 << LOG_GROUP  # neighbouring lanes that merge, those of a warp
MERGE_STEPS = 24  # between one merger and the next: nearly every lane reads a word in as many

MORE_STEPS = MERGE_STEPS * LOG_GROUP  # of a lane into which all others of its group merge


def lane_count(symbols: int) -> int:
    """Lanes for a packet of `symbols` coded symbols: one for each 1024, from 32768 on one for each 384, rounded down to
    a power of two, 1 .. 256.

    A lane that merges costs about 1.3 bytes (a stored state of 3.6, which carries three of message on average, and half
    the length of a pair): half a percent of a packet at one bit a symbol and 1024 symbols a lane. Half as many would
    save half of that, but they are all the parallelism that a GPU decodes with, and where symbols are many the longest
    of its steps.
    """
    share = SHORT_LANE_SYMBOLS if symbols >= MANY_SYMBOLS else LANE_SYMBOLS
    return min(max(1 << (symbols // share).bit_length() >> 1, 1), MAX_LANES)


@compiled
def phases(symbols, lanes, last):
    """int64 [P, 3]: where each phase of a segment begins and ends, and how many lanes of a group take turns.

    In a decoder's order. In the first phase all lanes do, whatever the groups. The last segment of a packet has others
    if it is long enough and the number of lanes a power of two: in each half as many as in the one before.
    """
    merging = last and lanes & (lanes - 1) == 0 and symbols >= MERGE_STEPS * lanes
    groups, width = max(lanes // GROUP, 1), min(lanes, GROUP)
    table = np.empty((1 + LOG_GROUP, 3), np.int64)
    end = symbols - MERGE_STEPS * (lanes - groups) if merging else symbols
    table[0] = 0, end, width
    n = 1
    while end < symbols:
        width //= 2
        table[n] = end, end + MERGE_STEPS * width * groups, width
        end = table[n, 1]
        n += 1
    return table[:n]


@compiled
def turns(lanes, phase, width):
    """How many lanes take a turn in each step of a phase."""
    return lanes if phase == 0 else max(lanes // GROUP, 1) * width


@compiled
def lane_of(turn, phase, width):
    """The lane that has this turn of a step."""
    return turn if phase == 0 else turn // width * GROUP + turn % width
