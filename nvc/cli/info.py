"""`nvc info`: what a stream says about itself."""

import argparse
import json
from fractions import Fraction
from typing import TYPE_CHECKING

from nvc.cli import exits
from nvc.cli.console import complain, say

if TYPE_CHECKING:
    from nvc.api.inspection import StreamInfo

SCHEMA = 1


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("input", metavar="IN.nvc", help="the stream, or - for standard input")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print. Returns the exit code."""
    from nvc.api.inspection import inspect

    info = inspect(args.input)
    found = fields(args.input, info)
    say(json.dumps(found, indent=1) if args.json else text(found))
    if info.damage is not None:
        complain(info.damage)
        return exits.STREAM
    return exits.OK


def fields(name: str, info: "StreamInfo") -> dict[str, object]:
    """The JSON object; README.md describes it."""
    header, count = info.header, len(info.packets)
    qps = [packet.qp for packet in info.packets]
    seconds = float(info.duration)
    return {
        "schema": SCHEMA,
        "command": "info",
        "input": name,
        "bytes": info.size,
        "preset": header.preset.name.lower(),
        "model": header.model_id.hex(),
        "width": header.width,
        "height": header.height,
        "chroma": "4:2:0",
        "bit_depth": header.bit_depth,
        "primaries": header.primaries,
        "transfer": header.transfer,
        "matrix": header.matrix,
        "full_range": header.full_range,
        "sample_aspect": _ratio(header.sample_aspect),
        "rotation": header.rotation,
        "time_base": _ratio(header.time_base),
        "frame_rate": _ratio(header.frame_rate) if header.frame_rate else None,
        "start_pts": info.packets[0].pts if info.packets else header.start_pts,
        "frames": count,
        "frames_announced": info.announced,
        "keyframes": info.keyframes,
        "duration": round(seconds, 6),
        "kbps": round(8e-3 * info.size / seconds, 3) if seconds else None,
        "bpp": round(8 * info.size / (count * header.width * header.height), 6) if count else None,
        "qp": header.base_qp,
        "qp_min": min(qps, default=None),
        "qp_max": max(qps, default=None),
        "keyint": header.keyframe_interval or -1,
        "reset_interval": header.reset_interval,
        "damage": info.damage,
    }


def text(found: dict[str, object]) -> str:
    """The same for people."""
    f = found
    rows = {
        "file": f"{f['input']}, {f['bytes']} bytes",
        "video": f"{f['width']}x{f['height']}, {f['chroma']}, {f['bit_depth']} bit, pixel aspect {f['sample_aspect']}",
        "colour": f"primaries {f['primaries']}, transfer {f['transfer']}, matrix {f['matrix']} (H.273), "
        + ("full range" if f["full_range"] else "limited range"),
        "timing": f"{f['frames']} frames, {f['duration']:.3f} s, {f['frame_rate'] or 'unknown'} fps, "
        f"time base {f['time_base']}",
        "rate": "" if f["kbps"] is None else f"{f['kbps']:.1f} kb/s, {f['bpp']:.4f} bpp",
        "coding": f"preset {f['preset']}, QP {f['qp']}"
        + (f" (frames {f['qp_min']} to {f['qp_max']}), keyframes {f['keyframes']}" if f["frames"] else ""),
        "model": f["model"],
        "rotation": f"{f['rotation']} degrees clockwise" if f["rotation"] else "",
    }
    return "\n".join(f"{name:9}{value}" for name, value in rows.items() if value)


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
