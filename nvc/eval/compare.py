"""Comparisons that follow from the points: curves, BD-rates and their means, files of equal size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nvc.eval.bdrate import bd_rate
from nvc.eval.metrics import figure
from nvc.eval.results import Clip, CodecInfo, Difference, Point, Results

KINDS = ((False, "natural"), (True, "synthetic"))


class Mean(NamedTuple):
    """Mean of the BD-rates of so many `clips`; None when no clip has one."""

    value: float | None
    clips: int


def ran(results: Results) -> list[CodecInfo]:
    """The codecs that could be used; nvc is the first."""
    return [codec for codec in results.codecs if codec.problem is None]


def curve(clip: Clip, codec: str, qualities: Sequence[int]) -> list[Point]:
    """The points of a codec that make its curve, by quality; not those made to be looked at."""
    points = [p for p in clip.points if p.codec == codec and p.quality in qualities]
    return sorted(points, key=lambda p: p.quality)


def differences(clip: Clip, results: Results) -> list[Difference]:
    """BD-rates of nvc against every other codec, by every metric."""
    own, *others = ran(results)
    found = []
    for codec in others:
        for metric in results.metrics:
            if metric.problem is None:
                curves = [_values(curve(clip, c.name, c.qualities), metric.name) for c in (codec, own)]
                found.append(Difference(own.name, codec.name, metric.name, *bd_rate(*curves)))
    return found


def _values(points: list[Point], metric: str) -> list[tuple[float, float]]:
    return [(p.bpp, value) for p in points if (value := figure(p, metric)) is not None]


def find(clip: Clip, anchor: str, metric: str) -> Difference | None:
    """The comparison of a clip with an anchor by a metric."""
    return next((d for d in clip.differences if (d.anchor, d.metric) == (anchor, metric)), None)


def mean(results: Results, anchor: str, metric: str, synthetic: bool) -> Mean:
    """Mean over the natural or the synthetic clips of the BD-rates that there are."""
    clips = [c for c in results.clips if c.synthetic is synthetic]
    return mean_of([d.value for c in clips if (d := find(c, anchor, metric))])


def mean_of(values: Sequence[float | None]) -> Mean:
    """Mean of the values that there are."""
    known = [value for value in values if value is not None]
    return Mean(sum(known) / len(known) if known else None, len(known))


def middle(clip: Clip) -> Point | None:
    """nvc's point of middle quality."""
    own = sorted((p for p in clip.points if p.codec == "nvc"), key=lambda p: p.quality)
    return own[len(own) // 2] if own else None


def matching_quality(clip: Clip, codec: str, qualities: Sequence[int]) -> int | None:
    """The whole quality at which a codec's file should be as large as nvc's middle one, by interpolation of its curve.

    None without points.
    """
    chosen, points = middle(clip), curve(clip, codec, qualities)
    if chosen is None or not points:
        return None
    at = np.arange(points[0].quality, points[-1].quality + 1)
    sizes = np.interp(at, [p.quality for p in points], [math.log(p.bytes) for p in points])
    return int(at[np.abs(sizes - math.log(chosen.bytes)).argmin()])


def matched(clip: Clip, results: Results) -> list[Point]:
    """nvc's point of middle quality, and of every other codec the one whose file is nearest to it in size."""
    chosen = middle(clip)
    if chosen is None:
        return []
    found = [chosen]
    for codec in results.codecs[1:]:
        points = [p for p in clip.points if p.codec == codec.name]
        if points:
            found.append(min(points, key=lambda p: abs(math.log(p.bytes / chosen.bytes))))
    return found


def left_out(results: Results) -> list[str]:
    """What could not be measured, and why, as sentences."""
    found = [f"{c.name}: {c.problem}" for c in results.codecs if c.problem]
    found += [f"{m.label}: not measured, {m.problem}" for m in results.metrics if m.problem]
    for clip in results.clips:
        found += [f"{clip.name}: {text}" for text in ([clip.problem] if clip.problem else []) + clip.failures]
    return found
