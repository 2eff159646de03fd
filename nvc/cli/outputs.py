"""Outputs: nothing is overwritten by accident, and JSON appears complete."""

import json
import os
import sys
from contextlib import ExitStack

from nvc.api.decoding import exists
from nvc.cli.console import remark
from nvc.cli.exits import UsageError
from nvc.media import atomic_output


def check_outputs(inputs: list[str], outputs: list[str | None], overwrite: bool | None) -> None:
    """UsageError when two names are one file, when two outputs want standard output, or when an output exists and is
    not to be replaced. `overwrite`: True, False, or None to ask on a terminal."""
    names = [name for name in outputs if name is not None]
    if names.count("-") > 1:
        raise UsageError("standard output can take one of the outputs only")
    files = [name for name in names if name != "-"]
    for i, name in enumerate(files):
        for other in inputs + files[:i]:
            if other != "-" and _same(name, other):
                raise UsageError(f"{name} would overwrite {'the input' if other in inputs else 'another output'}")
    for name in files:
        if exists(name) and not overwrite:
            if overwrite is None and sys.stdin.isatty() and _ask(name):
                continue
            why = "-n was given" if overwrite is False else "-y overwrites it"
            raise UsageError(f"{name} exists; {why}")


def _same(a: str, b: str) -> bool:
    if os.path.exists(a) and os.path.exists(b):
        return os.path.samefile(a, b) and os.path.isfile(a)
    return os.path.realpath(a) == os.path.realpath(b)


def _ask(name: str) -> bool:
    remark(f"{name} exists. Overwrite it? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class JsonOutput:
    """A place for one JSON object: a file that is opened at once, so that a long run cannot end in a refusal."""

    def __init__(self, name: str | None, stack: ExitStack) -> None:
        self._name = name
        self._output = None
        if name is not None and name != "-":
            self._output = atomic_output(name)
            stack.callback(self._output.abort)  # which does nothing after `write`

    def write(self, fields: dict[str, object]) -> None:
        """Does nothing when no JSON was asked for."""
        text = json.dumps(fields, indent=1) + "\n"
        if self._output is not None:
            with self._output as output:
                output.file.write(text.encode())
        elif self._name == "-":
            sys.stdout.write(text)
