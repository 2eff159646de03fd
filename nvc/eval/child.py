"""One encoding or decoding by an anchor, in a process of its own: some encoders write to standard error whatever they
are told, and one that crashes must not take the evaluation with it.

    python -m nvc.eval.child '{"work": "encode", ...}'

Prints one JSON object: {"seconds": ..., "sizes": [...]} or {"error": ..., "errno": ...}.
"""

import io
import json
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from nvc.eval.anchors import ANCHORS, Anchor
from nvc.media.avpicture import lines
from nvc.media.rawlayout import RawLayout


def encode(
    anchor: Anchor, quality: int, keyint: int, threads: int, raw: Path, size: tuple[int, int], rate: Fraction, out: Path
) -> list[int]:
    """Encode a raw yuv420p file to the elementary stream `out`. Returns the bytes of each frame."""
    width, height = size
    layout = RawLayout("yuv420p", width, height)
    pictures = np.memmap(raw, np.uint8, "r").reshape(-1, layout.size)
    sizes: list[int] = []
    file = io.BytesIO()  # errors of a disk are hard to recognise once they came through a muxer
    with av.open(file, "w", format=anchor.container) as output:
        stream = output.add_stream(anchor.codec, rate=rate, options=anchor.options(quality, keyint, threads))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, anchor.pix_fmt
        stream.codec_context.thread_count = anchor.thread_count(threads)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame(width, height, anchor.pix_fmt)
            for plane, view in zip(frame.planes, layout.views(picture), strict=True):
                lines(plane)[:, : view.shape[1]] = view
            frame.pts = i
            sizes += _mux(output, stream.encode(frame))
        sizes += _mux(output, stream.encode(None))
    out.write_bytes(file.getbuffer())
    return sizes


def _mux(output: av.container.OutputContainer, packets: "list[av.Packet[Any]]") -> list[int]:
    sizes = [packet.size for packet in packets]
    output.mux(packets)
    return sizes


def decode(anchor: Anchor, threads: int, stream: Path, out: BinaryIO) -> None:
    """Decode an elementary stream to raw yuv420p."""
    with av.open(str(stream), format=anchor.container) as source:
        source.streams.video[0].codec_context.thread_count = threads
        for frame in source.decode(video=0):
            for plane in frame.planes:
                out.write(np.ascontiguousarray(lines(plane)[:, : plane.width]).data)


def work(order: dict[str, object]) -> dict[str, object]:
    """Do what the JSON object on the command line asks for."""
    anchor, threads = ANCHORS[str(order["anchor"])], int(str(order["threads"]))
    began = time.perf_counter()
    sizes: list[int] = []
    if order["work"] == "encode":
        size = int(str(order["width"])), int(str(order["height"]))
        quality, keyint = int(str(order["quality"])), int(str(order["keyint"]))
        raw, rate = Path(str(order["source"])), Fraction(str(order["rate"]))
        sizes = encode(anchor, quality, keyint, threads, raw, size, rate, Path(str(order["target"])))
    else:
        with Path(str(order["target"])).open("wb") as out:
            decode(anchor, threads, Path(str(order["source"])), out)
    return {"seconds": time.perf_counter() - began, "sizes": sizes}


def main() -> None:
    """The process."""
    try:
        answer = work(json.loads(sys.argv[1]))
    except (av.error.FFmpegError, OSError) as error:
        answer = {"error": error.strerror or str(error), "errno": error.errno}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
