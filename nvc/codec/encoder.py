"""One frame in, one payload out. The reconstruction is made by the decoder's own functions."""

from collections import deque
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from nvc.codec.geometry import Geometry
from nvc.codec.gop import few_symbols, search_rate
from nvc.codec.payload import Payload
from nvc.codec.runner import Download, Runner
from nvc.codec.session import KEY, Session, kind_of
from nvc.kernels._rans import lane_symbols
from nvc.kernels.choose_overlap import choose_overlap
from nvc.kernels.code_vectors import class_costs, code_vectors
from nvc.kernels.compact import compact
from nvc.kernels.motion_search import motion_search
from nvc.kernels.pack_s8 import pack_s8
from nvc.kernels.quantise import quantise
from nvc.kernels.rans_encode import rans_encode
from nvc.kernels.vector_rows import vector_rows
from nvc.models.config import PIXELS, gain_row
from nvc.models.lowdelay import LowDelay, Planes
from nvc.models.quantiser import rounding_offsets
from nvc.trace import span


class CodedFrame(NamedTuple):
    """A frame's payload and what the decoder will make of it."""

    payload: bytes
    planes: Planes | None  # padded reconstruction, equal to the decoder's; valid until the frame after the next begins


class FrameEncoder(Session):
    """Encodes frames in coding order. `reconstructions`: whether anybody wants to see them."""

    def __init__(
        self, network: LowDelay, geometry: Geometry, runner: Runner | None = None, *, reconstructions: bool = True
    ) -> None:
        super().__init__(network, geometry, runner)
        self._wanted = reconstructions
        self._offsets, self._costs = rounding_offsets().to(self.device), class_costs(self.cdf)
        (height, width), chroma = (geometry.height, geometry.width), geometry.chroma
        self._luma = self.space.u8("luma", *self.reference[0].shape)  # padded for the motion search
        self._picture = self._luma[:height, :width], self.space.u8("u", *chroma), self.space.u8("v", *chroma)
        # a keyframe has no vectors: its first segment is empty
        vectors, z, _ = self.lengths
        starts = {kind: [vectors if kind == KEY else 0, vectors, vectors + z, 0] for kind in (KEY, "")}
        self._bounds = {k: torch.tensor(v, dtype=torch.int32, device=self.device) for k, v in starts.items()}
        self._numbers = self.space("numbers", (4,), torch.int32)  # words, lanes, latents, precision of vectors
        self.precision = self._numbers[3:]
        share = lane_symbols(geometry.rows * geometry.columns)
        self._by_number = torch.full((1,), -share, dtype=torch.int32, device=self.device)  # lanes by number of symbols
        self._choice, self._contexts = self.space.u8("choice", 3), self.space.u8("contexts", *self.overlap.shape, 3)
        self._under_way: deque[tuple[bool, Download]] = deque()

    def encode(self, y: Tensor, u: Tensor, v: Tensor, qp: int, *, key: bool, reset: bool) -> CodedFrame:
        """Planes uint8 [H, W], 2 x [ceil(H/2), ceil(W/2)] (rows may be strided), qp 0..63."""
        self.begin(y, u, v, qp, key=key, reset=reset)
        return self.result()

    def begin(self, y: Tensor, u: Tensor, v: Tensor, qp: int, *, key: bool, reset: bool) -> None:
        """Start a frame; at most `runner.depth` frames may be under way."""
        row = gain_row(qp, key)
        self.control.set(row, self.hyper_table(row), rate=search_rate(qp), few=few_symbols(qp))
        self.runner.upload(self.control.device, self.control.host)
        for target, source in zip(self._picture, (y, u, v), strict=True):
            self.runner.upload(target, source)
        kind = kind_of(key, reset)
        self.runner.run(f"encode {kind}", partial(self._work, kind))
        wanted = self.reference if self._wanted else ()
        fetched = self.runner.download(self._numbers, self._choice, self.heads, *wanted, long=self.words)
        self._under_way.append((key, fetched))

    def result(self) -> CodedFrame:
        """The first of the frames under way."""
        key, fetched = self._under_way.popleft()
        numbers, choice, heads, *planes = fetched.tensors()
        n_words, lanes, _, precision = numbers.tolist()
        vertical, horizontal, overlap = (0, 0, 0) if key else choice.tolist()
        sets, precision = (vertical, horizontal, overlap), 0 if key else precision
        payload = Payload(sets, precision, lanes, heads, fetched.front(n_words)).pack()
        return CodedFrame(payload, (planes[0], planes[1], planes[2]) if planes else None)

    def _work(self, kind: str) -> None:
        net, row, space = self.network, self.control.row, self.space
        with span("pack"):
            pack_s8(*self._picture, out=self.pixels[:, :, :PIXELS])
        if kind != KEY:
            self._search()
        self.predict(kind)
        context = self.make_context(kind)
        with span("analyse"):
            latent, z = net.analyse(context, self.pixels, row, space)
        with span("prior"):
            prior = net.make_prior(context, z, row, space)
            q = space.s16("symbols", *latent.shape)
            vectors = None if kind == KEY else self.vectors
            rest = self._offsets, vectors, self.control.few
            first = quantise(latent, prior.mean, prior.rows, *rest, 0, self.skip, out=q)
            mean = net.refine(prior, first, row, space)
            quantise(latent, mean, prior.rows, *rest, 2, self.skip, out=q)
        # one thread's or one multiprocessor's work, which nothing waits for: it goes on beside the reconstruction
        coded = self.runner.beside(partial(self._code, kind, z, q, prior.rows))
        self.finish(kind, q, mean, context)
        with span("entropy"):
            coded()

    def _search(self) -> None:
        with span("search"):
            height, width = self._picture[0].shape
            self._luma[:height, width:] = self._luma[:height, width - 1 : width]
            self._luma[height:] = self._luma[height - 1 : height]
            vector_rows(self.vectors, self.control.vector_sets, out=self._contexts)
            motion_search(self._luma, self.reference[0], self.control.rate, out=(self.vectors, self.precision))

    def _predict(self) -> None:
        """The prediction that the decoder makes from the overlaps which are chosen with it."""
        operands = self._luma, *self.reference, self.vectors, self.control.rate
        choose_overlap(*operands, out=(self.overlap, self.prediction))

    def _code(self, kind: str, z: Tensor, q: Tensor, index: Tensor) -> None:
        differences, z_symbols, symbols = self.segments(self.symbols)
        table, z_rows, rows = self.segments(self.rows)
        bounds, (n_words, lanes, count, _) = self._bounds[KEY if kind == KEY else ""], torch.split(self._numbers, 1)
        if kind != KEY:
            motion = self.vectors, self.overlap, self.precision
            code_vectors(*motion, self._contexts, self._costs, out=(differences, self._choice, table))
        z_symbols.copy_(z)
        z_rows.copy_(self.control.hyper_rows)
        compact(index.flatten(), self.skip, q.flatten(), out=(rows, count, symbols))
        torch.add(bounds[2:3], count, out=bounds[3:])
        out = self.words, n_words, self.heads, lanes
        rans_encode(self.symbols, self.rows, bounds, self.cdf, self._by_number, out=out)
