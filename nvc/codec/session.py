"""What encoder and decoder share: the state between frames, and every step that both must do alike."""

import torch
from torch import Tensor

from nvc.codec.geometry import Geometry
from nvc.codec.payload import vector_table
from nvc.kernels._tables import lookup
from nvc.kernels.motion_compensate import motion_compensate
from nvc.models.config import PIXELS, gain_row
from nvc.models.lowdelay import LowDelay, Planes
from nvc.models.workspace import Workspace
from nvc.trace import span


class Session:
    """State of one stream on one device: the last decoded picture (padded planes) and the recurrent memory.

    The network's tables lie on the device.
    """

    def __init__(self, network: LowDelay, geometry: Geometry) -> None:
        self.network, self.geometry, self.device = network, geometry, network.cdf.device
        self.skip = network.config.skip
        self.cdf, self.lut = network.cdf, lookup(network.cdf)
        self.reference: Planes | None = None
        self.memory: Tensor | None = None
        self.space = Workspace(self.device)
        h, w = geometry.features
        # picture and prediction side by side: the encoder's first layer reads both, all others the prediction alone
        self.pixels = torch.zeros((h, w, 2 * PIXELS), dtype=torch.int8, device=self.device)
        self.prediction = self.pixels[:, :, PIXELS:]

    def row(self, qp: int, key: bool) -> Tensor:
        return torch.tensor([gain_row(qp, key)], dtype=torch.int32, device=self.device)

    def begin(self, key: bool, reset: bool) -> Tensor:
        """The memory that this frame starts from."""
        h, w = self.geometry.features
        if key or reset or self.memory is None:
            return self.network.empty_memory(h, w, key)
        return self.memory

    def predict(self, vectors: Tensor | None) -> None:
        """Fill the prediction: moved by the vectors, or grey for a keyframe."""
        with span("predict"):
            if vectors is None or self.reference is None:
                self.prediction.zero_()
            else:
                motion_compensate(*self.reference, vectors, out=self.prediction)

    def vector_rows(self, choice: tuple[int, int]) -> Tensor:
        """Table rows uint8 of the vector differences in coding order: (vertical, horizontal) of every block."""
        pair = torch.tensor([vector_table(c) for c in choice], dtype=torch.uint8, device=self.device)
        return pair.repeat(self.geometry.rows * self.geometry.columns)

    def hyper_rows(self, row: Tensor) -> Tensor:
        """Table rows uint8 of the hyper-latents in coding order."""
        h, w = self.geometry.hyper
        return self.network.z_index[row[0].long()].repeat(h * w)

    def finish(self, q: Tensor, mean: Tensor, context: Tensor, row: Tensor) -> Planes:
        """Reconstruct, and keep what the next frame needs. Returns the padded planes."""
        with span("synthesise"):
            self.memory, self.reference = self.network.synthesise(q, mean, context, self.prediction, row, self.space)
        return self.reference
