"""What the two coders share on the device: kinds of table rows, and how lanes are laid over warps."""

import triton.language as tl

CLASS_ROWS = tl.constexpr(64)  # rows from here on are classes, those below are scales
ESCAPE = tl.constexpr(127)  # size of the table symbol that stands for everything larger, in a row of a scale
MAX_CLASS = tl.constexpr(15)  # largest class that has a meaning of its own
MAX_VALUE = tl.constexpr(32767)


# How many of the lanes are in use is data: one tile for all. 64 lanes to a warp: more warps would shorten no chain but
# slow the barrier of every prefix sum, fewer would make a thread issue more than the latency of its loads can hide.
TILE = {"BLOCK": 256, "num_warps": 4}
