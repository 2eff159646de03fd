"""One payload in, one frame out."""

from collections import deque
from functools import partial

import torch
from torch import Tensor

from nvc.bitstream import DamagedStream
from nvc.codec.geometry import Geometry
from nvc.codec.payload import Payload
from nvc.codec.runner import Download, Runner
from nvc.codec.session import KEY, Session, kind_of
from nvc.kernels.compact import compact
from nvc.kernels.mv_restore import mv_restore
from nvc.kernels.rans_decode import finished, rans_decode
from nvc.kernels.scatter import scatter
from nvc.kernels.vector_rows import vector_rows
from nvc.models.config import gain_row
from nvc.models.lowdelay import LowDelay, Planes
from nvc.trace import span


class FrameDecoder(Session):
    """Decodes frames in coding order."""

    def __init__(self, network: LowDelay, geometry: Geometry, runner: Runner | None = None) -> None:
        super().__init__(network, geometry, runner)
        vectors, z, _ = self.lengths
        self._lengths = [torch.tensor([n], dtype=torch.int32, device=self.device) for n in (vectors, z)]
        self._end = self.space("last heads", self.heads.shape, torch.int64)
        self._under_way: deque[Download] = deque()

    def decode(self, payload: bytes | memoryview, qp: int, *, key: bool, reset: bool) -> Planes:
        """The padded planes, valid until the frame after the next begins. Raises DamagedStream."""
        self.begin(payload, qp, key=key, reset=reset)
        return self.result()

    def begin(self, payload: bytes | memoryview, qp: int, *, key: bool, reset: bool) -> None:
        """Start a frame; at most `runner.depth` frames may be under way. Raises DamagedStream for what can be seen."""
        if not key and not self.started:
            raise DamagedStream("An inter frame has no frame before it.")
        head = Payload.unpack(payload)
        if len(head.words) > len(self.words):
            raise DamagedStream("The payload of a frame is longer than any encoder writes.")
        row = gain_row(qp, key)
        numbers = {"precision": head.precision, "n_words": len(head.words), "lanes": head.lanes}
        self.control.set(row, self.hyper_table(row), **numbers, vector_sets=head.vector_sets)
        self.runner.upload(self.control.device, self.control.host)
        self.runner.upload(self.heads, head.heads)
        self.runner.upload(self.words, head.words)
        self.started = True
        kind = kind_of(key, reset)
        self.runner.run(f"decode {kind}", partial(self._work, kind))
        self._under_way.append(self.runner.download(self._end, *self.reference))

    def result(self) -> Planes:
        """The first of the frames under way. After a DamagedStream only a keyframe can follow."""
        heads, y, u, v = self._under_way.popleft().tensors()
        if not bool(finished(heads)):
            self.started = False
            raise DamagedStream("The entropy-coded data of a frame does not end where it should.")
        return y, u, v

    def abandon(self) -> None:
        """Forget the frames under way; only a keyframe can follow."""
        self._under_way.clear()
        self.started = False

    def _read(self, rows: Tensor, count: Tensor, out: Tensor, *, first: bool = False, last: bool = False) -> Tensor:
        """The next segment of the words, int16 like `rows`; the first one starts from what the packet says."""
        c = self.control
        heads = self.heads if first else self._end
        operands = self.words, c.n_words, heads, c.lanes, rows.flatten(), count, self.cdf, self.lut
        rans_decode(*operands, last, out=(out.flatten(), self._end))
        return out

    def _read_hyper(self, kind: str, rows: Tensor, symbols: Tensor, z: Tensor) -> None:
        rows.copy_(self.control.hyper_rows)
        self._read(rows, self._lengths[1], symbols, first=kind == KEY)
        z.copy_(symbols.clamp_(-128, 127))

    def _work(self, kind: str) -> None:
        net, row, space = self.network, self.control.row, self.space
        table, z_rows, rows = self.segments(self.rows)
        differences, z_symbols, symbols = self.segments(self.symbols)
        with span("entropy"):
            if kind != KEY:
                vector_rows(self.vectors, self.control.vector_sets, out=table)
                self._read(table, self._lengths[0], differences, first=True)
                mv_restore(differences, self.control.precision, out=(self.vectors, self.overlap))
            z = space.s8("z", *z_symbols.shape)
            z_read = self.runner.beside(partial(self._read_hyper, kind, z_rows, z_symbols, z))
        self.predict(kind)
        context = self.make_context(kind)
        with span("entropy"):
            z_read()
        with span("prior"):
            prior = net.make_prior(context, z, row, space)
        with span("entropy"):
            index = prior.rows.flatten()
            _, count = compact(index, self.skip, out=(rows, space("count", (1,), torch.int32)))
            self._read(rows, count, symbols, last=True)
            q = scatter(symbols, index, self.skip, out=space.s16("symbols", *prior.rows.shape).flatten())
        with span("prior"):
            mean = net.refine(prior, q.view(prior.rows.shape), row, space)
        self.finish(kind, q.view(prior.rows.shape), mean, context)
