"""From the words of the command line to a plan, and to results that say how they will be measured."""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from nvc.eval.anchors import ANCHORS, installed
from nvc.eval.codecs import AnchorCodec, Codec, NvcCodec
from nvc.eval.machine import cores, machine
from nvc.eval.metrics import metrics
from nvc.eval.results import SCHEMA, CodecInfo, Results
from nvc.eval.runner import Plan
from nvc.eval.twin import FloatTwin


def make_plan(
    clips: list[tuple[str, str]],
    anchors: tuple[str, ...],
    *,
    qps: tuple[int, ...],
    synthetic: Collection[str] = (),
    preset: str = "fast",
    frames: int | None = None,
    keyint: int = -1,
    jobs: int = 1,
    twin: Path | None = None,
) -> Plan:
    """Anchors that are not installed stay in `Plan.absent`. Raises ModelError when there are no weights."""
    codecs: list[Codec] = [NvcCodec(preset, qps, keyint)]
    codecs += [AnchorCodec(ANCHORS[name], keyint) for name in anchors if installed(ANCHORS[name])]
    absent = [name for name in anchors if not installed(ANCHORS[name])]
    net = FloatTwin(twin, preset) if twin else None
    return Plan(clips, set(synthetic), codecs, absent, frames, keyint, cores(), jobs, net)


def describe(plan: Plan, command: str, version: str) -> Results:
    """Results without figures; `command` and `version` are those of nvc."""
    own = plan.codecs[0]
    assert isinstance(own, NvcCodec)
    infos = [CodecInfo("nvc", f"--{own.preset} --qp Q --keyint {plan.keyint}", list(own.qualities))]
    for codec in plan.codecs[1:]:
        anchor = ANCHORS[codec.name]
        infos.append(CodecInfo(codec.name, f"{anchor.codec}: {anchor.settings(plan.keyint)}", list(codec.qualities)))
    for name in plan.absent:
        anchor = ANCHORS[name]
        problem = f"not installed: this PyAV has no {anchor.codec}"
        infos.append(CodecInfo(name, anchor.settings(plan.keyint), list(anchor.qualities), problem))
    settings = {
        "preset": own.preset,
        "weights": own.weights,
        "keyint": str(plan.keyint),
        "frames": "all" if plan.frames is None else str(plan.frames),
        "threads": str(plan.threads),
    }
    if plan.twin is not None:
        settings["float twin"] = plan.twin.sha256
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return Results(SCHEMA, version, date, command, machine(), settings, infos, metrics())
