"""Reads what the compiler made: resources and instructions of a cubin, floating-point instructions of a PTX file."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import triton

_LINE = re.compile(
    r"^(?P<label>\.L_x_\d+):"
    r"|^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w\s+)?(?P<op>[A-Z][A-Z0-9_]*)(?P<rest>[^;\n]*)",
    re.MULTILINE,
)
_USAGE = re.compile(r"REG:(?P<registers>\d+) STACK:(?P<stack>\d+)")
_FLOAT = re.compile(r"\b[a-z0-9_.]+\.(?:bf16|f16|f32|f64|tf32)[a-z0-9_.]*")
_SPILLS = ("STL", "LDL")
# ptxas 12.8 has been seen to lose products of a loop it unrolled, and to leave this, without operands, in their place
_LOST = "HGMMA"


@dataclass(frozen=True)
class Code:
    """One function. Instructions as stored, each once however often a loop runs it; `looped` are those inside loops."""

    registers: int
    stack: int  # bytes
    instructions: int
    looped: int
    igmma: int  # warp-group matrix instructions on int8
    imma: int  # warp matrix instructions on int8
    spills: int  # loads and stores of spilled registers
    floats: tuple[str, ...]  # floating-point instructions of the PTX, and of the cubin what stands for a lost product


def _tool(name: str, *arguments: str) -> str:
    tool = getattr(triton.knobs.nvidia, name).path
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=True).stdout


def _instructions(listing: str) -> tuple[Counter[str], int]:
    """(instructions by opcode, how many of them are inside loops) of an nvdisasm listing; padding is left out."""
    opcodes: list[str] = []
    labels: dict[str, int] = {}
    branches = []
    for found in _LINE.finditer(listing):
        if found["label"]:
            labels[found["label"]] = len(opcodes)
        elif found["op"] != "NOP":
            target = re.search(r"\.L_x_\d+", found["rest"])
            if found["op"] == "BRA" and target:
                branches.append((target[0], len(opcodes)))
            opcodes.append(found["op"])
    # what follows the last EXIT are the endless loop that closes a function and code moved out of line
    end = max((i for i, op in enumerate(opcodes) if op == "EXIT"), default=0)
    inside = {i for label, at in branches if at < end for i in range(labels.get(label, at), at + 1) if i < at}
    return Counter(opcodes), len(inside)


@cache
def read(cubin: Path, ptx: Path) -> Code:
    """What is in the compiled files of one launch. Raises CalledProcessError when the tools refuse them."""
    opcodes, looped = _instructions(_tool("nvdisasm", "-c", str(cubin)))
    usage = _USAGE.search(_tool("cuobjdump", "-res-usage", str(cubin)))
    if usage is None:
        raise ValueError(f"cuobjdump says nothing about the resources of {cubin}")
    return Code(
        registers=int(usage["registers"]),
        stack=int(usage["stack"]),
        instructions=opcodes.total(),
        looped=looped,
        igmma=opcodes["IGMMA"],
        imma=opcodes["IMMA"],
        spills=sum(opcodes[op] for op in _SPILLS),
        floats=tuple(sorted({*_FLOAT.findall(ptx.read_text()), *({_LOST} & opcodes.keys())})),
    )
