"""BD-rate by the bjontegaard package, and the rule when there is none."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

MIN_OVERLAP = 0.5  # share of either curve's quality range that both must cover
MIN_POINTS = 4


class BdRate(NamedTuple):
    """`value`: rate difference in percent, None with the `reason`. `overlap`: share of the wider curve's range of
    quality that both cover, None where a curve has no range."""

    value: float | None
    reason: str | None
    overlap: float | None


def bd_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> BdRate:
    """Rate difference of `test` against `anchor`, both (rate, quality) points, pchip interpolation; less is better.

    Refused when a curve has fewer than four points, when its quality does not rise with its rate, or when less than
    half of either curve's quality range is shared.
    """
    import bjontegaard

    for who, points in (("the anchor", anchor), ("the tested codec", test)):
        if not points:
            return BdRate(None, f"{who} was not measured", None)
        if len(points) < MIN_POINTS:
            return BdRate(None, f"{who} has {len(points)} points, {MIN_POINTS} are needed", None)
        qualities = [quality for _, quality in sorted(points)]
        if any(a >= b for a, b in pairwise(qualities)):
            return BdRate(None, f"the quality of {who} does not rise with its rate", None)
    (ra, qa), (rt, qt) = (zip(*sorted(points), strict=True) for points in (anchor, test))
    shared = max(0.0, min(qa[-1], qt[-1]) - max(qa[0], qt[0]))
    overlap = shared / max(qa[-1] - qa[0], qt[-1] - qt[0])
    if overlap < MIN_OVERLAP:
        return BdRate(None, f"the curves share only {100 * overlap:.0f} % of the wider quality range", overlap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own remark about little overlap: the rule above decides
        value = bjontegaard.bd_rate(
            list(ra), list(qa), list(rt), list(qt), "pchip", require_matching_points=False, min_overlap=0
        )
    return BdRate(float(value), None, overlap)
