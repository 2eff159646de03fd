"""Streams made on one device and decoded on the other: bytes and pictures must be the same.

    python -m profiling.cross_device [--device cuda] [--sizes 176x144,640x360,1280x720] [--json FILE]

The golden streams of the tests, made on a CPU, are decoded on the device; then clips are coded on both, and each stream
is decoded on both. Exit code 1 when anything differs.
"""

import argparse
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

import nvc
from bench.codec import clip, digest
from bench.machine import ROOT, origin

GOLDEN = ROOT / "tests" / "golden" / "streams"
QPS = 8, 32, 56
FRAMES, KEYINT = 10, 4
LONG = 106, 35  # of the first size: keyframes and fresh memories often enough to come from graphs


def golden(device: str) -> Iterable[dict[str, object]]:
    """What the device makes of every golden stream."""
    for name, want in json.loads((GOLDEN / "streams.json").read_text()).items():
        got = digest(nvc.Decoder(io.BytesIO((GOLDEN / f"{name}.nvc").read_bytes()), device=device))
        yield {"what": f"golden stream {name}", "same": got == want, "md5": got}


def made_here(size: tuple[int, int], qp: int, device: str, frames: int, keyint: int) -> dict[str, object]:
    """One clip, coded on the device and on the CPU, the device's stream decoded on both."""
    pictures, streams, recon = clip(*size, frames), dict[str, bytes](), dict[str, str]()
    for on in (device, "cpu"):
        file = io.BytesIO()
        with nvc.Encoder(file, *size, qp=qp, keyint=keyint, device=on) as encoder:
            written = [w for n in range(frames) for w in encoder.push(*pictures(n))] + encoder.flush()
            recon[on] = digest(w.frame for w in written)
        streams[on] = file.getvalue()
    decoded = {on: digest(nvc.Decoder(io.BytesIO(streams[device]), device=on)) for on in (device, "cpu")}
    found = {
        "what": f"{size[0]}x{size[1]}, QP {qp}",
        "same": len({*recon.values(), *decoded.values()}) == 1 and len(set(streams.values())) == 1,
        "bytes": len(streams[device]),
        "sha256": {on: hashlib.sha256(stream).hexdigest() for on, stream in streams.items()},
    }
    return found | {"reconstructed": recon, "decoded": decoded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", default="176x144,640x360,1280x720")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in args.sizes.split(",")]
    rows = [
        *golden(args.device),
        *(
            made_here(size, qp, args.device, *(LONG if size is sizes[0] else (FRAMES, KEYINT)))
            for size in sizes
            for qp in QPS
        ),
    ]
    for row in rows:
        print(f"{row['what']:32}{'same' if row['same'] else 'DIFFERS'}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(origin() | {"rows": rows}, indent=1) + "\n")
    wrong = sum(not row["same"] for row in rows)
    print(f"{len(rows) - wrong} of {len(rows)} the same on {args.device} and cpu")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
