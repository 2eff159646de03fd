"""Spans, what they cost and what `nvc profile` makes of them."""

import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from files import planes, y4m

from nvc import trace
from nvc.cli.main import main
from nvc.kernels import TABLE
from nvc.kernels._table import Cost
from nvc.profile import session
from nvc.profile.calls import BESIDE, case_of, frame_calls, recorded
from nvc.profile.ceilings import Ceilings, measure
from nvc.profile.session import WARM, profile
from nvc.testing import Fill
from nvc.trace import STAGES, collect, marks, span

SIZE = 64, 48
MOST_SPANS = 100  # of a frame
FRAME = 0.02  # seconds: the shortest frame in question on a CPU; on a GPU spans cost nothing, a frame is one graph


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "clip.y4m"
    path.write_bytes(y4m(*SIZE, frames=WARM + 3))
    return str(path)


@pytest.fixture(scope="module")
def result(clip):
    return profile(clip, frames=3, qp=20, device="cpu")


@pytest.fixture(scope="module")
def calls():
    return dict(zip(("encode", "decode"), frame_calls([planes(*SIZE, n) for n in range(3)], 20), strict=True))


# --- spans


def test_spans_are_collected_by_name():
    with collect() as totals:
        for _ in range(3):
            with span("outer"), span("inner"):
                time.sleep(0.002)
    with span("outer"):  # nobody listens
        pass
    assert {name: total.calls for name, total in totals.items()} == {"outer": 3, "inner": 3}
    assert totals["outer"].seconds >= totals["inner"].seconds >= 0.006


def test_a_span_counts_when_it_begins_and_ends_inside():
    early, late = span("early"), span("late")
    early.__enter__()
    with collect() as totals:
        early.__exit__(None, None, None)
        late.__enter__()
    late.__exit__(None, None, None)
    assert totals == {}


def test_spans_of_other_threads_and_of_failures_count():
    def fail():
        with pytest.raises(ZeroDivisionError), span("thread"):
            raise ZeroDivisionError

    with marks(threading.get_ident) as collected:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert [(name, began == ended) for name, began, ended in collected] == [("thread", True)]


def test_tools_see_domain_names_and_nesting(monkeypatch):
    seen = []

    class Domain:
        def get_event_attributes(self, message):
            return message

        def push_range(self, attributes):
            seen.append(attributes)

        def pop_range(self):
            seen.append("pop")

    kernel, operands = TABLE["mv_restore"], TABLE["mv_restore"].make((2, 2, 0), Fill("zero", 0))
    monkeypatch.setattr(trace, "_DOMAIN", Domain())
    monkeypatch.setattr(trace, "_attributes", trace._attributes.__wrapped__)
    with span("prior"):
        kernel(*operands.values())
    assert seen == ["prior", "mv_restore", "pop", "pop"]


def test_a_frame_has_every_stage_and_its_spans_are_almost_free(calls):
    """Less than 1 % of a frame while nobody listens."""
    assert {call.stage for call in calls["encode"]} == set(STAGES)
    assert {call.stage for call in calls["decode"]} == set(STAGES) - {"pack", "search", "analyse"}
    assert len(calls["encode"]) + 2 * len(STAGES) <= MOST_SPANS

    def seconds(n=2000):
        began = time.perf_counter()
        for _ in range(n):
            with span("block_s16"):
                pass
        return (time.perf_counter() - began) / n

    assert MOST_SPANS * min(seconds() for _ in range(10)) < 0.01 * FRAME


# --- recorded calls


def test_cases_are_found_from_operands():
    for name in ("block_s16", "down2_s16", "recon_u8", "pack_s8", "quantise", "rans_encode", "rans_decode"):
        kernel = TABLE[name]
        for case in (kernel.cases[0], kernel.cases[-1]):
            found = case_of(kernel, kernel.make(case, Fill("uniform", 0)))
            assert kernel.cost(found) == kernel.cost(case), (name, case, found)


def test_operands_that_fit_no_case_are_refused():
    kernel = TABLE["conv1x1_u8"]
    operands = kernel.make(kernel.cases[1], Fill("zero", 0))
    with pytest.raises(ValueError, match="conv1x1_u8"):
        case_of(kernel, operands | {"w": operands["w"][:, :-1]})


def test_encoder_and_decoder_reconstruct_with_the_same_calls(calls):
    def synthesis(work):
        """An encoder's choose_overlap makes the prediction of motion_compensate: test_overlap.py compares them."""
        names = {"choose_overlap": "motion_compensate"}
        found = [call for call in calls[work] if call.stage in ("context", "predict", "synthesise")]
        return sorted((names[c.kernel], c.case[:2]) if c.kernel in names else (c.kernel, c.case) for c in found)

    assert synthesis("encode") == synthesis("decode") != []


