"""`nvc encode`: a video in, an `.nvc` file out."""

import argparse
import sys
from contextlib import ExitStack

from nvc.cli import exits
from nvc.cli.console import remark, say
from nvc.cli.options import (
    add_output_options,
    add_range_options,
    add_run_options,
    interval,
    quality,
    rate,
    size,
)


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("input", metavar="IN", help="a video file, raw .yuv, frame_%%05d.png, or - for y4m on a pipe")
    parser.add_argument("-o", dest="output", metavar="OUT.nvc", required=True, help="output file, or - for a pipe")
    parser.add_argument(
        "--fast",
        dest="preset",
        action="store_const",
        const="fast",
        default="fast",
        help="preset fast, at present the only one",
    )
    parser.add_argument(
        "--qp", type=quality, default=32, metavar="0..63", help="quality, higher is better (default: 32)"
    )
    parser.add_argument(
        "--keyint",
        type=interval,
        default=-1,
        metavar="N",
        help="a keyframe every N frames; -1: the first only (default)",
    )
    add_range_options(parser)
    parser.add_argument("--size", type=size, metavar="WxH", help="picture size of raw .yuv input")
    parser.add_argument("--fps", type=rate, metavar="N/D", help="frame rate of raw .yuv or numbered-picture input")
    parser.add_argument("--pix-fmt", metavar="F", help="pixel format of raw .yuv input (default: yuv420p)")
    parser.add_argument("--psnr", action="store_true", help="measure the reconstruction against the source")
    add_run_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace) -> int:
    """Encode. Returns the exit code."""
    from nvc.api.encoding import encode
    from nvc.cli.outputs import JsonOutput, check_outputs
    from nvc.cli.progress import ProgressLine
    from nvc.cli.report import fields, summary
    from nvc.cli.signals import graceful
    from nvc.codec.threads import set_threads

    if args.input.lower().endswith(".yuv") and args.size is None:
        raise exits.UsageError("raw .yuv video does not say how large its pictures are; add --size WxH")
    check_outputs([args.input], [args.output, args.json], args.overwrite)
    if args.output == "-" and sys.stdout.isatty():
        raise exits.UsageError("an .nvc stream is not for a terminal; redirect standard output or name a file")
    if args.threads:
        set_threads(args.threads)
    with ExitStack() as stack:
        record = JsonOutput(args.json, stack)
        stop = stack.enter_context(graceful())
        with ProgressLine(stop, args.quiet) as progress:
            result = encode(
                args.input,
                args.output,
                qp=args.qp,
                keyint=args.keyint,
                preset=args.preset,
                start=args.start,
                frames=args.frames,
                size=args.size,
                fps=args.fps,
                pix_fmt=args.pix_fmt,
                device=args.device,
                overwrite=True,
                psnr=args.psnr,
                md5=args.json is not None,
                observer=progress,
            )
        if not args.quiet:
            say(summary(args.output, result), stdout_is_data="-" in (args.output, args.json))
        if result.interrupted:
            remark(f"nvc: interrupted; {args.output} holds the {len(result.frames)} frames before that")
        record.write(fields("encode", args.input, args.output, result))
    return exits.INTERRUPTED if result.interrupted else exits.OK
