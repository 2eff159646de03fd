"""Everything that needs a GPU, in one command on a bare machine, in less than nine minutes.

    [OUT=FOLDER] [NVC_COMMIT=...] profiling/gpu_run.sh [--dry-run] [--only PART]...

Python with torch, Triton, numpy, numba, safetensors, rich, matplotlib, pytest and pytest-benchmark must be there; pip,
git and the network are not needed. Where nvtx or google-crc32c are missing, `profiling/standins` serves; PyAV and
scikit-video are not used, for no part reads a video. Results go to $OUT/bench/results, or to bench/results. Each part
has a time limit, and one that fails does not keep the next from running. A table comes last. Exit code 1: some part
failed; 2: there is no GPU. NVC_COMMIT names the commit of a tree that was copied without its .git.

`--dry-run` shows that the parts work: tiny sizes, on the CPU, the interpreter in place of a GPU.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from bench.machine import ROOT, origin

TOTAL = 530  # seconds
REHEARSAL = 300  # seconds for each part of a dry run: the machine may have other work
GRACE = 8  # seconds that a part has to end after it was told to
STANDINS = ROOT / "profiling" / "standins"
WORKERS = 6  # processes of the tests, where pytest-xdist is installed
IMPORTS = """import platform, importlib.metadata, numba, pytest, safetensors, nvc.codec.reader, nvc.codec.writer
names = "torch", "triton", "numpy", "numba", "pytest"
print("Python", platform.python_version(), *(f"{name} {importlib.metadata.version(name)}" for name in names))"""


@dataclass(frozen=True)
class Part:
    """A command; `result` turns its output into one line."""

    name: str
    limit: int  # seconds
    command: list[str]
    result: Callable[[str], str]


@dataclass(frozen=True)
class Done:
    """What became of a part. rc: exit status; None when it ran out of time."""

    part: str
    rc: int | None
    seconds: float
    result: str


def last_line(output: str) -> str:
    """The last line with anything on it."""
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no output")


def _speeds(file: Path) -> Callable[[str], str]:
    def result(output: str) -> str:
        rows = json.loads(file.read_text())["rows"]
        return "; ".join(f"{r['size']} {r['encode']['fps']:.0f}/{r['decode']['fps']:.0f}" for r in rows) + " fps"

    return result


def _predictions(file: Path) -> Callable[[str], str]:
    def result(output: str) -> str:
        found = json.loads(file.read_text())
        rates = {name: found["ceilings"][name] for name in ("memory", "cache", "int8")}
        speeds = [f"{f['size']} {f['work']} {1 / f['model']:.0f}" for f in found["frames"] if f["items"][0]["model"]]
        model = "; model, fps: " + ", ".join(speeds) if speeds else ""
        return ", ".join(f"{name} {rate:.2e}" for name, rate in rates.items()) + model

    return result


def _kernels(folder: Path) -> Callable[[str], str]:
    def result(output: str) -> str:
        rows = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
        shares = sorted(row["share of roof"] for row in rows if row["share of roof"])
        middle = f", median {100 * shares[len(shares) // 2]:.0f} % of the roof" if shares else ""
        return f"{len(rows)} points{middle}; {last_line(output)}"

    return result


def gpu_tests() -> list[str]:
    """The test files that run on a GPU when there is one."""
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in files if "pytestconfig.device" in path.read_text()]


def parts(folder: Path, dry: bool) -> list[Part]:
    """What is to be run, with results in `folder`."""
    python = [sys.executable, "-m"]
    # plugins and versions are the machine's own: their warnings are no failure here
    pytest = [*python, "pytest", "-q", "-W", "default", "-p", "no:cacheprovider"]
    device, tests = ("cpu", ["tests/test_streams.py"]) if dry else ("cuda", ["--require-cuda", *gpu_tests()])
    if dry:
        tests += ["tests/test_kernels.py", "-k", "golden or (bit_exact and (mv_restore or scatter))"]
    elif importlib.util.find_spec("xdist"):
        tests += ["-n", str(WORKERS)]
    sizes = "tiny" if dry else "720p,1080p,4K"
    frames = ["--frames", "16" if dry else "1020"]
    codec = ["bench.codec", "--device", device, "--sizes", sizes, *frames, "--json", str(folder / "codec.json")]
    main = ["bench.codec", "--preset", "main", "--device", device, "--sizes", "tiny" if dry else "1080p,4K"]
    main += ["--frames", "16" if dry else "340", "--json", str(folder / "codec_main.json")]
    cross = ["profiling.cross_device", "--device", device, "--json", str(folder / "cross_device.json")]
    roof = ["profiling.roofline", "--measure", "--device", device, "--sizes", sizes]
    roof += ["--json", str(folder / "roofline.json"), "--picture", str(folder / "roofline.png")]
    book = [
        "bench/bench_kernels.py",
        "--results",
        str(folder),
        "--benchmark-disable-gc",
        *(["-k", "mv_restore-23x40x0"] * dry),
    ]
    return [
        Part("imports", 40, [sys.executable, "-c", IMPORTS], last_line),
        Part("tests", 150, [*pytest, "-p", "no:benchmark", *tests], last_line),
        Part("cross-device", 50, [*python, *cross, *(["--sizes", "32x16"] * dry)], last_line),
        Part("codec", 95, [*python, *codec], _speeds(folder / "codec.json")),
        Part("codec main", 50, [*python, *main], _speeds(folder / "codec_main.json")),
        Part("roofline", 70, [*python, *roof], _predictions(folder / "roofline.json")),
        Part("kernels", 115, [*pytest, *book], _kernels(folder)),
    ]


def environment() -> tuple[dict[str, str], list[str]]:
    """The environment of the parts, and the packages that are stood in for."""
    missing = [path.name for path in sorted(STANDINS.iterdir()) if importlib.util.find_spec(path.name) is None]
    paths = [str(ROOT), *(str(STANDINS / name) for name in missing), os.environ.get("PYTHONPATH", "")]
    # of a pytest that this may be run from, parts with a pytest of their own must not know
    foreign = "TRITON_INTERPRET", "PYTEST_"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return variables | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}, missing


def run(part: Part, limit: float, variables: dict[str, str], log: Path) -> Done:
    """Run a part, its output to the end of `log`."""
    began, start = time.monotonic(), log.stat().st_size if log.exists() else 0
    with log.open("ab") as file:
        file.write(f"\n### {part.name}: {' '.join(part.command)}\n".encode())
        file.flush()
        start = file.tell()
        process = subprocess.Popen(
            part.command, cwd=ROOT, env=variables, stdout=file, stderr=subprocess.STDOUT, process_group=0
        )
        rc: int | None
        try:
            rc = process.wait(limit)
        except subprocess.TimeoutExpired:
            rc = None
            _end(process)
    output = log.read_bytes()[start:].decode(errors="replace")
    try:
        result = part.result(output) if rc == 0 else last_line(output)
    except (OSError, KeyError, ValueError) as error:
        result = f"{type(error).__name__}: {error}"
    return Done(part.name, rc, round(time.monotonic() - began, 1), result)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a part, so that it can say what it knows; then end it and what it started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def table(results: list[Done]) -> str:
    """Part, exit status, seconds, one-line result."""
    lines = [f"{'part':14}{'rc':>6}{'seconds':>9}  result"]
    for done in results:
        rc = "limit" if done.rc is None else str(done.rc)
        lines.append(f"{done.part:14}{rc:>6}{done.seconds:9.1f}  {done.result[:160]}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--only", action="append", metavar="PART", help="run this part; may be repeated")
    args = parser.parse_args()
    began, out = time.monotonic(), os.environ.get("OUT")
    folder = Path(out or ROOT) / "bench" / "results"
    beside = origin()
    if not args.dry_run and not torch.cuda.is_available():
        parser.error("torch sees no CUDA GPU; --dry-run needs none")
    folder.mkdir(parents=True, exist_ok=True)
    log, (variables, missing) = folder / "gpu_run.log", environment()
    log.unlink(missing_ok=True)
    print(f"{beside['device']}, torch {beside['torch']}, Triton {beside['triton']}, commit {beside['commit']}")
    print(f"stood in for: {', '.join(missing) or 'nothing'}; results in {folder}", flush=True)
    results = []
    for part in parts(folder, args.dry_run):
        if args.only and part.name not in args.only:
            continue
        left = TOTAL - (time.monotonic() - began)
        print(f"{part.name} ...", flush=True)
        limit = REHEARSAL if args.dry_run else max(1.0, min(part.limit, left - GRACE))
        done = run(part, limit, variables, log)
        results.append(done)
        if done.rc != 0:
            print(log.read_text(errors="replace")[-3000:], flush=True)
        summary = beside | {"stood in for": missing, "parts": [asdict(done) for done in results]}
        (folder / "gpu_run.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(table(results))
    raise SystemExit(any(done.rc != 0 for done in results))


if __name__ == "__main__":
    main()
