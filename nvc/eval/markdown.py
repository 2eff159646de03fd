"""results.md: the tables that a README wants, with the command that makes them."""

from nvc.eval.compare import KINDS, Mean, find, left_out, mean, mean_of, ran
from nvc.eval.results import Clip, Results, Speed


def percent(value: float | None) -> str:
    """`+12.3`, or a dash."""
    return "-" if value is None else f"{value:+.1f}"


def speed(clip: Clip, codec: str) -> Speed | None:
    """The speed of a codec on a clip."""
    return next((s for s in clip.speeds if s.codec == codec), None)


def markdown(results: Results) -> str:
    """All tables."""
    weights, threads = results.settings["weights"][:16], results.settings["threads"]
    lines = [f"nvc {results.nvc}, {results.date}, weights {weights}, {results.machine['processor']}", ""]
    lines += [f"    {results.command}", ""]
    anchors = [c.name for c in ran(results)[1:]]
    for metric in results.metrics:
        if metric.problem is None:
            lines += [f"BD-rate in percent, {metric.label}; negative: nvc needs fewer bits than the anchor.", ""]
            lines += _table(["clip", *anchors], _rows(results, anchors, metric.name))
    lines += [f"Frames per second, encoding / decoding, {threads} CPU threads, at the middle quality.", ""]
    used = [c for c in results.clips if c.problem is None]
    rows = [[_name(clip), *(_fps(speed(clip, name)) for name in ("nvc", *anchors))] for clip in used]
    lines += _table(["clip", "nvc", *anchors], rows)
    if any(clip.twin for clip in used):
        lines += ["The same network in floating point, as PyTorch runs it on the CPU:", ""]
        lines += _table(["clip", "BD-rate of nvc, PSNR-Y", "nvc, encode fps", "float, fps"], _twins(used))
    problems = [f"- {problem}" for problem in left_out(results)]
    return "\n".join([*lines, *(["Left out:", "", *problems, ""] if problems else [])])


def _rows(results: Results, anchors: list[str], metric: str) -> list[list[str]]:
    rows = []
    for synthetic, kind in KINDS:
        clips = [c for c in results.clips if c.synthetic is synthetic and c.problem is None]
        for clip in clips:
            values = [d.value if (d := find(clip, a, metric)) else None for a in anchors]
            rows.append([_name(clip), *map(percent, values)])
        if clips:
            means = [mean(results, a, metric, synthetic) for a in anchors]
            rows.append([f"mean of {kind} clips", *map(_mean, means)])
    return rows


def _twins(clips: list[Clip]) -> list[list[str]]:
    rows = []
    for clip in clips:
        if clip.twin:
            own = speed(clip, "nvc")
            rows.append([_name(clip), percent(clip.twin.value), f"{own.encode_fps:.1f}" if own else "-"])
            rows[-1].append(f"{clip.twin.fps:.2f}")
    return [*rows, ["mean", _mean(mean_of([c.twin.value for c in clips if c.twin])), "", ""]]


def _name(clip: Clip) -> str:
    return f"{clip.name}, {clip.width}x{clip.height}, {clip.frames} frames"


def _mean(found: Mean) -> str:
    return f"**{percent(found.value)}** ({found.clips})"


def _fps(found: Speed | None) -> str:
    return "-" if found is None else f"{found.encode_fps:.1f} / {found.decode_fps:.1f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows)] + [""]
