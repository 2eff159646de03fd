"""Writes docs/KERNELS.md: what the compiler makes of every kernel, and how long a frame should take on a GPU.

python -m profiling.kernels
"""

import triton

from nvc.kernels import TABLE
from profiling.compile import ARCHS, ROOT, Compiled, Point, bench_points, compile_points
from profiling.frame import QP, Frame, frame_calls
from profiling.model import GAP, Prediction, hidden, predict
from profiling.roofs import H200

PAGE = ROOT / "docs" / "KERNELS.md"
FRAMES = {
    "fast, 1080p": (1920, 1080, "fast"),
    "fast, 4K": (3840, 2160, "fast"),
    "main, 1080p": (1920, 1080, "main"),
}
HEAD = """# Kernels

Written by `make kernels`, nothing here was measured: no GPU is needed. Compiler: {compiler}.

## Compiled

Registers / KB of shared memory / instructions of each Triton function, by compute capability, at the kernel's largest
bench case. Bytes: every operand once. MACs: multiply-accumulates. `python -m profiling.compile` has all cases, and
spills, stack and matrix instructions, which `tests/test_compile.py` watches.
"""
PREDICTED = """
## Predicted

For an NVIDIA H200: {multiprocessors} multiprocessors at {clock:.1f} GHz, {memory:.1f} TB/s of memory, {cache:.1f} TB/s
of second-level cache, {int8:.0f} TOP/s of int8. Times in us, of one call. The largest column counts; what each means
and leaves out is said in `profiling/model.py`; a measurement will be longer. Shapes and calls were recorded while
sessions coded an inter frame of a synthetic clip at QP {qp}; the number of symbols depends on the content. There are
no weights for preset `main`: it is charged with the symbols of `fast`.
"""

Frames = dict[str, dict[str, Frame]]  # by preset and size, then by `decode` and `encode`


def compiler() -> str:
    """The versions that the compiled code depends on."""
    return f"Triton {triton.__version__}, ptxas {triton.knobs.nvidia.ptxas.version}"


def frame_points(frames: Frames) -> list[Point]:
    """What the frames run, each point once."""
    return sorted({point for works in frames.values() for frame in works.values() for point in frame.calls})


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def shape(case: tuple[int, ...]) -> str:
    return "x".join(map(str, case))


def compiled_table(compiled: list[Compiled]) -> list[str]:
    """One row for each Triton function of each kernel at its largest bench case."""
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for c in compiled:
        if c.case == TABLE[c.kernel].bench_cases[-1]:
            figures = f"{c.registers} / {c.shared / 1024:.1f} / {c.instructions}"
            cells.setdefault((c.kernel, c.jit), {})[c.arch] = figures
    lines = [row("kernel", "case", "bytes", "MACs", "MACs / byte", "function", *(f"sm_{arch}" for arch in ARCHS))]
    lines.append(row("---", "---", *["---:"] * 3, "---", *["---:"] * len(ARCHS)))
    for (kernel, jit), by_arch in cells.items():
        case = TABLE[kernel].bench_cases[-1]
        cost = TABLE[kernel].cost(case)
        costs = f"{cost.bytes:,}", f"{cost.macs:,}", f"{cost.macs / cost.bytes:.1f}"
        lines.append(row(kernel, shape(case), *costs, f"`{jit.strip('_')}`", *(by_arch.get(a, "") for a in ARCHS)))
    return lines


def frame_table(frame: Frame, compiled: list[Compiled]) -> list[str]:
    """One row for each kernel and case of a frame, the most expensive first, and the sum in words."""
    bounds = ("memory", "cache", "product", "issue", "chain")
    lines = [row("kernel", "case", "calls", "launches", "programs", "waves", *bounds, "time", "limit", "all calls")]
    lines.append(row("---", "---", *["---:"] * (5 + len(bounds)), "---", "---:"))
    rows, launches, predictions = [], 0, dict[Point, Prediction]()
    for (kernel, case), count in frame.calls.items():
        p = predict([c for c in compiled if (c.kernel, c.case, c.arch) == (kernel, case, 90)], H200)
        predictions[kernel, case], launches = p, launches + count * p.launches
        parts = [f"{p.bounds[b] * 1e6:.1f}" for b in bounds]
        cells = kernel, shape(case), count, p.launches, p.programs, f"{p.waves:.2f}", *parts
        rows.append(
            (-count * p.seconds, row(*cells, f"{p.seconds * 1e6:.1f}", p.limit, f"{count * p.seconds * 1e6:.1f}"))
        )
    lines += [line for _, line in sorted(rows)] + [""]
    seconds, gaps = 1e6 * sum(-time for time, _ in rows), 1e6 * GAP * launches
    words = f"{frame.calls.total()} calls, {launches} launches: {seconds:.0f} us, and {gaps:.0f} us of gaps."
    if beside := 1e6 * sum(hidden(frame, predictions).values()):
        words += f" Entropy coding, {beside:.0f} us of them, goes on beside the reconstruction."
    lines.append(words)
    return lines


def document(compiled: list[Compiled], frames: Frames) -> str:
    """The page. `compiled` holds the bench points, and for compute capability 9.0 the points of the frames."""
    roof = H200
    rates = {
        "multiprocessors": roof.multiprocessors,
        "clock": roof.clock / 1e9,
        "memory": roof.memory / 1e12,
        "cache": roof.cache / 1e12,
        "int8": roof.int8 / 1e12,
    }
    lines = [HEAD.format(compiler=compiler()), *compiled_table(compiled), PREDICTED.format(qp=QP, **rates).rstrip()]
    for name, works in frames.items():
        for work, frame in works.items():
            lines += ["", f"### {name}, {work}", "", *frame_table(frame, compiled)]
    return "\n".join(lines) + "\n"


def main() -> None:
    frames = {name: frame_calls(*frame) for name, frame in FRAMES.items()}
    points: dict[int, list[Point]] = {arch: bench_points() for arch in ARCHS}
    points[90] += frame_points(frames)
    compiled = compile_points(points)
    PAGE.write_text(document(compiled, frames))


if __name__ == "__main__":
    main()
