"""The same network in floating point, as plain PyTorch runs it: what integers cost in compression and gain in speed.

Its symbols are coded like those of the integer network, to packets which another machine might not be able to read.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from nvc.bitstream.layout import CRC
from nvc.bitstream.packet import FrameType, Head
from nvc.codec.geometry import Geometry
from nvc.codec.gop import frame_qp, is_reset
from nvc.codec.payload import Payload
from nvc.codec.stillness import repeats
from nvc.eval.bdrate import bd_rate
from nvc.eval.clips import Source, Views, pictures
from nvc.eval.results import Point, Twin
from nvc.eval.stop import Interrupted
from nvc.kernels._rans import lane_symbols
from nvc.kernels.code_vectors import class_costs, code_vectors
from nvc.kernels.rans_encode import rans_encode
from nvc.kernels.vector_rows import vector_rows
from nvc.media.quality import psnr, psnr_611
from nvc.models.config import gain_row
from nvc.models.quantiser import SCALES
from nvc.models.weights import ModelError, shipped
from nvc.train import twin as network
from nvc.train.motion import compensate, pack, unpack
from nvc.train.quant import Mode
from nvc.train.unroll import search_batch

FRAMES = 16  # of each clip: a float network on a CPU is slow


_Segment = tuple[Tensor, Tensor]  # symbols of a packet, and their rows, in the order of NUMERICS.md
_NOTHING = torch.zeros(0), torch.zeros(0)


class _Frame(NamedTuple):
    size: int  # of its packet
    planes: tuple[np.ndarray, np.ndarray, np.ndarray]  # uint8, padded
    seconds: float


class FloatTwin:
    """The network of preset `preset` with the float parameters in `path`, of which `sha256` is the checksum.

    Its weights are used at the 7-bit values that it was trained with and that are shipped: the parameters behind them
    are only where the optimiser stands, and pictures fall apart without the rounding. Everything else is float32.
    Raises ModelError.
    """

    def __init__(self, path: Path, preset: str) -> None:
        model = shipped(preset).network
        self.net = network.Twin(model.config).eval()
        try:
            data = path.read_bytes()
            self.net.load_state_dict(load(data))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelError(
                f"{path} holds no float parameters of preset {preset} ({str(error).splitlines()[0]})"
            ) from error
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._cdf, self._costs = model.cdf, class_costs(model.cdf)
        self._z_rows = _rows(self.net.z_index().detach())

    def frames(self, views: Iterator[Views], geometry: Geometry, qp: int, keyint: int) -> Iterator[_Frame]:
        """Code pictures in a closed loop, without rounding of anything but weights and latents."""
        recon = memory = torch.zeros(0)
        vectors = torch.zeros(0)
        h, w = geometry.features
        with torch.no_grad(), self.net.prepared(Mode.QUANT):
            shown = list(views)
            for number, planes in enumerate(shown):
                began = time.perf_counter()
                distance = number % keyint if keyint > 0 else number
                key, following = distance == 0, shown[number + 1 : number + 2]
                still = key and keyint != 1 and bool(following) and repeats(following[0][0], planes[0])
                now = frame_qp(qp, distance, still)
                luma, chroma = _padded(planes, geometry)
                target, segments = pack(luma, chroma) - 128, [_NOTHING]
                prediction, whole = torch.zeros_like(target), torch.zeros((1, 1, h // 2, w // 2), dtype=torch.bool)
                if key or is_reset(distance):
                    memory = self.net.initial_memory(1, h, w, key, Mode.FLOAT)
                if key:
                    vectors = torch.zeros((1, h // 2, w // 2, 2), dtype=torch.int64)
                else:
                    before = vectors[0]
                    seen = (unpack(recon)[0][:, 0] + 128).round().to(torch.uint8)
                    vectors, overlap, precision = search_batch(luma[:, 0].to(torch.uint8), seen, torch.tensor([now]))
                    prediction, whole = compensate(recon, vectors, overlap), (vectors & 3 == 0).all(3)[:, None]
                    segments = [self._vectors(vectors[0], overlap[0], precision[0], before)]
                row = gain_row(now, key)
                coded = self.net(target, prediction, whole, memory, torch.tensor([row]), Mode.FLOAT, noise=False)
                z, symbols, index = (x.permute(0, 2, 3, 1) for x in (coded.z, coded.symbols, _rows(coded.index)))
                said = index > self.net.config.skip
                segments += [(z, self._z_rows[row].expand_as(z)), (symbols[said], index[said])]
                reset = bool(not key and is_reset(distance))
                head = Head(FrameType.KEY if key else FrameType.INTER, reset, now, 1, 0)
                size = self._size(segments, head, -lane_symbols(geometry.rows * geometry.columns))
                recon, memory = coded.pixels.clamp(-128, 127), coded.memory
                y, c = ((x + 128).round().to(torch.uint8)[0].numpy() for x in unpack(recon))
                yield _Frame(size, (y[0], c[0], c[1]), time.perf_counter() - began)

    def _vectors(self, vectors: Tensor, overlap: Tensor, precision: Tensor, before: Tensor) -> _Segment:
        contexts = vector_rows(before.to(torch.int16), torch.zeros(3, dtype=torch.uint8))
        residual, _, rows = code_vectors(vectors.to(torch.int16), overlap, precision, contexts, self._costs)
        return residual, rows

    def _size(self, segments: list[_Segment], head: Head, lanes: int) -> int:
        """Bytes of the packet; lanes as for `rans_encode`."""
        symbols, rows = (torch.cat([s[k].flatten() for s in segments]) for k in (0, 1))
        bounds = torch.tensor([0, *(len(s.flatten()) for s, _ in segments)], dtype=torch.int32).cumsum(0)
        words, count, packed, used = rans_encode(
            symbols.to(torch.int16), rows.to(torch.uint8), bounds.int(), self._cdf, torch.tensor([lanes]).int()
        )
        payload = Payload((0, 0, 0), 0, int(used), packed, words[: int(count)]).pack()
        return len(head._replace(size=len(payload)).pack(1)) + CRC.size + len(payload)


def _rows(index: Tensor) -> Tensor:
    """Rows of the tables for scale indices."""
    return (index + 0.5).floor().clamp(0, SCALES - 1)


def _padded(planes: Views, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Luma [1, 1, H, W] and chroma [1, 2, H/2, W/2] of whole blocks, edges repeated."""
    right, below = 16 * geometry.columns - geometry.width, 16 * geometry.rows - geometry.height
    luma = torch.from_numpy(planes[0].astype(np.float32))[None, None]
    chroma = torch.from_numpy(np.stack(planes[1:]).astype(np.float32))[None]
    return F.pad(luma, (0, right, 0, below), "replicate"), F.pad(chroma, (0, right // 2, 0, below // 2), "replicate")


def measure_twin(
    net: FloatTwin,
    source: Source,
    raw: Path,
    own: list[Point],
    key: str,
    keyint: int,
    threads: int,
    stopped: Callable[[], bool],
) -> Twin:
    """Code the first frames at the qualities of nvc's points `own`, and compare with their first frames.

    Raises Interrupted.
    """
    count = min(source.frames, FRAMES)
    torch.set_num_threads(threads)
    points, best = [], 0.0
    for point in own:
        sizes, values, seconds = [], [], []
        views = (v for v, _ in zip(pictures(raw, source.width, source.height), range(count), strict=False))
        originals = pictures(raw, source.width, source.height)
        for frame in net.frames(views, Geometry(source.width, source.height), point.quality, keyint):
            pairs = zip(next(originals), frame.planes, strict=True)
            values.append([psnr(a, np.ascontiguousarray(b[: a.shape[0], : a.shape[1]])) for a, b in pairs])
            sizes.append(frame.size)
            seconds.append(frame.seconds)
            if stopped():
                raise Interrupted
        best = max(best, (count - 1) / sum(seconds[1:]))  # the first frame also compiles
        y, u, v = (float(np.mean(column)) for column in zip(*values, strict=True))
        points.append(_point(point, source, sizes, [row[0] for row in values], (y, u, v), key))
    mine = [(float(sum(p.frame_bytes[:count])), float(np.mean(p.frame_psnr_y[:count]))) for p in own]
    difference = bd_rate([(float(p.bytes), p.psnr_y) for p in points], mine)
    return Twin(key, count, threads, best, points, *difference)


def _point(
    like: Point, source: Source, sizes: list[int], values: list[float], means: tuple[float, float, float], key: str
) -> Point:
    size, y = sum(sizes), [round(value, 4) for value in values]
    pixels = source.width * source.height * len(sizes)
    kbps = float(8 * size * source.rate / len(sizes) / 1000)
    rest = {"ms_ssim": None, "vmaf": None, "file": None, "frame_bytes": sizes, "frame_psnr_y": y}
    named = {"codec": "float twin", "quality": like.quality, "key": key, "command": like.command}
    psnrs = dict(zip(("psnr_y", "psnr_u", "psnr_v"), means, strict=True)) | {"psnr_611": psnr_611(*means)}
    return Point(**{**named, **rest, **psnrs, "bytes": size, "bpp": 8 * size / pixels, "kbps": kbps})  # type: ignore[arg-type]
