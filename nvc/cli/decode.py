"""`nvc decode`: an `.nvc` file in, a video out."""

import argparse
import sys
from contextlib import ExitStack

from nvc.cli import exits
from nvc.cli.console import complain, remark, say
from nvc.cli.options import add_output_options, add_range_options, add_run_options


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("input", metavar="IN.nvc", help="the stream, or - for standard input")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="OUT",
        help=".y4m .yuv .mp4 .mkv frame_%%05d.png, or - for y4m on a pipe; all but png are lossless",
    )
    parser.add_argument("--md5", action="store_true", help="print the MD5 of all decoded 4:2:0 bytes; needs no -o")
    add_range_options(parser)
    add_run_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace) -> int:
    """Decode. Returns the exit code."""
    from nvc.api.decoding import decode_file
    from nvc.cli.outputs import JsonOutput, check_outputs
    from nvc.cli.progress import ProgressLine
    from nvc.cli.report import damage, fields, summary
    from nvc.cli.signals import graceful
    from nvc.codec.threads import set_threads

    if args.output is None and not args.md5:
        raise exits.UsageError("nothing to do: name an output with -o, or ask for --md5")
    check_outputs([args.input], [args.output, args.json], args.overwrite)
    if args.output == "-" and sys.stdout.isatty():
        raise exits.UsageError("raw video is not for a terminal; redirect standard output or name a file")
    if args.threads:
        set_threads(args.threads)
    with ExitStack() as stack:
        record = JsonOutput(args.json, stack)
        stop = stack.enter_context(graceful())
        with ProgressLine(stop, args.quiet) as progress:
            result = decode_file(
                args.input,
                args.output,
                start=args.start,
                frames=args.frames,
                device=args.device,
                overwrite=True,
                md5=args.md5,
                observer=progress,
            )
        piped = "-" in (args.output, args.json)
        if not args.quiet:
            say(summary(args.output or args.input, result), stdout_is_data=piped)
        if result.md5 is not None:
            say(f"md5 {result.md5}", stdout_is_data=piped)
        if result.interrupted:
            remark(f"nvc: interrupted after {len(result.frames)} frames")
        record.write(fields("decode", args.input, args.output, result))
    if result.damage is not None:
        complain(damage(result))
        return exits.STREAM
    return exits.INTERRUPTED if result.interrupted else exits.OK
