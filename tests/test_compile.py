"""Every kernel through the real compiler, without a GPU, and the page that says what came out of it."""

import re

import pytest
import torch

from nvc.kernels import TABLE
from profiling.compile import GEMMS, bench_points, compile_points
from profiling.driver import OnlyLaunches
from profiling.frame import Calls, Frame, frame_calls
from profiling.kernels import FRAMES, PAGE, compiler, document, frame_points
from profiling.model import LOOPS, Prediction, hidden, resident

ARCHS = (80, 90)  # the other targets take their time: `make kernels` compiles for all
SHARED = 99 << 10  # bytes of a program: what the smallest of all targets has
WARPS = 8  # of all programs that a multiprocessor holds: fewer cannot hide a load


@pytest.fixture(scope="module")
def frames():
    return {name: frame_calls(*frame) for name, frame in FRAMES.items()}


@pytest.fixture(scope="module")
def compiled(frames):
    points = {80: bench_points(), 90: [*bench_points(), *frame_points(frames)]}
    return compile_points(points)


def breaches(compiled, rule):
    return sorted({f"{c.kernel} {c.case} {c.jit} sm_{c.arch}: {c}" for c in compiled if not rule(c)})


def test_every_kernel_is_compiled(compiled):
    assert {(c.kernel, c.arch) for c in compiled} == {(name, arch) for name in TABLE for arch in ARCHS}


def test_no_floating_point_instruction(compiled):
    assert breaches(compiled, lambda c: not c.floats) == []


def test_nothing_is_spilled(compiled):
    assert breaches(compiled, lambda c: not c.spills and not c.stack) == []


def test_registers_and_shared_memory_are_within_the_budget(compiled):
    assert breaches(compiled, lambda c: c.shared <= SHARED and c.warps * resident(c) >= WARPS) == []


def test_matrix_products_run_on_integer_tensor_cores(compiled):
    used = {(c.kernel, c.case, c.arch) for c in compiled if (c.igmma if c.arch == 90 else c.imma)}
    claimed = {(c.kernel, c.case, c.arch) for c in compiled if c.kernel in GEMMS}
    assert sorted(claimed - used) == []
    assert set(TABLE) >= GEMMS


def test_the_loops_of_the_model_are_those_of_the_code(compiled, frames):
    points = set(frame_points(frames))
    looping = {(c.kernel, c.jit) for c in compiled if c.looped and c.arch == 90 and (c.kernel, c.case) in points}
    assert looping == set(LOOPS)


def prediction(limit, seconds):
    return Prediction({"issue": 0.0, limit: seconds}, 1, 1, 1.0)


@pytest.mark.parametrize(("line", "seconds"), [(8.0, 3.0), (2.0, 2.0), (0.0, 0.0)])
def test_a_coder_is_hidden_behind_what_it_goes_on_beside(line, seconds):
    coder, filling, other = ("coder", (1,)), ("filling", (1,)), ("other", (1,))
    frame = Frame(Calls([coder, filling, other, other, coder]), Calls([coder, filling]), Calls([other, other]))
    each = {coder: prediction("chain", 3.0), filling: prediction("issue", 5.0), other: prediction("cache", line / 2)}
    assert hidden(frame, each) == {coder: seconds}


def test_only_an_encoder_hides_its_coder(frames):
    for works in frames.values():
        assert {name for name, _ in works["encode"].branch} == {"code_vectors", "compact", "rans_encode"}
        assert {"recon_u8", "block_s16"} <= {name for name, _ in works["encode"].line}
        assert works["encode"].calls > works["encode"].branch + works["encode"].line
        assert not works["decode"].branch


@pytest.mark.parametrize(
    "launch",
    [
        torch.Tensor.item,
        torch.Tensor.tolist,
        torch.Tensor.cpu,
        torch.Tensor.numpy,
        torch.Tensor.clone,
        torch.zeros_like,
    ],
)
def test_launch_code_that_computes_or_looks_is_found(launch):
    with pytest.raises(RuntimeError, match="the launch code calls"), OnlyLaunches("kernel"):
        getattr(torch.Tensor, launch.__name__, launch)(torch.ones(1))


# --- docs/KERNELS.md

COMPILED = {f"sm_{arch}" for arch in ARCHS} | {"launches", "programs", "waves", "cache", "issue", "chain", "time"}
COMPILED |= {"limit", "all calls"}
ELSEWHERE = {"sm_86", "sm_89", "sm_100", "sm_120"}


def without(page, columns):
    """The page with these columns of its tables left empty."""
    lines, hidden = [], []
    for line in page.splitlines():
        if line.startswith("| kernel |"):
            hidden = [name.strip() in columns for name in line.split("|")]
        elif line.startswith("|"):
            line = "|".join("" if hide else cell for cell, hide in zip(line.split("|"), hidden, strict=True))
        lines.append(line)
    return "\n".join(lines)


def test_the_page_is_up_to_date(compiled, frames):
    """`make kernels` brings it up to date. What the compiler decides is compared when it is the one that wrote it."""
    committed, now = PAGE.read_text(), document(compiled, frames)
    written_by = re.search(r"Compiler: (.*)\.$", committed, re.MULTILINE)[1]
    if written_by == compiler():
        assert without(committed, ELSEWHERE) == without(now, ELSEWHERE)
    else:
        hidden = ELSEWHERE | COMPILED
        committed, now = (re.sub(r"(?m)^(Compiler: |\d+ calls, ).*$", "", page) for page in (committed, now))
        assert without(committed, hidden) == without(now, hidden)
