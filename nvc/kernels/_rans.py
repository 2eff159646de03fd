"""How many lanes the entropy coder has, and how they take turns: docs/NUMERICS.md, "Entropy coding", says why."""

import numpy as np

from nvc.kernels._fixed import compiled
from nvc.kernels._tables import MAX_LANES

LONG_LANE, SHORT_LANE = 2048, 384  # symbols
LARGE_PICTURE = 5000  # blocks: 1.28 million pixels
MOST_LANE_SYMBOLS = 2**20

LOG_GROUP = 5
GROUP = 1 << LOG_GROUP  # neighbouring lanes that merge, those of a warp
MERGE_STEPS = 32  # between one merger and the next: nearly every lane reads a word in as many

MORE_STEPS = MERGE_STEPS * LOG_GROUP  # of a lane into which all others of its group merge


def lane_symbols(blocks: int) -> int:
    """How many coded symbols an encoder makes worth a lane in pictures of so many 16x16 blocks.

    A lane that merges costs about 1.2 bytes: its state takes 27.5 bits of which 24 carry message, on average, half the
    length of a pair some three, and where few symbols have bits no word is left to hand on. With 384 symbols a lane
    that is 1.5 % of a packet, with 2048 a quarter of that. But lanes are all the parallelism that a GPU decodes with:
    1080p and more could not be decoded 2000 times a second without them; small pictures can.
    """
    return SHORT_LANE if blocks >= LARGE_PICTURE else LONG_LANE


def lane_count(symbols: int, lanes: int) -> int:
    """Lanes for a packet of `symbols` coded symbols: `lanes`, or if that is negative one for each -lanes symbols,
    rounded down to a power of two, 1 .. 256."""
    return lanes if lanes > 0 else min(max(1 << (symbols // -lanes).bit_length() >> 1, 1), MAX_LANES)


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
