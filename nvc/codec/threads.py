"""How many CPU threads the codec uses, for the whole process."""

from nvc.kernels._pool import set_threads, threads

__all__ = ["set_threads", "threads"]
