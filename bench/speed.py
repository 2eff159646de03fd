"""Speed end to end, file in and file out, through the command line's own functions, and the share of every stage.

    python -m bench.speed CLIP... [--qp 32] [--threads 2] [--repeat 3] [--json FILE]

Each clip is first turned into a y4m file. Times are the best of `repeat` runs after one warm run; peak memory is that
of a fresh process that only decodes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import nvc
from nvc import trace
from nvc.codec.threads import set_threads
from nvc.media import open_sink, open_source
from nvc.trace import STAGES

# not ru_maxrss: a process inherits that of the one that started it
PEAK = """import sys, nvc
nvc.decode(sys.argv[1], sys.argv[2])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))"""


def timed(work, repeat: int) -> tuple[float, dict[str, float]]:
    """Best wall time and the stage times of that run."""
    work()
    runs = []
    for _ in range(repeat):
        with trace.collect() as stages:
            began = time.perf_counter()
            work()
            seconds = time.perf_counter() - began
        runs.append((seconds, {name: total.seconds for name, total in stages.items()}))
    return min(runs, key=lambda run: run[0])


def measure(clip: str, qp: int, repeat: int, folder: Path) -> dict[str, object]:
    y4m, stream, out = folder / "in.y4m", folder / "out.nvc", folder / "out.y4m"
    with open_source(clip) as source:
        sink = open_sink(str(y4m), source.format)
        frames = 0
        for planes in source:
            sink.write(planes)
            frames += 1
        sink.close()
        size = f"{source.format.width}x{source.format.height}"
    result: dict[str, object] = {"clip": Path(clip).stem, "size": size, "frames": frames, "qp": qp}
    jobs = {
        "encode": lambda: nvc.encode(str(y4m), str(stream), qp=qp, overwrite=True),
        "decode": lambda: nvc.decode(str(stream), str(out), overwrite=True),
    }
    for name, work in jobs.items():
        seconds, stages = timed(work, repeat)
        shares = {s: stages[s] / seconds for s in STAGES if s in stages}
        shares["rest"] = 1 - sum(shares.values())
        result[name] = {"fps": frames / seconds, "share": shares}
    result["bytes"] = stream.stat().st_size
    peak = subprocess.run([sys.executable, "-c", PEAK, stream, folder / "peak.y4m"], capture_output=True, check=True)
    result["decode_peak_mib"] = int(peak.stdout) / 1024
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--qp", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json")
    args = parser.parse_args()
    set_threads(args.threads)
    columns = ("clip", "size", "frames", "what", "fps", *STAGES, "rest")
    table = Table(*columns, title=f"end to end, {args.threads} threads, qp {args.qp}; shares in %")
    results = []
    for clip in args.clips:
        with tempfile.TemporaryDirectory() as folder:
            r = measure(clip, args.qp, args.repeat, Path(folder))
        results.append(r)
        for what in ("encode", "decode"):
            m = r[what]
            shares = [f"{100 * m['share'].get(s, 0):.0f}" for s in (*STAGES, "rest")]
            table.add_row(r["clip"], r["size"], str(r["frames"]), what, f"{m['fps']:.1f}", *shares)
        table.add_row("", "", "", "decode peak", f"{r['decode_peak_mib']:.0f} MiB")
    Console(width=180).print(table)
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
