"""`nvc eval`: rate-distortion and speed of nvc beside x264, x265 and SVT-AV1, on anyone's clips.

Writes results.json, results.md, plots/*.png and report.html, a page that needs no network, to the folder --out, with
every coded file. Finished figures are kept: after Ctrl-C the same command goes on where it stopped.
"""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from nvc.cli import exits
from nvc.cli.console import remark, say
from nvc.cli.options import count, interval, quality

if TYPE_CHECKING:
    from nvc.eval.runner import Plan

QPS = "8,20,32,44,56"


def qualities(text: str) -> tuple[int, ...]:
    """`8,20,32` -> (8, 20, 32)."""
    return tuple(sorted({quality(part) for part in text.split(",")}))


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "clips", metavar="CLIP", nargs="+", help="a video, a folder of videos, or bigbuckbunny, bikes, carphone"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the results")
    parser.add_argument("--preset", default="fast", choices=("fast",), help="default: fast")
    parser.add_argument("--qps", type=qualities, default=qualities(QPS), metavar="A,B,...", help=f"default: {QPS}")
    parser.add_argument(
        "--anchors",
        metavar="A,B,...",
        help="of x264-medium-zl, x265-medium-zl, x265-veryslow-ldp, svtav1-p8-ld, svtav1-p4-ld (default: these), mjpeg",
    )
    parser.add_argument("--frames", type=count, metavar="N", help="first frames of each clip (default: all)")
    parser.add_argument(
        "--keyint",
        type=interval,
        default=-1,
        metavar="N",
        help="a keyframe every N frames; -1: the first only (default)",
    )
    parser.add_argument("--jobs", type=count, default=1, metavar="N", help="points measured at a time (default: 1)")
    parser.add_argument(
        "--synthetic", action="append", default=[], metavar="NAME", help="a clip that is no camera's: listed apart"
    )
    parser.add_argument(
        "--twin", metavar="FILE", type=Path, help="float parameters of the network (training/): run it in PyTorch, too"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and notes; errors only")


def run(args: argparse.Namespace) -> int:
    """Evaluate. Returns the exit code."""
    missing = _missing()
    if missing:
        raise exits.UsageError(f"nvc eval needs the extra `eval` ({missing} is missing): pip install 'nvc[eval]'")
    import nvc
    from nvc.cli.evalprogress import EvalProgress
    from nvc.cli.signals import graceful
    from nvc.eval.report import write_report
    from nvc.eval.runner import RESULTS, Runner
    from nvc.eval.setup import describe
    from nvc.eval.stop import Interrupted
    from nvc.media import MediaError

    plan = _plan(args)
    results = describe(plan, command_of(args), nvc.__version__)
    args.out.mkdir(parents=True, exist_ok=True)
    with graceful() as stop, EvalProgress(stop, args.quiet) as progress:
        try:
            Runner(plan, results, args.out, progress).run()
        except Interrupted:
            progress.close()
            remark(f"nvc: interrupted; {args.out / RESULTS} has what was finished, and the same command goes on")
            return exits.INTERRUPTED
    if not any(clip.points for clip in results.clips):
        problems = [f"{c.name}: {c.problem or '; '.join(c.failures)}" for c in results.clips]
        raise MediaError(f"nothing could be measured: {' | '.join(problems)}")
    write_report(results, args.out)
    if not args.quiet:
        say(f"{args.out / 'report.html'}")
    return exits.OK


def _missing() -> str | None:
    from importlib.util import find_spec

    packages = ("bjontegaard", "imageio_ffmpeg", "jinja2", "matplotlib", "pytorch_msssim")
    return next((name for name in packages if find_spec(name) is None), None)


def _plan(args: argparse.Namespace) -> "Plan":
    from nvc.eval.anchors import ANCHORS, DEFAULT
    from nvc.eval.clips import find_clips
    from nvc.eval.setup import make_plan

    anchors = DEFAULT if args.anchors is None else tuple(dict.fromkeys(args.anchors.split(",")))
    unknown = [name for name in anchors if name not in ANCHORS]
    if unknown:
        raise exits.UsageError(f"there is no anchor {unknown[0]!r} but {', '.join(ANCHORS)}")
    clips = find_clips(args.clips)
    strangers = [name for name in args.synthetic if name not in dict(clips)]
    if strangers:
        raise exits.UsageError(f"--synthetic {strangers[0]}: there is no such clip but {', '.join(dict(clips))}")
    return make_plan(
        clips,
        anchors,
        synthetic=args.synthetic,
        preset=args.preset,
        qps=args.qps,
        frames=args.frames,
        keyint=args.keyint,
        jobs=args.jobs,
        twin=args.twin,
    )


def command_of(args: argparse.Namespace) -> str:
    """The command that repeats this evaluation."""
    words = ["nvc", "eval", *args.clips, "--out", str(args.out), "--preset", args.preset]
    words += ["--qps", ",".join(map(str, args.qps)), "--keyint", str(args.keyint)]
    for name in ("anchors", "frames", "twin"):
        value = getattr(args, name)
        words += [] if value is None else [f"--{name}", str(value)]
    return shlex.join([*words, *(word for name in args.synthetic for word in ("--synthetic", name))])
