"""One frame in, one payload out. The reconstruction is made by the decoder's own functions."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nvc.codec.geometry import Geometry
from nvc.codec.gop import search_rate
from nvc.codec.payload import VECTOR_TABLES, Payload, vector_table
from nvc.codec.session import Session
from nvc.kernels.compact import compact
from nvc.kernels.motion_search import motion_search
from nvc.kernels.mv_residual import mv_residual
from nvc.kernels.pack_s8 import pack_s8
from nvc.kernels.quantise import quantise
from nvc.kernels.rans_encode import rans_encode
from nvc.models.config import PIXELS
from nvc.models.lowdelay import LowDelay, Planes
from nvc.models.quantiser import rounding_offsets
from nvc.trace import span


class CodedFrame(NamedTuple):
    """A frame's payload and what the decoder will make of it."""

    payload: bytes
    planes: Planes  # padded reconstruction, equal to the decoder's


class FrameEncoder(Session):
    """Encodes frames in coding order."""

    def __init__(self, network: LowDelay, geometry: Geometry) -> None:
        super().__init__(network, geometry)
        self.offsets = rounding_offsets().to(self.device)
        self.by_number = torch.zeros(1, dtype=torch.int32, device=self.device)  # as many lanes as the symbols are worth
        self._background = ThreadPoolExecutor(1, "nvc-entropy")

    def encode(self, y: Tensor, u: Tensor, v: Tensor, qp: int, *, key: bool, reset: bool) -> CodedFrame:
        """Planes uint8 [H, W], 2 x [ceil(H/2), ceil(W/2)] (rows may be strided), qp 0..63."""
        net, row = self.network, self.row(qp, key)
        y, u, v = (plane.to(self.device) for plane in (y, u, v))
        with span("pack"):
            pack_s8(y, u, v, out=self.pixels[:, :, :PIXELS])
        vectors = None if key else self._search(y, qp)
        self.predict(vectors)
        with span("context"):
            context = net.make_context(self.begin(key, reset), self.prediction, self.space)
        with span("analyse"):
            latent, z = net.analyse(context, self.pixels, row, self.space)
        with span("prior"):
            prior = net.make_prior(context, z, row, self.space)
            q = self.space.s16("symbols", *latent.shape)
            first = quantise(latent, prior.mean, prior.rows, self.offsets, 0, self.skip, out=q)
            mean = net.refine(prior, first, row, self.space)
            quantise(latent, mean, prior.rows, self.offsets, 2, self.skip, out=q)
        # one thread's work, which nothing waits for: it goes on beside the reconstruction
        payload = self._background.submit(self._code, vectors, z, q, prior.rows, row)
        planes = self.finish(q, mean, context, row)
        with span("entropy"):
            return CodedFrame(payload.result(), planes)

    def _search(self, y: Tensor, qp: int) -> Tensor:
        assert self.reference is not None
        height, width = self.reference[0].shape
        with span("search"):
            if y.shape != (height, width):
                rows, columns = (torch.arange(n, device=self.device) for n in (height, width))
                y = y[rows.clamp(max=y.shape[0] - 1)][:, columns.clamp(max=y.shape[1] - 1)]
            rate = torch.tensor([search_rate(qp)], dtype=torch.int32, device=self.device)
            return motion_search(y.contiguous(), self.reference[0], rate)  # type: ignore[no-any-return]

    def _code(self, vectors: Tensor | None, z: Tensor, q: Tensor, index: Tensor, row: Tensor) -> bytes:
        index = index.flatten()
        symbols, count = compact(q.flatten(), index, self.skip)
        rows, _ = compact(index, index, self.skip)
        n = int(count)
        parts = [(z.flatten().to(torch.int16), self.hyper_rows(row)), (symbols[:n], rows[:n])]
        choice = (0, 0)
        if vectors is not None:
            differences = mv_residual(vectors)
            choice = self._choose_tables(differences)
            parts.insert(0, (differences.flatten(), self.vector_rows(choice)))
        else:
            parts.insert(0, (z.new_zeros(0, dtype=torch.int16), z.new_zeros(0, dtype=torch.uint8)))
        lengths = [0] + [len(s) for s, _ in parts]
        bounds = torch.tensor(lengths, dtype=torch.int32, device=self.device).cumsum(0, dtype=torch.int32)
        all_symbols, all_rows = (torch.cat(column) for column in zip(*parts, strict=True))
        words, n_words, states, lanes = rans_encode(all_symbols, all_rows, bounds, self.cdf, self.by_number)
        return Payload(choice, int(lanes), states, words[: int(n_words)]).pack()

    def _choose_tables(self, differences: Tensor) -> tuple[int, int]:
        """The class rows that code each component in the fewest bits."""
        d = differences.cpu().numpy().reshape(-1, 2).astype(np.int64)
        classes = np.sign(d) * np.ceil(np.log2(np.abs(d) + 1)).astype(np.int64) + 127
        tables = self.cdf.cpu().numpy()[vector_table(0) : vector_table(VECTOR_TABLES)]
        bits = -np.log2(np.diff(tables, axis=1))
        costs = [[(np.bincount(classes[:, c], minlength=255) * row).sum() for row in bits] for c in (0, 1)]
        return int(np.argmin(costs[0])), int(np.argmin(costs[1]))
