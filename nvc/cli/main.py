"""The `nvc` command: finds the sub-command, turns errors into one sentence and an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence

import nvc
from nvc.cli import decode, encode, eval, info, profile, train, verify
from nvc.cli.console import complain
from nvc.cli.exits import EPILOG, INTERRUPTED, OK, Parser, exit_code, sentence, user_errors
from nvc.cli.signals import interruptible

_COMMANDS = {
    "encode": (encode, "code a video as an .nvc file"),
    "decode": (decode, "turn an .nvc file into video"),
    "info": (info, "show what an .nvc file contains"),
    "verify": (verify, "check and decode an .nvc file without writing anything"),
    "profile": (profile, "show where the time goes, and the share of what the machine could do"),
    "eval": (eval, "compare nvc with other codecs on your clips"),
    "train": (train, "train a network, or export a trained one"),
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="nvc", description=(nvc.__doc__ or "").splitlines()[0], epilog=EPILOG, formatter_class=form)
    parser.add_argument("--version", action="version", version=f"nvc {nvc.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, (module, help) in _COMMANDS.items():
        sub = commands.add_parser(
            name, help=help, description=module.__doc__, epilog=EPILOG, formatter_class=form, allow_abbrev=False
        )
        module.add(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process). Returns the exit code; SystemExit for usage."""
    args = make_parser().parse_args(argv)
    try:
        with interruptible():
            code: int = args.run(args)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        # the interpreter flushes standard output once more when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except user_errors() as error:
        complain(sentence(error))
        return exit_code(error)
