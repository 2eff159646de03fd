"""Curves as PNG pictures, for light and for dark pages."""

import io
from typing import Any

from nvc.eval.compare import curve, matched
from nvc.eval.metrics import figure
from nvc.eval.results import Clip, Results

# told apart by people who see red and green alike; nvc is the first
COLOURS = ("#e8590c", "#1c7ed6", "#0ca678", "#ae3ec9", "#f2b705", "#868e96", "#d6336c")
MARKS = "osD^vPX"
THEMES = {"light": {"ink": "#1f2328", "grid": "#d5d9de"}, "dark": {"ink": "#e6e6e3", "grid": "#3d4148"}}


def colour(results: Results, codec: str) -> str:
    """The colour of a codec in everything that one evaluation draws."""
    names = [c.name for c in results.codecs]
    return COLOURS[names.index(codec) % len(COLOURS)] if codec in names else COLOURS[-1]


def rd_curves(clip: Clip, results: Results, theme: str) -> bytes:
    """Quality over rate by every metric that was measured, as PNG."""
    metrics = [m for m in results.metrics if any(figure(p, m.name) is not None for p in clip.points)]
    canvas, axes = _canvas(max(1, len(metrics)), theme)
    for axis, metric in zip(axes, metrics, strict=False):
        for codec in results.codecs:
            points = [(p.bpp, figure(p, metric.name)) for p in curve(clip, codec.name, codec.qualities)]
            if points and all(y is not None for _, y in points):
                axis.plot(*zip(*sorted(points), strict=True), **_style(results, codec.name))
        axis.set(xscale="log", xlabel="bits per pixel", title=metric.label)
        _plain_ticks(axis.xaxis)
    return _png(canvas, axes, theme)


def frame_curves(clip: Clip, results: Results, theme: str) -> bytes:
    """Bits and PSNR-Y of every frame at nearly the same size, as PNG."""
    canvas, axes = _canvas(2, theme)
    for point in matched(clip, results):
        style = _style(results, point.codec) | {"marker": "", "linewidth": 2.0 if point.codec == "nvc" else 1.2}
        style["label"] = f"{point.codec} {point.quality}"
        axes[0].plot([8 * size / 1000 for size in point.frame_bytes], **style)
        axes[1].plot(point.frame_psnr_y, **style)
    axes[0].set(yscale="log", xlabel="frame", title="kilobits of each frame")
    _plain_ticks(axes[0].yaxis)
    axes[1].set(xlabel="frame", title="PSNR-Y of each frame, dB")
    return _png(canvas, axes, theme)


def _style(results: Results, codec: str) -> dict[str, Any]:
    index = [c.name for c in results.codecs].index(codec)
    first = codec == "nvc"
    return {
        "label": codec,
        "color": colour(results, codec),
        "marker": MARKS[index % len(MARKS)],
        "markersize": 6 if first else 4.5,
        "linewidth": 2.6 if first else 1.5,
        "zorder": 3 if first else 2,
    }


def _canvas(count: int, theme: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(4.4 * min(count, 2) + 1, 3.5 * -(-count // 2) + 0.3), layout="constrained")
    axes = canvas.subplots(-(-count // 2), min(count, 2), squeeze=False).flatten()
    return canvas, axes


def _plain_ticks(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(10, (1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _png(canvas: Any, axes: Any, theme: str) -> bytes:
    ink, grid = THEMES[theme]["ink"], THEMES[theme]["grid"]
    for axis in axes:
        if not axis.lines:
            axis.set_visible(False)
            continue
        axis.set_facecolor("none")
        axis.grid(color=grid, linewidth=0.7)
        axis.tick_params(colors=ink, which="both", labelsize=9)
        for side, spine in axis.spines.items():
            spine.set(color=grid, visible=side in ("left", "bottom"))
        for label in (axis.title, axis.xaxis.label, axis.yaxis.label):
            label.set(color=ink, fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        canvas.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, labelcolor=ink, fontsize=9)
    file = io.BytesIO()
    canvas.savefig(file, format="png", dpi=130, transparent=True)
    return file.getvalue()
