"""The anchors, encoders that PyAV carries: low delay, no reordering, 8-bit 4:2:0."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

import av

Options = dict[str, str]


@dataclass(frozen=True)
class Anchor:
    """`options(quality, keyint, threads)` are the encoder's private options; keyint -1: the first frame only.

    `container` is a raw elementary-stream format, `frame_threads` whether PyAV's own thread count is the encoder's too,
    `cost` a rough encoding time relative to x264 medium, for the estimate of the time left.
    """

    name: str
    codec: str
    container: str
    qualities: tuple[int, ...]
    options: Callable[[int, int, int], Options]
    pix_fmt: str = "yuv420p"
    frame_threads: bool = False
    cost: float = 1.0

    def thread_count(self, threads: int) -> int:
        """PyAV's thread count for `threads` CPU threads: more than 1 would make x265 and SVT-AV1 delay frames."""
        return threads if self.frame_threads else 1

    def settings(self, keyint: int) -> str:
        """The options as one line, with Q for the quality and N for the number of threads."""
        text = " ".join(f"{k}={v}" for k, v in self.options(-99, keyint, -77).items())
        return text.replace("-99", "Q").replace("-77", "N")

    def command(self, source: str, quality: int, keyint: int, frames: int) -> str:
        """What does the same with an ffmpeg that has the encoder."""
        options = [part for k, v in self.options(quality, keyint, 1).items() for part in (f"-{k}", v)]
        words = ["ffmpeg", "-i", source, "-frames:v", str(frames), "-an", "-c:v", self.codec, "-threads", "1", *options]
        return shlex.join([*words, "-pix_fmt", self.pix_fmt, "-f", self.container, f"{self.name}-{quality}.bin"])


def _x264(q: int, keyint: int, threads: int) -> Options:
    params = f"scenecut=0:keyint={'infinite' if keyint < 0 else keyint}"
    return {"preset": "medium", "tune": "zerolatency", "crf": str(q), "x264-params": params}


def _x265(q: int, keyint: int, threads: int) -> Options:
    params = f"keyint={keyint}:scenecut=0:pools={threads}:log-level=none"
    return {"preset": "medium", "tune": "zerolatency", "crf": str(q), "x265-params": params}


def _x265_ldp(q: int, keyint: int, threads: int) -> Options:
    fair = "bframes=0:psy-rd=0:psy-rdoq=0:aq-mode=0:cutree=0"
    params = f"qp={q}:keyint={keyint}:scenecut=0:{fair}:pools={threads}:log-level=none"
    return {"preset": "veryslow", "tune": "zerolatency", "x265-params": params}


def _svtav1(preset: int) -> Callable[[int, int, int], Options]:
    def options(q: int, keyint: int, threads: int) -> Options:
        params = f"pred-struct=1:tune=1:keyint={keyint}:scd=0:lp={threads}"
        return {"preset": str(preset), "crf": str(q), "svtav1-params": params}

    return options


def _mjpeg(q: int, keyint: int, threads: int) -> Options:
    return {"qmin": str(q), "qmax": str(q), "huffman": "optimal"}


_CRF, _QP, _AV1 = (18, 23, 28, 33, 38), (20, 24, 28, 32, 36), (20, 28, 36, 44, 54)

ANCHORS = {
    a.name: a
    for a in (
        Anchor("x264-medium-zl", "libx264", "h264", _CRF, _x264, frame_threads=True),
        Anchor("x265-medium-zl", "libx265", "hevc", _CRF, _x265, cost=2.5),
        Anchor("x265-veryslow-ldp", "libx265", "hevc", _QP, _x265_ldp, cost=40.0),
        Anchor("svtav1-p8-ld", "libsvtav1", "obu", _AV1, _svtav1(8), cost=1.5),
        Anchor("svtav1-p4-ld", "libsvtav1", "obu", _AV1, _svtav1(4), cost=6.0),
        Anchor("mjpeg", "mjpeg", "mjpeg", (2, 5, 10, 18, 31), _mjpeg, "yuvj420p", cost=0.5),
    )
}
DEFAULT = tuple(name for name in ANCHORS if name != "mjpeg")


def installed(anchor: Anchor) -> bool:
    """Whether this PyAV has the encoder."""
    try:
        av.Codec(anchor.codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True
