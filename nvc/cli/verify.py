"""`nvc verify`: check every checksum and decode every frame."""

import argparse

from nvc.cli import exits
from nvc.cli.console import complain, say
from nvc.cli.options import add_run_options


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("input", metavar="IN.nvc", help="the stream, or - for standard input")
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Verify. Returns the exit code."""
    from nvc.api.decoding import decode_file
    from nvc.cli.progress import ProgressLine
    from nvc.cli.report import damage
    from nvc.cli.signals import graceful
    from nvc.codec.threads import set_threads

    if args.threads:
        set_threads(args.threads)
    with graceful() as stop, ProgressLine(stop, args.quiet) as progress:
        result = decode_file(args.input, device=args.device, md5=True, observer=progress)
    if result.damage is not None:
        complain(damage(result))
        return exits.STREAM
    if result.interrupted:
        return exits.INTERRUPTED
    say(f"ok: {len(result.frames)} frames, md5 {result.md5}")
    return exits.OK
