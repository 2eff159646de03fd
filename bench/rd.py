"""Rate-distortion of the shipped weights against anchors: real files, real decodes, whole-file bits.

    python -m bench.rd CLIP... [--qps 8,20,32,44,56] [--frames N] [--anchors x264-medium-zl,mjpeg] [--json FILE]

PSNR is the mean over frames per plane, on 8-bit output; one keyframe. Every nvc file is decoded by a fresh decoder and
must give the encoder's reconstruction, or the run stops.
"""

import argparse
import hashlib
import io
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import nvc
from nvc.eval.anchors import ANCHORS, Planes, code
from nvc.eval.bdrate import bd_rate
from nvc.media import open_source
from nvc.media.quality import psnr, psnr_611

METRICS = ("y", "611")


def quality(sources: list[Planes], decoded: list[Planes]) -> dict[str, float]:
    if len(sources) != len(decoded):
        raise SystemExit(f"{len(decoded)} frames came back, {len(sources)} were coded")
    y, u, v = (float(np.mean([psnr(a[i], b[i]) for a, b in zip(sources, decoded, strict=True)])) for i in range(3))
    return {"y": y, "u": u, "v": v, "611": psnr_611(y, u, v)}


def nvc_point(sources: list[Planes], qp: int) -> dict[str, float]:
    file, digests = io.BytesIO(), [hashlib.md5(), hashlib.md5()]
    height, width = sources[0][0].shape
    with nvc.Encoder(file, width, height, qp=qp) as encoder:
        for planes in sources:
            digests[0].update(encoder.write(*planes).frame.tobytes())
    file.seek(0)
    decoded: list[Planes] = []
    for frame in nvc.Decoder(file):
        digests[1].update(frame.tobytes())
        decoded.append((frame.y, frame.u, frame.v))
    if digests[0].digest() != digests[1].digest():
        raise SystemExit("the decoder's pictures are not the encoder's")
    return {"q": qp, "bytes": len(file.getvalue())} | quality(sources, decoded)


def curves(clip: str, qps: list[int], anchors: list[str], frames: int | None) -> dict[str, list[dict[str, float]]]:
    with open_source(clip, frames=frames) as source:
        rate = source.format.frame_rate or Fraction(25)
        sources: list[Planes] = [(np.array(p.y), np.array(p.u), np.array(p.v)) for p in source]
    result = {"nvc": [nvc_point(sources, qp) for qp in qps]}
    for name in anchors:
        result[name] = []
        for q in ANCHORS[name].qualities:
            size, decoded = code(ANCHORS[name], q, sources, rate)
            result[name].append({"q": q, "bytes": size} | quality(sources, list(decoded)))
    pixels = sources[0][0].size * len(sources)
    for points in result.values():
        for point in points:
            point["bpp"] = point["bytes"] * 8 / pixels
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--qps", default="8,20,32,44,56")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--anchors", default="x264-medium-zl,mjpeg")
    parser.add_argument("--json")
    args = parser.parse_args()
    anchors, qps = args.anchors.split(","), [int(q) for q in args.qps.split(",")]
    table = Table("clip", *(f"{a} {m}" for a in anchors for m in METRICS), "nvc: bpp / PSNR-Y", title="BD-rate, %")
    results, sums = {}, []
    for clip in args.clips:
        curve = curves(clip, qps, anchors, args.frames)
        results[Path(clip).stem] = curve
        row = [
            bd_rate([(p["bpp"], p[m]) for p in curve[a]], [(p["bpp"], p[m]) for p in curve["nvc"]])
            for a in anchors
            for m in METRICS
        ]
        sums.append(row)
        points = "; ".join(f"{p['bpp']:.4f} / {p['y']:.2f}" for p in curve["nvc"])
        table.add_row(Path(clip).stem, *(f"{v:+.1f}" for v in row), points)
    means = [np.nanmean(c) if not all(map(math.isnan, c)) else math.nan for c in zip(*sums, strict=True)]
    table.add_row("mean", *(f"{v:+.1f}" for v in means), "")
    Console(width=200).print(table)
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