def test_calls_beside_the_frame_are_entropy_coding_and_operands_are_kept():
    kernel = TABLE["mv_restore"]
    operands = kernel.make((2, 2, 0), Fill("uniform", 0))
    with recorded(keep=True) as found:
        thread = threading.Thread(target=kernel, args=tuple(operands.values()))
        with span("synthesise"):
            thread.start()
            thread.join()
    (call,) = found
    assert call[:3] == ("mv_restore", (2, 2, 0), BESIDE)
    kept, original = next(iter(call.operands.values())), next(iter(operands.values()))
    assert torch.equal(kept, original)
    assert kept.data_ptr() != original.data_ptr()


# --- ceilings and the profile


def test_operands_that_fit_come_from_the_cache():
    roof = Ceilings(memory=10.0, cache=100.0, cache_bytes=1000, int8=4.0)
    assert roof.seconds(Cost(bytes=1000, macs=0)) == 10
    assert roof.seconds(Cost(bytes=2000, macs=0)) == 200
    assert roof.seconds(Cost(bytes=10, macs=6)) == 3


def test_measured_ceilings_are_those_of_a_computer():
    roof = measure(torch.device("cpu"))
    assert 1e9 < roof.memory < 1e13
    assert 1e9 < roof.cache < 1e13
    assert 1e9 < roof.int8 < 1e15
    assert 1 << 20 <= roof.cache_bytes <= 1 << 31


def test_a_profile_adds_up(result, calls):
    assert (result.width, result.height, result.frames, result.device) == (*SIZE, 3, "cpu")
    assert result.bytes > 0
    for work in result.works:
        assert {row.name for row in work.stages} == {call.stage for call in calls[work.name]}
        assert {row.name for row in work.kernels} == {call.kernel for call in calls[work.name]}
        for row in work.kernels:
            assert row.calls == sum(call.kernel == row.name for call in calls[work.name])
        assert sum(row.cost.macs for row in work.kernels) == sum(row.cost.macs for row in work.stages)
        assert 0 <= work.rest < work.seconds < work.first + 1
        assert np.isclose(work.seconds, work.rest + sum(row.seconds for row in work.stages))


def test_on_a_gpu_kernels_are_timed_alone_and_stages_are_their_sums(calls, monkeypatch):
    monkeypatch.setattr(session, "_alone", lambda call, device: 2e-4 if call.kernel == "block_s16" else 1e-4)
    timed = session._Timed(first=1.0, seconds=0.01, spans={})
    roof = Ceilings(memory=1e12, cache=1e12, cache_bytes=1, int8=1e14)
    work = session._work("encode", timed, calls["encode"], roof, torch.device("cuda"))
    assert [row.name for row in work.stages] == list(STAGES)
    blocks = sum(call.kernel == "block_s16" for call in calls["encode"])
    assert work.kernels[0].name == "block_s16"
    assert np.isclose(work.kernels[0].seconds, 2e-4 * blocks)
    assert np.isclose(0.01 - work.rest, 1e-4 * (len(calls["encode"]) + blocks))


def test_a_kernel_alone_runs_with_the_operands_of_the_frame(monkeypatch, pytestconfig):
    kernel = TABLE["quantise"]
    args = kernel.make(kernel.cases[0], Fill("uniform", 0))
    with recorded(keep=True) as found:
        want = kernel(*args.values())
    seen = []
    monkeypatch.setattr(session, "graph_seconds", lambda work, copies: seen.append(work().cpu()) or 1.0)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    assert session._alone(found[0], torch.device(pytestconfig.device)) == 1.0
    assert torch.equal(seen[0], want)


def test_the_screen_shows_stages_and_kernels_within_100_columns(clip, capsys):
    assert main(["profile", clip, "--frames", "1", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert "1 inter frames of 64x48, QP 32" in lines[0]
    assert max(map(len, lines[1:])) <= 100
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert {"rest", *STAGES, "block_s16", "rans_encode", "rans_decode"} <= set(names)
    assert err.startswith("profiling ")


def test_a_clip_without_inter_frames_to_count_is_refused(tmp_path, capsys):
    (tmp_path / "short.y4m").write_bytes(y4m(frames=WARM))
    assert main(["profile", str(tmp_path / "short.y4m")]) == 3
    assert f"has {WARM} picture(s)" in capsys.readouterr().err
