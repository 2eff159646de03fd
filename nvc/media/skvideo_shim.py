"""scikit-video 1.1.11 on NumPy >= 2.3, which dropped names it uses; the global numpy module stays untouched."""

import functools
import importlib
import sys
import types
import warnings
from typing import Any

import numpy as np

_DROPPED = {"float": float, "int": int, "bool": np.bool_, "complex": complex, "object": object, "product": np.prod}


class _OldNumpy(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        return _DROPPED[name] if name in _DROPPED else getattr(np, name)


class _Bytes(np.ndarray[Any, Any]):
    tostring = np.ndarray.tobytes  # what its writer calls on a prepared frame


@functools.cache
def skvideo() -> types.ModuleType:
    """The package `skvideo`, usable: `io` (needs an ffmpeg on the PATH), `measure.psnr/ssim/mse/mae/strred`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = importlib.import_module("skvideo")
        for part in ("io", "measure", "motion", "utils", "datasets"):
            importlib.import_module(f"skvideo.{part}")
    old = _OldNumpy("numpy")
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "skvideo" and getattr(module, "np", None) is np:
            module.np = old  # type: ignore[attr-defined]
    writer = package.io.FFmpegWriter
    prepare = writer._prepareData
    writer._prepareData = lambda self, data: prepare(self, data).view(_Bytes)
    return package
