"""Arguments that several sub-commands share, and their types."""

import argparse
import re
from fractions import Fraction


def size(text: str) -> tuple[int, int]:
    """`640x480` -> (640, 480)."""
    match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text)
    if match is None or not int(match[1]) or not int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 640x480")
    return int(match[1]), int(match[2])


def rate(text: str) -> Fraction:
    """`30000/1001`, `25` or `29.97`, as an exact positive ratio."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value < 1_000_000 or value.denominator > 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate such as 25 or 30000/1001")
    return value


def at_least(least: int, text: str, most: int = 2**31 - 1) -> int:
    """An integer within bounds."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return value


def count(text: str) -> int:
    """1 or more."""
    return at_least(1, text)


def index(text: str) -> int:
    """0 or more."""
    return at_least(0, text)


def quality(text: str) -> int:
    """A QP."""
    return at_least(0, text, 63)


def interval(text: str) -> int:
    """Frames from one keyframe to the next, or -1."""
    return -1 if text == "-1" else at_least(1, text)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """--device, --threads, --quiet."""
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: one for each core)")
    parser.add_argument("--quiet", action="store_true", help="no progress, notes and summary; errors only")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """--json, -y, -n."""
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON to FILE, or - for standard output")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("-y", dest="overwrite", action="store_true", default=None, help="overwrite existing outputs")
    choice.add_argument("-n", dest="overwrite", action="store_false", help="never overwrite, and do not ask")


def add_range_options(parser: argparse.ArgumentParser) -> None:
    """--start, --frames."""
    parser.add_argument("--start", type=index, default=0, metavar="S", help="number of the first frame, from 0")
    parser.add_argument("--frames", type=count, metavar="N", help="number of frames (default: all)")
