"""The roofline as a picture: how close each kernel may come to the ceilings, and what takes the time of a frame."""

from collections import Counter
from pathlib import Path

import matplotlib
import numpy as np

from nvc.profile.ceilings import Ceilings
from profiling.roofline import FrameCost

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

NAMED = 9  # kernels with a name of their own; the others are added up


def _colours(costs: list[FrameCost]) -> dict[str, tuple[float, ...]]:
    """The kernels that take most of a frame anywhere, each with its colour."""
    shares: Counter[str] = Counter()
    for cost in costs:
        for item in cost.items:
            shares[item.kernel] += (item.model or item.roof) / (cost.total("model") or cost.total("roof"))
    return {name: plt.get_cmap("tab10")(i) for i, (name, _) in enumerate(shares.most_common(NAMED))}


def _roofs(axes: Axes, ceilings: Ceilings, cost: FrameCost, colours: dict[str, tuple[float, ...]]) -> None:
    x = np.geomspace(0.1, 2000, 200)
    top = ceilings.int8 / 2
    for rate, style, name in ((ceilings.cache, "-", "cache"), (ceilings.memory, "--", "memory")):
        axes.plot(x, np.minimum(top, x * rate) / 1e9, "k" + style, lw=1, label=f"{name} {rate / 1e9:.0f} GB/s")
    for item in cost.items:
        if item.macs:
            at = item.macs / item.bytes, item.macs / (item.model or item.roof) / 1e9
            size = 20 + 600 * (item.model or item.roof) / (cost.total("model") or cost.total("roof"))
            axes.scatter(*at, s=size, color=colours.get(item.kernel, "lightgrey"), alpha=0.8, edgecolors="k", lw=0.4)
    whole = "model" if cost.items[0].model else "roof"
    frame = cost.total("macs") / cost.total("bytes"), cost.total("macs") / cost.seconds(whole) / 1e9
    axes.scatter(*frame, marker="*", s=220, color="k", label=f"whole frame, {1 / cost.seconds(whole):.0f} fps")
    axes.set(xscale="log", yscale="log", xlabel="multiply-accumulates a byte", ylabel="GMAC/s")
    axes.set_title(f"{cost.size} {cost.work}, by the {whole}; area: share of time", fontsize=10)
    axes.set_ylim(top / 1e9 / 3000, top / 1e9 * 2)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)


def _bars(axes: Axes, costs: list[FrameCost], colours: dict[str, tuple[float, ...]]) -> None:
    labels = []
    for y, cost in enumerate(costs):
        labels.append(f"{cost.size}\n{cost.work}")
        parts = Counter[str]()
        for item in cost.items:
            parts[item.kernel if item.kernel in colours else "others"] += (item.model or item.roof) - item.hidden
        parts["launches"] = cost.gap * cost.total("launches")
        left = 0.0
        for name in (*colours, "others", "launches"):
            colour = colours.get(name, {"others": "lightgrey", "launches": "white"}.get(name))
            width = 1e3 * parts[name]
            axes.barh(y, width, left=left, color=colour, edgecolor="k", lw=0.4, label=name if y == 0 else None)
            left += width
        axes.plot([1e3 * cost.seconds("roof")] * 2, [y - 0.4, y + 0.4], color="red", lw=2, label=None if y else "roof")
        whole = cost.seconds("model" if cost.items[0].model else "roof")
        axes.text(left, y, f"  {1 / whole:.0f} fps", va="center", fontsize=9)
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("ms a frame, predicted")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.12)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axes.set_title("where the time should go", fontsize=10)


def draw(title: str, ceilings: Ceilings, costs: list[FrameCost], path: Path) -> None:
    """Write the picture of the middle size's two directions, and of all frames."""
    colours, middle = _colours(costs), costs[len(costs) // 4 * 2].size
    figure, axes = plt.subplots(1, 3, figsize=(18, 6), width_ratios=(1, 1, 1.3), layout="constrained")
    for place, work in zip(axes[:2], ("encode", "decode"), strict=True):
        _roofs(place, ceilings, next(c for c in costs if (c.size, c.work) == (middle, work)), colours)
    _bars(axes[2], costs, colours)
    figure.suptitle(f"nvc, inter frames, {title}", fontsize=11)
    figure.savefig(path, dpi=80)
    plt.close(figure)
