"""What a sub-command says when it has finished: a summary for people, JSON for scripts."""

import nvc
from nvc.api.results import Decoded, Encoded, Outcome
from nvc.media.quality import psnr_611

SCHEMA = 1


def summary(name: str, result: Outcome) -> str:
    """Four lines or so."""
    figures = [f"{result.bytes} bytes" if result.bytes is not None else None]
    if result.kbps is not None and result.bpp is not None:
        figures += [f"{result.kbps:.1f} kb/s", f"{result.bpp:.4f} bpp"]
    frames = f"{len(result.frames)} frame{'s'[len(result.frames) == 1 :]}"
    lines = [
        f"{name}: {frames} of {result.width}x{result.height}, preset {result.preset}, QP {result.qp}",
        f"  stream  {', '.join(f for f in figures if f)}" if figures[0] else None,
        f"  speed   {result.fps:.1f} fps, {result.seconds:.2f} s on {result.device} ({result.device_reason})",
    ]
    if isinstance(result, Encoded) and result.psnr is not None:
        y, u, v = result.psnr
        lines.append(f"  PSNR    Y {y:.2f}, U {u:.2f}, V {v:.2f}, 6:1:1 {psnr_611(y, u, v):.2f} dB")
    return "\n".join(line for line in lines if line)


def fields(command: str, source: str, target: str | None, result: Outcome) -> dict[str, object]:
    """The JSON object; README.md describes it. A figure that is not known is null."""
    found: dict[str, object] = {
        "schema": SCHEMA,
        "command": command,
        "nvc": nvc.__version__,
        "input": source,
        "output": target,
        "width": result.width,
        "height": result.height,
        "frames": len(result.frames),
        "bytes": result.bytes,
        "seconds": round(result.seconds, 4),
        "duration": round(float(result.duration), 6),
        "fps": round(result.fps, 3),
        "bpp": _rounded(result.bpp, 6),
        "kbps": _rounded(result.kbps, 3),
        "preset": result.preset,
        "qp": result.qp,
        "model": result.model,
        "device": result.device,
        "interrupted": result.interrupted,
        "notes": result.notes,
    }
    if isinstance(result, Encoded):
        psnr = result.psnr
        found |= {"keyint": result.keyint, "recon_md5": result.md5, "psnr": None}
        if psnr is not None:
            found["psnr"] = {k: round(v, 4) for k, v in zip(("y", "u", "v"), psnr, strict=True)} | {
                "yuv611": round(psnr_611(*psnr), 4)
            }
    if isinstance(result, Decoded):
        found |= {"md5": result.md5, "frames_expected": result.expected, "damage": result.damage}
    found["frames_detail"] = [
        {"type": "key" if frame.key else "inter", "qp": frame.qp, "bytes": frame.size} for frame in result.frames
    ]
    return found


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def damage(result: Decoded) -> str:
    """What is wrong with a stream, and what was saved."""
    expected = "an unknown number of" if result.expected is None else str(result.expected)
    return f"{str(result.damage).rstrip('.')}; {len(result.frames)} of {expected} frames could be decoded"
