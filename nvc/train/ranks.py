"""Several processes, started by torchrun, that train one network: each on clips of its own, with the mean gradient."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """`rank` of this process among `size`; alone it is 0 of 1, and nothing here communicates."""

    rank: int = 0
    size: int = 1

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes; where there is none, it counts as zero."""
        if self.size == 1:
            return
        all_of = list(parameters)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in all_of])
        dist.all_reduce(flat)
        flat /= self.size
        for p, mean in zip(all_of, torch.split(flat, [p.numel() for p in all_of]), strict=True):
            p.grad = mean.view_as(p)

    def agreed(self, flag: bool, device: torch.device) -> bool:
        """Whether `flag` is true in any of the processes: clocks and losses differ, decisions must not."""
        if self.size == 1:
            return flag
        seen = torch.tensor([int(flag)], device=device)
        dist.all_reduce(seen, op=dist.ReduceOp.MAX)
        return bool(seen)

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)


ALONE = Ranks()


def join(device: torch.device) -> tuple[Ranks, torch.device]:
    """This process's place among those that torchrun started, and the device it is to use."""
    if not dist.is_torchelastic_launched():
        return ALONE, device
    if device.type == "cuda":
        device = torch.device("cuda", dist.get_node_local_rank())
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size()), device
