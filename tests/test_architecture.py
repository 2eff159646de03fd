"""The dependency rule and the bans of CONTRIBUTING.md, as code. Slow to argue with, quick to run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("nvc/**/*.py"))

# part of nvc -> what it may import of nvc besides itself, as prefixes of dotted names; `nvc` is the bare package only
MAY_IMPORT = {
    "nvc": ("nvc.api", "nvc.codec"),
    "nvc.__main__": ("nvc.cli",),
    "nvc.api": ("nvc.media", "nvc.codec", "nvc.bitstream", "nvc.models"),
    "nvc.bitstream": (),
    "nvc.cli": (
        "nvc",
        "nvc.api",
        "nvc.codec",
        "nvc.media",
        "nvc.eval",
        "nvc.profile",
        "nvc.train",
        "nvc.bitstream.errors",
    ),
    "nvc.codec": ("nvc.models", "nvc.bitstream", "nvc.kernels", "nvc.trace"),
    "nvc.eval": (
        "nvc.api",
        "nvc.bitstream",
        "nvc.codec",
        "nvc.kernels",
        "nvc.media",
        "nvc.models",
        "nvc.trace",
        "nvc.train",
    ),
    "nvc.kernels": ("nvc.trace",),
    "nvc.media": (),
    "nvc.models": ("nvc.kernels",),
    "nvc.profile": ("nvc.codec", "nvc.kernels", "nvc.media", "nvc.models", "nvc.trace"),
    "nvc.testing": (),
    "nvc.trace": (),
    "nvc.train": ("nvc.models", "nvc.kernels", "nvc.codec"),
}
# library -> the only places that may import it, as prefixes of paths
ONLY_IN = {
    "triton": ("nvc/kernels/",),
    "nvtx": ("nvc/trace.py",),
    "av": ("nvc/media/", "nvc/train/data.py", "nvc/eval/"),
}
NOT_IN = {"torch": "nvc/bitstream/"}  # the container is fuzzed without it
BANNED = {"environ", "getenv", "autotune", "make_block_ptr"}
MAY_PRINT = ("nvc/cli/", "nvc/train/")
MAX_LINES = 300
PUBLIC = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
# every kernel file has these five; its header documents them together (CONTRIBUTING.md)
KERNEL_CONTRACT = {"reference", "cpu", "launch", "make", "cost"}


def part(path):
    """`nvc/kernels/x.py` -> `nvc.kernels`, `nvc/trace.py` -> `nvc.trace`, `nvc/__init__.py` -> `nvc`."""
    parts = Path(path).with_suffix("").parts[:2]
    return ".".join(p for p in parts if p != "__init__")


def within(name, prefixes):
    return any(name == prefix or (prefix != "nvc" and name.startswith(prefix + ".")) for prefix in prefixes)


def import_problems(path, name):
    """What is wrong with importing `name`, a dotted name with the imported object last, in the file `path`."""
    here, top = part(path), name.split(".")[0]
    if top == "nvc" and not within(name, (*MAY_IMPORT[here], here)):
        yield f"{here} must not import {name}"
    if top in ONLY_IN and not path.startswith(ONLY_IN[top]):
        yield f"{top} is imported only in {', '.join(ONLY_IN[top])}"
    if top in NOT_IN and path.startswith(NOT_IN[top]):
        yield f"{top} is not imported in {NOT_IN[top]}"


def documented(path, tree):
    """(name, node) of everything that needs a docstring: the module and, in a public module, its public names."""
    yield "the module", tree
    name = Path(path).stem
    undocumented = KERNEL_CONTRACT if part(path) == "nvc.kernels" else set()
    for node in tree.body if name == "__init__" or not name.startswith("_") else []:
        if isinstance(node, PUBLIC) and not node.name.startswith("_") and node.name not in undocumented:
            yield node.name, node


def node_problems(path, node):
    """What is wrong with one node of the syntax tree."""
    match node:
        case ast.Import():
            for alias in node.names:
                yield from import_problems(path, alias.name)
        case ast.ImportFrom(level=0):
            for alias in node.names:
                yield from import_problems(path, f"{node.module}.{alias.name}")
                if alias.name in BANNED:
                    yield f"{alias.name} is banned"
        case ast.ImportFrom():
            yield "imports are spelled in full"
        case ast.Attribute(attr=name) if name in BANNED:
            yield f"{name} is banned"
        case ast.ExceptHandler(type=caught):
            names = {n.id for n in ast.walk(caught) if isinstance(n, ast.Name)} if caught else {"Exception"}
            if names & {"Exception", "BaseException"}:
                yield "except names the errors it can handle"
        case ast.Call(func=ast.Name(id="print")) if not path.startswith(MAY_PRINT):
            yield f"print is for {', '.join(MAY_PRINT)}"


def problems(path, source):
    """Every breach of the rules in one file, as sentences."""
    tree = ast.parse(source)
    found = [f"line {node.lineno}: {p}" for node in ast.walk(tree) for p in node_problems(path, node)]
    found += [f"{name} has no docstring" for name, node in documented(path, tree) if not ast.get_docstring(node)]
    if (lines := len(source.splitlines())) > MAX_LINES:
        found.append(f"{lines} lines: split this file")
    return found


@pytest.mark.parametrize("path", FILES)
def test_rules(path):
    assert part(path) in MAY_IMPORT, "a new part of nvc needs its line in MAY_IMPORT and in docs/ARCHITECTURE.md"
    assert problems(path, (ROOT / path).read_text()) == []


def test_every_part_is_there():
    assert {part(path) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("nvc/bitstream/x.py", "import torch"),
        ("nvc/bitstream/x.py", "from nvc.models.config import QPS"),
        ("nvc/cli/x.py", "from nvc.kernels import TABLE"),
        ("nvc/cli/x.py", "from nvc.bitstream import Writer"),
        ("nvc/codec/x.py", "import nvc.media"),
        ("nvc/codec/x.py", "def f():\n    'Late.'\n    from nvc.train.export import export"),
        ("nvc/codec/x.py", "from . import gop"),
        ("nvc/codec/x.py", "import triton.language as tl"),
        ("nvc/codec/x.py", "print(1)"),
        ("nvc/kernels/x.py", "from nvc import codec"),
        ("nvc/kernels/x.py", "import nvtx"),
        ("nvc/kernels/x.py", "@triton.autotune(configs=[])\ndef _kernel(): ..."),
        ("nvc/media/x.py", "import os\nPATH = os.environ['PATH']"),
        ("nvc/media/x.py", "from os import getenv"),
        ("nvc/media/x.py", "try:\n    pass\nexcept:\n    pass"),
        ("nvc/media/x.py", "try:\n    pass\nexcept (OSError, Exception):\n    pass"),
        ("nvc/models/x.py", "import av"),
        ("nvc/models/x.py", "class Public: ..."),
        ("nvc/models/x.py", "def public(): ..."),
        ("nvc/train/x.py", "from nvc.media.y4m import Y4MWriter"),
        ("nvc/trace.py", "\n" * MAX_LINES),
    ],
)
def test_breaches_are_found(path, line):
    assert len(problems(path, f'"""A module."""\n{line}\n')) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("nvc/cli/x.py", "import nvc\nfrom nvc.bitstream.errors import BitstreamError\nprint(BitstreamError)"),
        ("nvc/kernels/x.py", "import triton\ndef reference(): ..."),
        ("nvc/models/x.py", "def _private(): ..."),
        ("nvc/train/x.py", "from nvc.codec.gop import QP_MAX"),
    ],
)
def test_what_is_allowed_passes(path, line):
    assert problems(path, f'"""A module."""\n{line}\n') == []


def test_a_module_without_docstring_is_found():
    assert problems("nvc/models/x.py", "") == ["the module has no docstring"]
