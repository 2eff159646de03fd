"""A recipe is data: a TOML file of stages, each with its number of steps, clip length, precision and learning rate."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

from nvc.models.config import CONFIGS
from nvc.train.quant import Mode


@dataclass(frozen=True)
class Stage:
    """Learning rate falls from lr to lr_end along half a cosine. clips: pairs (frames of a clip, clips in a batch), of
    which every step draws one; a clip of one frame is an intra frame."""

    steps: int
    clips: tuple[tuple[int, int], ...]
    crop: int
    lr: float
    lr_end: float
    mode: Mode


@dataclass(frozen=True)
class Recipe:
    """What to train, from which seed, through which stages."""

    preset: str
    seed: int
    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        return sum(s.steps for s in self.stages)

    def at(self, step: int) -> tuple[Stage, float]:
        """The stage of a step (0-based, below `steps`) and the learning rate there."""
        for stage in self.stages:
            if step < stage.steps:
                fall = 0.5 * (1 + math.cos(math.pi * step / stage.steps))
                return stage, stage.lr_end + (stage.lr - stage.lr_end) * fall
            step -= stage.steps
        raise ValueError("the recipe has ended")


def recipe_path(name: str) -> Path:
    """Where the recipe of a preset is, or the file of this name."""
    return Path(__file__).parent / "recipes" / f"{name}.toml" if name in CONFIGS else Path(name)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises ValueError with the file's name when it is not one."""
    try:
        raw = tomllib.loads(path.read_text())
        stages = tuple(
            Stage(**{**s, "clips": tuple((int(t), int(b)) for t, b in s["clips"]), "mode": Mode(s["mode"])})
            for s in raw["stage"]
        )
        recipe = Recipe(raw["preset"], raw["seed"], stages)
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a training recipe ({error})") from error
    if recipe.preset not in CONFIGS:
        raise ValueError(f"{path}: there is no preset {recipe.preset!r} but {', '.join(CONFIGS)}")
    return recipe
