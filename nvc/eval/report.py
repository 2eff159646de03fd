"""report.html: one file that needs nothing else, to be read by people."""

import base64
from pathlib import Path
from typing import Any

import av

from nvc.bitstream import BitstreamError
from nvc.eval.compare import KINDS, find, left_out, mean, mean_of, ran
from nvc.eval.crops import Crop, crops
from nvc.eval.markdown import markdown, percent, speed
from nvc.eval.plots import colour, frame_curves, rd_curves
from nvc.eval.results import Clip, Results
from nvc.media import MediaError, atomic_output

TEMPLATE = Path(__file__).with_name("report.html")


def write_report(results: Results, out: Path) -> None:
    """Write report.html, results.md and plots/*.png to `out`. Raises MediaError when that cannot be written."""
    _write(out / "results.md", markdown(results).encode())
    views = [_clip_view(clip, results, out) for clip in results.clips if clip.points]
    _write(out / "report.html", render(results, views).encode())


def render(results: Results, views: list[dict[str, Any]]) -> str:
    """The page; `views` are what the template shows of every clip."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": percent}
    page = environment.get_template(TEMPLATE.name)
    return page.render(
        r=results,
        clips=views,
        anchors=ran(results)[1:],
        twins=_twins(results),
        metrics=[m for m in results.metrics if m.problem is None],
        tables=[_table(results, m.name, m.label) for m in results.metrics if m.problem is None],
        colours={c.name: colour(results, c.name) for c in results.codecs},
        problems=left_out(results),
    )


def _twins(results: Results) -> dict[str, Any] | None:
    """Rows of (clip, twin, nvc's speed) and the mean; None when there is no twin."""
    clips = [c for c in results.clips if c.twin]
    if not clips:
        return None
    rows = [(c, c.twin, speed(c, "nvc")) for c in clips]
    return {"rows": rows, "mean": mean_of([c.twin.value for c in clips if c.twin])}


def _table(results: Results, metric: str, label: str) -> dict[str, Any]:
    """BD-rates of one metric: rows of clips, natural and synthetic apart, each with the mean."""
    anchors = [c.name for c in ran(results)[1:]]
    groups = []
    for synthetic, kind in KINDS:
        clips = [c for c in results.clips if c.synthetic is synthetic and c.problem is None]
        if clips:
            rows = [(clip, [find(clip, a, metric) for a in anchors]) for clip in clips]
            groups.append((kind, rows, [mean(results, a, metric, synthetic) for a in anchors]))
    return {"name": metric, "label": label, "groups": groups}


def _clip_view(clip: Clip, results: Results, out: Path) -> dict[str, Any]:
    plots = out / "plots"
    plots.mkdir(exist_ok=True)
    drawn = {kind: {t: draw(clip, results, t) for t in ("light", "dark")} for kind, draw in _DRAWINGS.items()}
    for kind, pictures in drawn.items():
        _write(plots / f"{clip.name}-{kind}.png", pictures["light"])
    try:
        shown, trouble = [_crop_view(crop, clip) for crop in crops(clip, results, out)], None
    except (MediaError, BitstreamError, av.error.FFmpegError) as error:
        shown, trouble = [], str(error)
    return {
        "clip": clip,
        "plots": {kind: {t: _inline(png) for t, png in pictures.items()} for kind, pictures in drawn.items()},
        "crops": shown,
        "trouble": trouble,
        "speeds": clip.speeds,
    }


_DRAWINGS = {"rd": rd_curves, "frames": frame_curves}


def _crop_view(crop: Crop, clip: Clip) -> dict[str, Any]:
    png = crop.png.read_bytes()
    width, height = (int.from_bytes(png[i : i + 4]) for i in (16, 20))  # a PNG file begins with its header
    view: dict[str, Any] = {"name": crop.name, "png": _inline(png), "width": width, "height": height}
    point = crop.point
    view |= {"frame": crop.frame, "bpp": None, "quality": None, "psnr": None, "kbps": None}
    if point is not None:
        psnr = point.frame_psnr_y[crop.frame]
        view |= {"bpp": point.bpp, "quality": point.quality, "psnr": psnr, "kbps": point.kbps}
    return view


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _write(path: Path, data: bytes) -> None:
    with atomic_output(str(path)) as output:
        output.file.write(data)
