"""Probability tables of the entropy coder: built once by the exporter, stored in the weights file as integers.

A table is a matrix `cdf` int32 [ROWS, 256]. Row r gives the 255 symbols s = -127 .. 127 (column k = s + 127) the
frequencies cdf[r, k+1] - cdf[r, k] >= 1, with cdf[r, 0] = 0 and cdf[r, 255] = 65536. Rows below SCALE_ROWS are
scales, the others classes of differences of vectors and overlaps; docs/NUMERICS.md, "Entropy coding".

Floats are harmless here: no decoder ever runs the two builders.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nvc.kernels._vector_shares import OVERLAP_SHARES, SHARES

SCALE_ROWS = 64
SYMBOLS = 255
MAX_SYMBOL = 127  # in a row of a scale this is the escape
MAX_CLASS = 15  # largest class used in a class row
TOTAL = 1 << 16
VECTOR_SETS = 8  # of class rows: a frame has one for each component of its vectors,
OVERLAP_SETS = 4  # and one of others for its overlaps
CONTEXT_LIMITS = (1, 12, 30, 60)  # of the sums in `vector_rows`, where the next context begins
CONTEXTS = len(CONTEXT_LIMITS) + 1  # rows of a set: a block has one
OVERLAP_ROWS = SCALE_ROWS + VECTOR_SETS * CONTEXTS  # rows from here on
TABLE_ROWS = OVERLAP_ROWS + OVERLAP_SETS * CONTEXTS
FIRST_ROWS = SCALE_ROWS, SCALE_ROWS, OVERLAP_ROWS  # of vertical and horizontal differences, of overlaps
SETS = VECTOR_SETS, VECTOR_SETS, OVERLAP_SETS
MAX_LANES = 256

SCALES = tuple(0.11 * (64 / 0.11) ** (i / 63) for i in range(64))


def _row(masses: list[float]) -> list[int]:
    """Cumulative frequencies proportional to the 255 masses, but at least 1 each."""
    p = np.array(masses)
    low, high = 0.0, float(TOTAL)
    for _ in range(60):  # the factor for which the floored frequencies add up to TOTAL
        middle = (low + high) / 2
        # cumsum adds in order on every machine, sum does not
        low, high = (middle, high) if np.maximum(1.0, middle * p).cumsum()[-1] < TOTAL else (low, middle)
    # rounding the sums, not the terms, keeps the total; terms of 1 and more stay above 0
    inner = np.floor(np.maximum(1.0, low * p).cumsum()[:-1] + 0.5).astype(int).tolist()
    return [0, *inner, TOTAL]


def _symmetric(sigma: float, s: int) -> float:
    """Mass of the unit interval around s, of the tail at both ends, under 5/8 N(0.98 sigma) + 3/8 Laplace(1.12 sigma).

    Networks are trained with Gaussians; what they leave has heavier tails. The mixture was fitted to the latents of
    training clips, for all scales at once: 0.9 % of their bits.
    """
    near, far = abs(s) - 0.5, abs(s) + 0.5
    root, b = 0.98 * sigma * math.sqrt(2), 1.12 * sigma / math.sqrt(2)
    if s == 0:
        return 0.625 * math.erf(far / root) + 0.375 * (1 - math.exp(-far / b))
    beyond = (math.erfc(far / root), math.exp(-far / b)) if abs(s) < MAX_SYMBOL else (0.0, 0.0)
    return (0.625 * (math.erfc(near / root) - beyond[0]) + 0.375 * (math.exp(-near / b) - beyond[1])) / 2


def scale_rows(scales: Sequence[float]) -> Tensor:
    """int32 [len(scales), 256]: the distribution of symbols whose network expects this standard deviation, in steps."""
    rows = [_row([_symmetric(g, s) for s in range(-MAX_SYMBOL, MAX_SYMBOL + 1)]) for g in scales]
    return torch.tensor(rows, dtype=torch.int32)


def class_rows(shares: Sequence[Sequence[int]]) -> Tensor:
    """int32 [len(shares), 256]: a row for every list of shares of the class sizes 0, 1, ..; either sign has half."""
    rows = []
    for sizes in shares:
        masses = [0.0] * SYMBOLS
        for size, share in enumerate(sizes):
            masses[MAX_SYMBOL - size] += share / 2
            masses[MAX_SYMBOL + size] += share / 2
        rows.append(_row(masses))
    return torch.tensor(rows, dtype=torch.int32)


@functools.cache
def default_tables() -> Tensor:
    """int32 [124, 256]: 64 rows for SCALES, 60 class rows for the shares. One shared tensor: read only."""
    return torch.cat([scale_rows(SCALES), class_rows(SHARES), class_rows(OVERLAP_SHARES)])


def lookup(cdf: Tensor) -> Tensor:
    """uint8 [ROWS, 256]: the column of the symbol that holds the cumulative value 256 j: a decoder scans from there.

    Raises ValueError unless `cdf` is a table as described above; the kernels rely on that and do not check again.
    """
    if cdf.dtype != torch.int32 or cdf.dim() != 2 or not 1 <= cdf.shape[0] <= 256 or cdf.shape[1] != SYMBOLS + 1:
        raise ValueError(f"a table is int32 [1..256, {SYMBOLS + 1}], not {cdf.dtype} {tuple(cdf.shape)}")
    c = cdf.long().cpu()
    if bool((c[:, 0] != 0).any() or (c[:, -1] != TOTAL).any() or (c.diff(dim=1) < 1).any()):
        raise ValueError(f"a table row must rise strictly from 0 to {TOTAL}")
    at = torch.arange(0, TOTAL, 256).expand(c.shape[0], -1).contiguous()
    return (torch.searchsorted(c.contiguous(), at, right=True) - 1).to(torch.uint8).to(cdf.device)
