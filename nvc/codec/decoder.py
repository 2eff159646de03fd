"""One payload in, one frame out."""

import torch
from torch import Tensor

from nvc.bitstream import DamagedStream
from nvc.codec.payload import Payload
from nvc.codec.session import Session
from nvc.kernels.compact import compact
from nvc.kernels.mv_restore import mv_restore
from nvc.kernels.rans_decode import finished, rans_decode
from nvc.kernels.scatter import scatter
from nvc.models.lowdelay import Planes
from nvc.trace import span


class _Words:
    """The word stream of one payload, read segment by segment."""

    def __init__(self, payload: Payload, cdf: Tensor, lut: Tensor) -> None:
        self.words, self.states, self.tables = payload.words.to(cdf.device), payload.states.to(cdf.device), (cdf, lut)
        self.lanes = torch.tensor([payload.lanes], dtype=torch.int32, device=cdf.device)
        self.count = torch.tensor([len(payload.words)], dtype=torch.int32, device=cdf.device)
        self.cursor = torch.zeros(2, dtype=torch.int32, device=cdf.device)

    def read(self, rows: Tensor, count: Tensor | None = None) -> Tensor:
        n = torch.tensor([len(rows)], dtype=torch.int32, device=rows.device) if count is None else count
        symbols, self.states, self.cursor = rans_decode(
            self.words, self.count, self.states, self.lanes, self.cursor, rows, n, *self.tables
        )
        return symbols  # type: ignore[no-any-return]

    def check(self) -> None:
        if not bool(finished(self.states, self.cursor, self.count)):
            raise DamagedStream("The entropy-coded data of a frame does not end where it should.")


class FrameDecoder(Session):
    """Decodes frames in coding order."""

    def decode(self, payload: bytes | memoryview, qp: int, *, key: bool, reset: bool) -> Planes:
        """The padded planes; nothing is kept of a frame that turns out to be damaged (DamagedStream)."""
        net, row, (rows, columns) = self.network, self.row(qp, key), (self.geometry.rows, self.geometry.columns)
        if not key and self.reference is None:
            raise DamagedStream("An inter frame has no frame before it.")
        head = Payload.unpack(payload)
        words = _Words(head, self.cdf, self.lut)
        with span("entropy"):
            vectors = None
            if not key:
                differences = words.read(self.vector_rows(head.vector_rows))
                vectors = mv_restore(differences.view(rows, columns, 2))
            h, w = self.geometry.hyper
            z = words.read(self.hyper_rows(row)).clamp(-128, 127).to(torch.int8).view(h, w, -1)
        self.predict(vectors)
        with span("context"):
            context = net.make_context(self.begin(key, reset), self.prediction, self.space)
        with span("prior"):
            prior = net.make_prior(context, z, row, self.space)
        with span("entropy"):
            index = prior.rows.flatten()
            symbols = words.read(*compact(index, index, self.skip))
            words.check()
            q = scatter(symbols, index, self.skip).view(prior.rows.shape)
        with span("prior"):
            mean = net.refine(prior, q, row, self.space)
        return self.finish(q, mean, context, row)
