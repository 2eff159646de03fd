"""Training: resumable to the step, motion compensation equal to the kernel's, recipes and data that refuse nonsense."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nvc.kernels.motion_compensate import motion_compensate
from nvc.models.config import FAST
from nvc.train.data import Clip, load_folders, strengthen
from nvc.train.motion import compensate, pack
from nvc.train.quant import Mode
from nvc.train.recipe import Recipe, Stage, load_recipe
from nvc.train.trainer import Trainer
from nvc.train.twin import Twin, gaussian_bits
from nvc.train.unroll import errors


def clips() -> list[Clip]:
    rng = np.random.default_rng(3)
    base = rng.integers(0, 256, (80, 90), dtype=np.uint8)
    luma = np.stack([np.roll(base, t, 1) for t in range(6)])[:, :64, :64]
    chroma = np.full((6, 2, 32, 32), 128, np.uint8)
    return [Clip("pan", luma, chroma, 1.0), Clip("still", luma[:1], chroma[:1], 1.0)]


def recipe(steps: int) -> Recipe:
    first = Stage(2, ((2, 1),), 32, 1e-3, 1e-3, Mode.FLOAT)
    return Recipe("fast", 7, (first, Stage(steps - 2, ((2, 2), (1, 2)), 32, 1e-3, 1e-4, Mode.QUANT)))


def run(folder: Path, steps: int) -> dict[str, torch.Tensor]:
    trainer = Trainer(folder, recipe(4), clips(), torch.device("cpu"))
    while trainer.step < steps:
        assert np.isfinite(trainer.train_step()["loss"])
    trainer.save()
    return trainer.net.state_dict()


def test_resumes_to_the_step(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 4)
    run(tmp_path / "halves", 3)
    halves = run(tmp_path / "halves", 4)
    assert all(torch.equal(whole[k], halves[k]) for k in whole)


def test_starts_from_an_earlier_run(tmp_path: Path) -> None:
    parameters = run(tmp_path / "first", 2)
    init = tmp_path / "first" / "network.safetensors"
    second = Trainer(tmp_path / "second", recipe(4), clips(), torch.device("cpu"), init)
    assert second.step == 0
    assert all(torch.equal(parameters[k], v) for k, v in second.net.state_dict().items())
    with pytest.raises(ValueError, match="does not hold"):
        Trainer(tmp_path / "third", recipe(4), clips(), torch.device("cpu"), tmp_path / "absent")


ONE_OF_TWO = """
import sys, torch
from pathlib import Path
from nvc.train.ranks import join
from nvc.train.unroll import errors
from nvc.train.trainer import Trainer
from tests.test_train import clips, recipe
ranks, device = join(torch.device("cpu"))
lone = torch.nn.Parameter(torch.zeros(3))
if ranks.rank:
    lone.grad = torch.full((3,), 4.0)
