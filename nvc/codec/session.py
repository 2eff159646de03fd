"""What encoder and decoder share: the state between frames, and every step that both must do alike."""

import torch
from torch import Tensor

from nvc.codec.control import Control
from nvc.codec.geometry import Geometry
from nvc.codec.graphs import Graphs
from nvc.codec.runner import Direct, Runner
from nvc.kernels._tables import MAX_LANES, lookup
from nvc.kernels.motion_compensate import motion_compensate
from nvc.models.config import PIXELS
from nvc.models.lowdelay import LowDelay, Planes
from nvc.models.workspace import Workspace
from nvc.trace import span

KEY, INTER, RESET = "key", "inter", "reset"  # a frame without past, with, and with a picture but no memory


class Session:
    """State of one stream on one device. All tensors are made here and in the first frames, and keep their place.

    The network's tables lie on the device.
    """

    def __init__(self, network: LowDelay, geometry: Geometry, runner: Runner | None = None) -> None:
        self.network, self.geometry, self.device = network, geometry, network.cdf.device
        self.runner = runner or (Direct() if self.device.type == "cpu" else Graphs(self.device))
        self.skip = network.config.skip
        self.cdf, self.lut = network.cdf, lookup(network.cdf)
        self.space = Workspace(self.device)
        self.started = False  # there is a frame before the next one
        self.control = Control(network.config.z, self.device)
        self._z_index = network.z_index.cpu()

        (h, w), (zh, zw), z = geometry.features, geometry.hyper, network.config.z
        self.memory = self.space.s16("memory", h, w, network.config.channels)
        sizes = (8 * h, 8 * w), (4 * h, 4 * w), (4 * h, 4 * w)
        y, u, v = (self.space.u8(f"reference {plane}", *size) for plane, size in zip("yuv", sizes, strict=True))
        self.reference: Planes = y, u, v
        # picture and prediction side by side: the encoder's first layer reads both, all others the prediction alone
        self.pixels = torch.zeros((h, w, 2 * PIXELS), dtype=torch.int8, device=self.device)
        self.prediction = self.pixels[:, :, PIXELS:]
        self.vectors = self.space.s16("vectors", geometry.rows, geometry.columns, 2)
        self.overlap = self.space.u8("overlap", geometry.rows, geometry.columns)

        # what the entropy coder reads and writes, one segment behind the other: differences of vectors and overlaps, z,
        # coded latents
        latent = geometry.rows * geometry.columns * network.config.latent
        self.lengths = [3 * self.overlap.numel(), zh * zw * z, latent]
        total = sum(self.lengths)
        self.symbols, self.rows = self.space.s16("coded", total), self.space.u8("coded rows", total)
        self.words = self.space("words", (2 * total,), torch.uint16)
        self.heads = self.space("heads", (3, MAX_LANES), torch.int64)

    def segments(self, coded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`symbols` or `rows` as (vectors and overlaps [bh, bw, 3], z [h, w, Z], latents [n])."""
        vectors, z, latents = torch.split(coded, self.lengths)
        return vectors.view(*self.overlap.shape, 3), z.view(*self.geometry.hyper, -1), latents

    def hyper_table(self, row: int) -> Tensor:
        """Table rows uint8 [Z] of the hyper-latents' channels, on the host."""
        return self._z_index[row]

    def predict(self, kind: str) -> None:
        """Fill the prediction: the last picture moved by the vectors, or grey for a keyframe."""
        with span("predict"):
            if kind == KEY:
                self.prediction.zero_()
                self.vectors.zero_()  # what the next frame's contexts see
            else:
                self._predict()

    def _predict(self) -> None:
        motion_compensate(*self.reference, self.vectors, self.overlap, out=self.prediction)

    def make_context(self, kind: str) -> Tensor:
        with span("context"):
            if kind != INTER:
                self.memory.copy_(self.network.memory[int(kind == KEY)].expand_as(self.memory))
            return self.network.make_context(self.memory, self.prediction, self.space)

    def finish(self, kind: str, q: Tensor, mean: Tensor, context: Tensor) -> None:
        """Reconstruct: memory and reference become what the next frame needs."""
        with span("synthesise"):
            vectors = None if kind == KEY else self.vectors
            operands = q, mean, context, self.prediction, vectors, self.control.row, self.space
            self.network.synthesise(*operands, out=(self.memory, self.reference))


def kind_of(key: bool, reset: bool) -> str:
    """Which work a frame needs."""
    return KEY if key else RESET if reset else INTER
