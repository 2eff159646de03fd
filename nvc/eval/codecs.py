"""nvc and the anchors behind one face: raw pictures to a file on the disk, and that file to raw pictures again."""

import errno
import hashlib
import json
import os
import shlex
import sys
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import av

from nvc.api.decoding import decode_file
from nvc.api.encoding import encode
from nvc.api.observer import Observer
from nvc.codec.errors import CodecError
from nvc.codec.threads import set_threads
from nvc.eval.anchors import Anchor
from nvc.eval.clips import Source
from nvc.eval.stop import Failed, Interrupted, is_full, run
from nvc.media import MediaError
from nvc.models.weights import shipped

Stopped = Callable[[], bool]


class Coded(NamedTuple):
    """`sizes`: bytes of each frame; `md5`: of the encoder's own reconstruction, where it tells."""

    seconds: float
    sizes: list[int]
    md5: str | None = None


class Codec(Protocol):
    """`cost`: rough encoding time, x264 medium is 1; `suffix`: of its files; `warms_up`: its first frames in a process
    are slow."""

    name: str
    warms_up: bool
    suffix: str
    qualities: tuple[int, ...]
    cost: float

    def encode(
        self, source: Source, raw: Path, quality: int, out: Path, threads: int, stopped: Stopped, check: bool = True
    ) -> Coded:
        """Encode raw pictures. `check` asks for the checksum of the reconstruction. Raises Failed, OSError."""

    def decode(self, source: Source, stream: Path, out: Path, threads: int, stopped: Stopped) -> float:
        """Decode to raw pictures. Returns seconds. Raises Failed, OSError."""

    def command(self, source: Source, quality: int) -> str:
        """What makes the same file outside of an evaluation."""

    def identity(self, quality: int) -> list[object]:
        """Everything that decides its bits."""


class _Watch(Observer):
    def __init__(self, stopped: Stopped) -> None:
        self.stopped = stopped  # type: ignore[method-assign]


class NvcCodec:
    """nvc through its own API, from file to file."""

    name, suffix, cost, warms_up = "nvc", "nvc", 8.0, True

    def __init__(self, preset: str, qps: tuple[int, ...], keyint: int) -> None:
        self.preset, self.qualities, self.keyint = preset, qps, keyint
        self.weights = shipped(preset).identity.hex()
        self.device = ""

    def encode(
        self, source: Source, raw: Path, quality: int, out: Path, threads: int, stopped: Stopped, check: bool = True
    ) -> Coded:
        set_threads(threads)
        try:
            result = encode(
                raw,
                out,
                size=(source.width, source.height),
                fps=source.rate,
                qp=quality,
                keyint=self.keyint,
                scenecut=False,  # as the anchors
                preset=self.preset,
                overwrite=True,
                md5=check,
                observer=_Watch(stopped),
            )
        except KeyboardInterrupt:
            raise Interrupted from None
        except (MediaError, CodecError) as error:
            raise _failure(error) from error
        if result.interrupted:
            out.unlink(missing_ok=True)
            raise Interrupted
        self.device = result.device
        return Coded(result.seconds, [frame.size or 0 for frame in result.frames], result.md5)

    def decode(self, source: Source, stream: Path, out: Path, threads: int, stopped: Stopped) -> float:
        set_threads(threads)
        try:
            result = decode_file(stream, out, overwrite=True, observer=_Watch(stopped))
        except KeyboardInterrupt:
            raise Interrupted from None
        except (MediaError, CodecError) as error:
            raise _failure(error) from error
        if result.interrupted:
            raise Interrupted
        if result.damage is not None:
            raise RuntimeError(f"nvc cannot read its own file {stream}: {result.damage}")
        return result.seconds

    def command(self, source: Source, quality: int) -> str:
        words = ["nvc", "encode", source.file, "-o", f"nvc-{quality}.nvc", f"--{self.preset}", "--qp", str(quality)]
        return shlex.join(
            [*words, "--keyint", str(self.keyint), "--no-scenecut", "--frames", str(source.frames), "--psnr"]
        )

    def identity(self, quality: int) -> list[object]:
        return [self.name, self.weights, _code(), self.preset, quality, self.keyint]


class AnchorCodec:
    """An anchor, each run in a process of its own."""

    warms_up = False

    def __init__(self, anchor: Anchor, keyint: int) -> None:
        self.anchor, self.keyint = anchor, keyint
        self.name, self.qualities, self.cost = anchor.name, anchor.qualities, anchor.cost
        self.suffix = anchor.container

    def encode(
        self, source: Source, raw: Path, quality: int, out: Path, threads: int, stopped: Stopped, check: bool = True
    ) -> Coded:
        order = {"work": "encode", "source": str(raw), "target": str(out), "threads": threads, "quality": quality}
        order |= {"keyint": self.keyint, "width": source.width, "height": source.height, "rate": str(source.rate)}
        answer = self._child(order, stopped)
        return Coded(answer["seconds"], answer["sizes"])

    def decode(self, source: Source, stream: Path, out: Path, threads: int, stopped: Stopped) -> float:
        order = {"work": "decode", "source": str(stream), "target": str(out), "threads": threads}
        return float(self._child(order, stopped)["seconds"])

    def _child(self, order: dict[str, object], stopped: Stopped) -> dict[str, Any]:
        command = [sys.executable, "-m", "nvc.eval.child", json.dumps(order | {"anchor": self.name})]
        code, output, errors = run(command, stopped)
        if code < 0:
            raise Failed(f"{self.anchor.codec} crashed with signal {-code}")
        if code:
            raise RuntimeError(errors.decode(errors="replace"))
        answer: dict[str, Any] = json.loads(output)
        if "error" in answer:
            if is_full(answer["errno"]):
                raise OSError(answer["errno"], answer["error"], order["target"])
            raise Failed(f"{self.anchor.codec} cannot {order['work']} this: {answer['error']}")
        return answer

    def command(self, source: Source, quality: int) -> str:
        return self.anchor.command(source.file, quality, self.keyint, source.frames)

    def identity(self, quality: int) -> list[object]:
        return [self.name, av.__version__, self.anchor.options(quality, self.keyint, 1)]


@cache
def _code() -> str:
    """Checksum of the source code that can change nvc's bits or speed."""
    root, digest = resources.files("nvc"), hashlib.sha256()
    for part in ("bitstream", "codec", "kernels", "models"):
        for path in sorted(Path(str(root / part)).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def check_md5(raw: Path, expected: str) -> None:
    """Compare what a fresh decoder wrote with the encoder's reconstruction; a difference is a mistake of nvc's own."""
    with raw.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        raise RuntimeError(f"the decoder's pictures ({found}) are not the encoder's ({expected})")


def _failure(error: Exception) -> Exception:
    """An nvc error as Failed, or as the OSError behind it when the disk is full."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and is_full(cause.errno):
            return OSError(cause.errno or errno.ENOSPC, os.strerror(cause.errno or errno.ENOSPC), cause.filename)
        cause = cause.__cause__
    return Failed(str(error))