ranks.average([lone])
trainer = Trainer(Path(sys.argv[1]), recipe(3), clips(), device, None, ranks)
chance = float(torch.rand(1))
trainer.run(minutes=60.0 - 60.0 * ranks.rank)  # the second process has no time left: both stop
assert trainer.step == 0
trainer.train_step()
torch.save((lone.grad, chance, trainer.net.state_dict()), f"{sys.argv[1]}/rank{ranks.rank}")
"""


def test_processes_of_torchrun_train_one_network(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE_OF_TWO)
    (tmp_path / "run").mkdir()
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, *command, tmp_path / "one.py", tmp_path / "run"], check=True, env=environment, timeout=300
    )
    first, second = (torch.load(tmp_path / "run" / f"rank{n}", weights_only=True) for n in (0, 1))
    assert first[0].tolist() == second[0].tolist() == [2.0] * 3
    assert first[1] != second[1]
    assert all(torch.equal(second[2][k], v) for k, v in first[2].items())


def test_every_parameter_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what stands before weights that start at zero learns after them
    monkeypatch.setattr("nvc.train.trainer.WARMUP", 1)
    trainer = Trainer(tmp_path, recipe(4), clips(), torch.device("cpu"))
    before = {n: p.clone() for n, p in trainer.net.named_parameters()}
    while trainer.step < 4:
        trainer.train_step()
    stuck = [n for n, p in trainer.net.named_parameters() if torch.equal(p, before[n])]
    assert stuck == []


def test_float_compensation_is_the_kernel_without_rounding() -> None:
    rng = np.random.default_rng(5)
    y = torch.from_numpy(rng.integers(0, 256, (48, 64), dtype=np.uint8))
    u, v = (torch.from_numpy(rng.integers(0, 256, (24, 32), dtype=np.uint8)) for _ in range(2))
    mv = torch.from_numpy(rng.integers(-90, 90, (3, 4, 2), dtype=np.int16))
    overlap = torch.from_numpy(rng.integers(0, 256, (3, 4), dtype=np.uint8))
    want = motion_compensate.reference(y, u, v, mv, overlap).permute(2, 0, 1)[None].float()
    pixels = pack(y[None, None].float(), torch.stack((u, v))[None].float()) - 128
    assert (compensate(pixels, mv[None].long(), overlap[None]) - want).abs().max() <= 1.0001  # the kernel rounds twice


def test_goes_back_after_many_bad_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(tmp_path, recipe(30), clips(), torch.device("cpu"))
    begins: list[int] = []

    def step() -> dict[str, float]:
        begins.append(trainer.step)
        trainer.step += 1
        return {"loss": float("nan") if len(begins) <= 21 else 1.0}

    monkeypatch.setattr(trainer, "train_step", step)
    trainer.run()
    assert begins == [*range(21), *range(30)]


def test_pictures_to_look_at_change_nothing(tmp_path: Path) -> None:
    base = np.random.default_rng(1).integers(0, 256, (200, 240), dtype=np.uint8)
    luma = np.stack([np.roll(base, t, 1) for t in range(9)])
    clip = Clip("pan", luma, np.full((9, 2, 100, 120), 128, np.uint8), 1.0)
    trainer = Trainer(tmp_path, recipe(4), [clip], torch.device("cpu"))
    before = torch.get_rng_state(), trainer.rng.bit_generator.state, trainer.sampler.rng.bit_generator.state
    trainer.run(minutes=0)
    assert trainer.step == 0
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (trainer.rng.bit_generator.state, trainer.sampler.rng.bit_generator.state)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "network.safetensors", "samples.png"}


def test_recipes(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("preset = 'fast'\nseed = 1\n[[stage]]\nsteps = 1\n")
    with pytest.raises(ValueError, match="not a training recipe"):
        load_recipe(path)
    shipped = load_recipe(Path(__file__).parents[1] / "nvc/train/recipes/fast.toml")
    assert shipped.at(0)[1] > shipped.at(shipped.steps - 1)[1] > 0


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clips"):
        load_folders([tmp_path])


def test_a_false_colour_weighs_and_fine_detail_does_not():
    flat, detail = torch.zeros(1, 96, 4, 4), torch.zeros(1, 96, 4, 4)
    flat[:, 64:80] = 51.0  # U alone, everywhere
    detail[:, 64:80:2], detail[:, 65:80:2] = 51.0, -51.0
    for difference, stains in ((flat, 0.02), (detail, 0.0)):
        luma, chroma, means = (float(e) for e in errors(difference))
        assert (luma, chroma, means) == pytest.approx((0.0, 0.02, stains))


@pytest.mark.parametrize("symbol", [3.0, 50.0])
def test_a_scale_that_is_far_too_small_learns_to_grow(symbol):
    """Also where the symbol is not coded because of it, and where its probability is nothing in float32."""
    index = torch.full((1, 1, 1, 1), float(FAST.skip), requires_grad=True)
    residual = torch.full_like(index, symbol).requires_grad_()

    coded, wanted = Twin(FAST).quantise(residual, index, Mode.QUANT)
    gaussian_bits(wanted, index).sum().backward()

    assert (coded.item(), wanted.item()) == (0, symbol)
    assert index.grad.item() < -1


def test_colours_move_away_from_grey_and_stay_in_range():
    chroma = np.array([0, 100, 127, 128, 129, 156, 255], np.uint8)
    assert strengthen(chroma, 2.0).tolist() == [0, 72, 126, 128, 130, 184, 255]
    assert strengthen(chroma, 0.5).tolist() == [64, 114, 128, 128, 128, 142, 192]
