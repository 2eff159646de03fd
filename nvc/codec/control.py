"""The numbers that differ from frame to frame, as data on the device: one small copy a frame brings them there."""

import torch
from torch import Tensor

INTS = 6  # row, search rate, precision of vectors, symbols that are few, number of words, number of lanes


class Control:
    """One buffer on the device and its image on the host. On the device:

    row, rate, precision, few, n_words, lanes: int32 [1] each; hyper_rows: uint8 [Z]; vector_sets: uint8 [3].
    """

    def __init__(self, z: int, device: torch.device) -> None:
        self.host = torch.zeros(4 * INTS + z + 3, dtype=torch.uint8)
        self.device = torch.zeros_like(self.host, device=device)
        numbers = torch.split(self.device[: 4 * INTS].view(torch.int32), 1)
        self.row, self.rate, self.precision, self.few, self.n_words, self.lanes = numbers
        self.hyper_rows, self.vector_sets = torch.split(self.device[4 * INTS :], [z, 3])

    def set(
        self,
        row: int,
        hyper_rows: Tensor,
        *,
        rate: int = 0,
        precision: int = 0,
        few: int = 0,
        n_words: int = 0,
        lanes: int = 0,
        vector_sets: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """Fill the host's image."""
        self.host[: 4 * INTS].view(torch.int32).copy_(torch.tensor([row, rate, precision, few, n_words, lanes]))
        self.host[4 * INTS :].copy_(torch.cat([hyper_rows, torch.tensor(vector_sets, dtype=torch.uint8)]))
