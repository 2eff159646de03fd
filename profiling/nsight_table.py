"""A table of stages and kernels from what `nsys stats --format csv` prints.

    python -m profiling.nsight_table FILE.csv

Reads the reports `nvtx_sum` (time on the host), `nvtx_gpu_proj_sum` (time on the GPU of what was launched inside a
range) and `cuda_gpu_kern_sum` (time of each CUDA function, the only one that looks inside of graphs), as Nsight Systems
2022.1 to 2025.5 write them: a line of column names, rows, and a few lines of talk in between. Ranges are those of the
domain `nvc`, written `nvc:NAME`.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nvc.kernels import NAMES
from nvc.trace import STAGES

DOMAIN = "nvc:"
FRAME = "context"  # the stage that every frame has once
Rows = dict[str, tuple[int, float]]  # name: (instances, milliseconds)


@dataclass
class Reports:
    """What was found, by the name of the range or CUDA function."""

    host: Rows = field(default_factory=dict)
    gpu: Rows = field(default_factory=dict)
    functions: Rows = field(default_factory=dict)


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _tables(text: str) -> Iterator[dict[str, str]]:
    """The rows of all tables, by column."""
    columns: list[str] = []
    for row in csv.reader(text.splitlines()):
        if any(cell.startswith("Total ") and cell.endswith("Time (ns)") for cell in row):
            columns = row
        elif len(row) == len(columns) > 1:
            yield dict(zip(columns, row, strict=True))
        else:
            columns = []


def read(text: str) -> Reports:
    """The reports in the output of nsys. Raises ValueError when there are none."""
    found = Reports()
    for row in _tables(text):
        if "Total Proj Time (ns)" in row:
            rows, name, count, time = found.gpu, row["Range"], row["Range Instances"], row["Total Proj Time (ns)"]
        elif "Range" in row:
            rows, name, count, time = found.host, row["Range"], row["Instances"], row["Total Time (ns)"]
        elif "Name" in row and "Instances" in row:
            rows, name, count, time = found.functions, row["Name"], row["Instances"], row["Total Time (ns)"]
        else:
            continue
        if rows is not found.functions:
            if not name.startswith(DOMAIN):
                continue
            name = name.removeprefix(DOMAIN)
        rows[name] = int(_number(count)), _number(time) / 1e6
    if not (found.host or found.gpu or found.functions):
        raise ValueError("no table of nsys in here; profiling/nsys.sh shows how they are made")
    return found


def table(reports: Reports) -> str:
    """Stages, then kernels, for each frame that has ranges; then CUDA functions in all."""
    frames = max(rows.get(FRAME, (0, 0.0))[0] for rows in (reports.host, reports.gpu))
    lines = [f"{frames} frames with ranges; a frame that is the replay of a graph has none", ""]
    names = [*STAGES, *NAMES]
    order = sorted(
        names, key=lambda n: (n not in STAGES, -reports.gpu.get(n, (0, 0))[1], -reports.host.get(n, (0, 0))[1])
    )
    if frames:
        whole = [sum(rows[s][1] for s in STAGES if s in rows) for rows in (reports.host, reports.gpu)]
        heads = ("calls/frame", "host ms/frame", "share %", "GPU ms/frame", "share %")
        lines.append(f"{'range':18}" + "".join(f"{head:>15}" for head in heads))
        for name in order:
            cells = [
                cell
                for rows, total in zip((reports.host, reports.gpu), whole, strict=True)
                for cell in (
                    (f"{rows[name][1] / frames:.3f}", f"{100 * rows[name][1] / total:.1f}") if name in rows else "--"
                )
            ]
            if set(cells) != {"-"}:
                calls = reports.host.get(name, reports.gpu.get(name, (0, 0)))[0] / frames
                lines.append(f"{name:18}" + "".join(f"{cell:>15}" for cell in (f"{calls:.1f}", *cells)))
        lines.append("")
    if reports.functions:
        total = sum(ms for _, ms in reports.functions.values())
        lines.append(f"{'calls':>9}{'us each':>10}{'ms':>11}{'share %':>9}  CUDA function")
        for name, (count, ms) in sorted(reports.functions.items(), key=lambda item: -item[1][1]):
            lines.append(f"{count:9}{1e3 * ms / count:10.1f}{ms:11.3f}{100 * ms / total:9.1f}  {name}")
    return "\n".join(lines).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    try:
        print(table(read(parser.parse_args().file.read_text())))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
