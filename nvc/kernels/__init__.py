"""Importing this package fills the table. One name per kernel file; tests/test_golden.py checks none is missing."""

from importlib import import_module
from pathlib import Path

from nvc.kernels._caches import drop_stale
from nvc.kernels._table import TABLE

__all__ = ["TABLE"]

NAMES = (
    "block_s16",
    "choose_overlap",
    "code_vectors",
    "compact",
    "conv1x1_s16",
    "conv1x1_u8",
    "deform_s16",
    "dequant_s16",
    "down2_s16",
    "down2_s8",
    "down2_u8",
    "latent_s16",
    "latent_up_s16",
    "motion_compensate",
    "motion_search",
    "mv_restore",
    "pack_s8",
    "prior_head",
    "quantise",
    "rans_decode",
    "rans_encode",
    "recon_u8",
    "refine_mean",
    "scatter",
    "up2_u8",
    "vector_rows",
    "warp_s16",
)

drop_stale(Path(__file__).parent)
for _name in NAMES:
    import_module(f"{__name__}.{_name}")
