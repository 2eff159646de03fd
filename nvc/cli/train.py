"""`nvc train`: train a network, or export the integer weights of a training run.

A run lives in a folder: its checkpoint, log and curves. Started again on the same folder, training resumes where it
stopped; Ctrl-C saves and stops. With --export nothing is trained: the weights of the run are written as they are.
"""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from nvc.cli import exits
from nvc.cli.console import say
from nvc.cli.options import count

if TYPE_CHECKING:
    import torch

    from nvc.train.recipe import Recipe


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("data", metavar="DATA_FOLDER", nargs="*", type=Path, help="folder of videos and pictures")
    parser.add_argument("--out", metavar="RUN_FOLDER", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--recipe", metavar="PRESET|FILE", default="fast", help="that of preset fast (default) or main, or a TOML file"
    )
    parser.add_argument(
        "--init", metavar="FILE", type=Path, help="start a new run from network.safetensors of an earlier one"
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: auto")
    parser.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: torch's choice)")
    parser.add_argument("--minutes", metavar="N", type=float, default=math.inf, help="stop and save after N minutes")
    parser.add_argument("--save-every", metavar="SECONDS", type=count, default=300, help="default: 300")
    parser.add_argument(
        "--export", metavar="FILE", type=Path, help="write the weights of RUN_FOLDER to FILE and stop; needs no data"
    )


def run(args: argparse.Namespace) -> int:
    """Train or export. Returns the exit code."""
    try:
        import matplotlib  # noqa: F401 - the one package of the extra; torch comes later, it takes seconds
    except ImportError as error:
        raise exits.UsageError("training needs the extra `train`: pip install 'nvc[train]'") from error
    if bool(args.data) == bool(args.export):
        raise exits.UsageError("name either folders of training data or, to export, --export FILE")
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.export:
        _export(args)
    else:
        _train(args, _device(args.device))
    return exits.OK


def _recipe(name: str) -> "Recipe":
    from nvc.train.recipe import load_recipe, recipe_path

    path = recipe_path(name)
    try:
        return load_recipe(path)
    except ValueError as error:  # of a file that is not text, too
        reason = str(error).removeprefix(f"{path}: ")
        raise exits.UsageError(f"{path}: {reason}") from error


def _device(name: str) -> "torch.device":
    import torch

    from nvc.codec.errors import DeviceError

    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise DeviceError("device 'cuda' was asked for, but torch finds no usable CUDA GPU on this machine")
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def _train(args: argparse.Namespace, device: "torch.device") -> None:
    from nvc.media import MediaError
    from nvc.train.data import Sampler, load_folders
    from nvc.train.ranks import join
    from nvc.train.trainer import Trainer

    recipe = _recipe(args.recipe)
    ranks, device = join(device)
    try:
        clips = load_folders(args.data)
        for stage in recipe.stages:  # a stage that fits no clip should fail now, not hours later
            Sampler(clips, 0).batch(1, max(frames for frames, _ in stage.clips), stage.crop)
    except ValueError as error:
        raise MediaError(str(error)) from error
    try:
        trainer = Trainer(args.out, recipe, clips, device, args.init, ranks)
    except ValueError as error:
        raise exits.UsageError(str(error)) from error
    if ranks.rank == 0:
        share = f", {ranks.size} processes" if ranks.size > 1 else ""
        say(f"{len(clips)} clips, {trainer.step} of {recipe.steps} steps done, on {device}{share}")
    trainer.run(save_every=args.save_every, minutes=args.minutes)


def _export(args: argparse.Namespace) -> None:
    import nvc
    from nvc.media import MediaError, atomic_output
    from nvc.train.release import release

    if args.export.exists():
        raise exits.UsageError(f"{args.export} exists; remove it or name another file")
    try:
        data = release(args.out, nvc.__version__)
    except ValueError as error:
        raise MediaError(str(error)) from error
    with atomic_output(str(args.export)) as output:
        output.file.write(data)
    say(f"{args.export}: {len(data)} bytes")
