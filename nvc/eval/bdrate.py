"""BD-rate by the bjontegaard package."""

import math
from collections.abc import Sequence

MIN_OVERLAP = 0.5  # share of the smaller quality range that both curves must cover


def bd_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> float:
    """Rate difference in percent of `test` against `anchor`, both (rate, quality) points, pchip interpolation.

    NaN when the curves share less than half of either's quality range.
    """
    import bjontegaard

    (ra, qa), (rt, qt) = (zip(*sorted(points), strict=True) for points in (anchor, test))
    shared = min(max(qa), max(qt)) - max(min(qa), min(qt))
    if shared < MIN_OVERLAP * min(max(qa) - min(qa), max(qt) - min(qt)):
        return math.nan
    return float(bjontegaard.bd_rate(list(ra), list(qa), list(rt), list(qt), method="pchip", min_overlap=0))
