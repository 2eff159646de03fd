"""A/B comparison of two commits: whose kernels are faster?

    python -m bench.compare REV_A REV_B [-k KERNEL] [--rounds 5] [--threads 1]

Each commit gets a git worktree of its own, thrown away afterwards, and this tree's benchmarks. They are run by turns in
fresh processes, so that a machine that warms up or slows down does so for both. A difference counts when the intervals
from the 20th to the 80th percentile of the rounds' medians do not touch and the medians are more than 3 % apart.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from bench.machine import ROOT

SMALLEST = 0.03  # relative difference that is worth a word
RUNNERS = ("bench", "profiling", "nvc/profile")  # today's benchmarks measure both commits
Times = dict[tuple[str, tuple[int, ...]], list[float]]  # medians in us by (kernel, case), one for each round


def git(*arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(run.stderr.strip())
    return run.stdout.strip()


def check_out(revision: str, tree: Path) -> str:
    """Make `tree` a worktree of the revision with this tree's benchmarks; its commit."""
    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
    git("worktree", "add", "--detach", str(tree), commit)
    for folder in RUNNERS:
        shutil.rmtree(tree / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", "results"))
    return commit


def measure(tree: Path, kernel: str, threads: int, times: Times) -> None:
    """One round: run the tree's kernels in a fresh process and add the medians to `times`."""
    with tempfile.TemporaryDirectory() as results:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "bench/bench_kernels.py",
            "-k",
            kernel,
            "-p",
            "no:cacheprovider",
        ]
        run = subprocess.run(
            [*command, "--results", results, "--threads", str(threads)], cwd=tree, capture_output=True, text=True
        )
        if run.returncode not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise SystemExit(f"{tree.name} has no speed:\n{run.stdout[-3000:]}{run.stderr[-2000:]}")
        for file in Path(results).glob("*.jsonl"):
            for row in map(json.loads, file.read_text().splitlines()):
                times[row["kernel"], tuple(row["case"])].append(row["us"]["p50"])


def verdict(a: list[float], b: list[float]) -> str:
    """What the medians of two sides say, for a table."""
    (a20, a50, a80), (b20, b50, b80) = np.percentile(a, (20, 50, 80)), np.percentile(b, (20, 50, 80))
    if abs(b50 / a50 - 1) <= SMALLEST or (a20 <= b80 and b20 <= a80):
        return "no difference"
    return f"B is {a50 / b50:.2f} times as fast" if b50 < a50 else f"A is {b50 / a50:.2f} times as fast"


def show(names: dict[str, str], sides: dict[str, Times], rounds: int) -> None:
    """Print the table of all points that both commits have."""
    title = f"A {names['A']}, B {names['B']}; us, median and 20..80 % of {rounds} rounds"
    table = Table("kernel", "case", "A", "B", "verdict", title=title)
    for point in sorted(sides["A"].keys() & sides["B"].keys()):
        cells = []
        for side in ("A", "B"):
            p20, p50, p80 = np.percentile(sides[side][point], (20, 50, 80))
            cells.append(f"{p50:.1f} ({p20:.1f}..{p80:.1f})")
        table.add_row(point[0], "x".join(map(str, point[1])), *cells, verdict(sides["A"][point], sides["B"][point]))
    Console(width=160).print(table)
    for side, other in ("AB", "BA"):
        if alone := sorted({kernel for kernel, _ in sides[side].keys() - sides[other].keys()}):
            print(f"not compared, points only in {side}: {', '.join(alone)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="REV_A")
    parser.add_argument("b", metavar="REV_B")
    parser.add_argument("-k", "--kernel", default="", help="as pytest's -k")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU implementations")
    args = parser.parse_args()
    sides: dict[str, Times] = {"A": defaultdict(list), "B": defaultdict(list)}
    with tempfile.TemporaryDirectory() as folder:
        trees = {side: Path(folder) / side for side in sides}
        try:
            names = {side: check_out(r, trees[side])[:12] for side, r in zip("AB", (args.a, args.b), strict=True)}
            for number in range(args.rounds):
                for side in "AB" if number % 2 == 0 else "BA":
                    measure(trees[side], args.kernel, args.threads, sides[side])
        finally:
            for tree in trees.values():
                if tree.exists():
                    git("worktree", "remove", "--force", str(tree))
    show(names, sides, args.rounds)


if __name__ == "__main__":
    main()
