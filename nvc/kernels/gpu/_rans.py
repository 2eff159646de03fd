"""What the two coders share on the device: kinds of table rows, and how lanes are laid over programs."""

import triton
import triton.language as tl

from nvc.kernels import _rans
from nvc.kernels._tables import MAX_LANES

CLASS_ROWS = tl.constexpr(64)  # rows from here on are classes, those below are scales
ESCAPE = tl.constexpr(127)  # size of the table symbol that stands for everything larger, in a row of a scale
MAX_CLASS = tl.constexpr(15)  # largest class that has a meaning of its own
MAX_VALUE = tl.constexpr(32767)
GROUP = tl.constexpr(_rans.GROUP)
MERGE_STEPS = tl.constexpr(_rans.MERGE_STEPS)
MOST_LANE_SYMBOLS = tl.constexpr(_rans.MOST_LANE_SYMBOLS)


# How many of the lanes are in use is data: programs for all there may be, those without a lane end at once. A lane is a
# thread and a program a warp: lanes wait for nothing but their own state, so neither a barrier nor a sum over lanes is
# needed, and a warp that branches for one of its lanes delays 31 others, not 255.
TILE = {"BLOCK": _rans.GROUP, "num_warps": 1}
PROGRAMS = MAX_LANES // _rans.GROUP


@triton.jit
def unmerged(symbols, lanes):
    """Where the lanes of a last segment begin to merge, `symbols` if they do not: the first phase of `phases`."""
    merging = ((lanes & (lanes - 1)) == 0) & (symbols >= lanes * MERGE_STEPS)
    return tl.where(merging, symbols - (lanes - tl.maximum(lanes // GROUP, 1)) * MERGE_STEPS, symbols)
