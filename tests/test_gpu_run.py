"""The command for a lent GPU, rehearsed without one."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import google_crc32c
import pytest
import torch

import nvc
from bench import codec, machine
from nvc.models.weights import shipped
from profiling import cross_device, gpu_run
from profiling.gpu_run import Part, last_line, run

ROOT = Path(__file__).parents[1]
PARTS = ["imports", "tests", "cross-device", "codec", "codec main", "roofline", "kernels"]


def environment(**more):
    return {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"PYTHON": sys.executable} | more


def test_every_part_works_on_a_small_scale(tmp_path):
    command, variables = ROOT / "profiling" / "gpu_run.sh", environment(OUT=str(tmp_path), NVC_COMMIT="c0ffee")
    done = subprocess.run([command, "--dry-run"], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [(line[:14].strip(), line[14:20].strip()) for line in done.stdout.splitlines()[-len(PARTS) :]]
    assert rows == [(part, "0") for part in PARTS]

    folder = tmp_path / "bench" / "results"
    found = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert set(found) == {"gpu_run.json", "cross_device.json", "codec.json", "codec_main.json", "roofline.json"}
    assert {book["commit"] for book in found.values()} == {"c0ffee"}
    assert [part["part"] for part in found["gpu_run.json"]["parts"]] == PARTS
    assert all(row["same"] for row in found["cross_device.json"]["rows"])
    assert {f["work"] for f in found["roofline.json"]["frames"]} == {"encode", "decode"}
    assert (folder / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.iterdir())) <= 8  # more do not come back from a lent machine


def test_a_part_that_fails_or_hangs_is_recorded(tmp_path):
    parts = {
        "fails": "print('so'); raise SystemExit(3)",
        "hangs": "import time\nprint('begun', flush=True)\ntime.sleep(60)",
        "odd": "print('fine')",
    }
    done = {}
    for name, code in parts.items():
        part = Part(name, 9, [sys.executable, "-c", code], last_line if name != "odd" else lambda text: {}["nothing"])
        done[name] = run(part, 1 if name == "hangs" else 30, environment(), tmp_path / "log")
    assert (done["fails"].rc, done["fails"].result) == (3, "so")
    assert done["hangs"].rc is None
    assert done["hangs"].seconds < 20
    assert (done["odd"].rc, done["odd"].result) == (0, "KeyError: 'nothing'")
    assert "limit" in gpu_run.table(list(done.values()))
    assert (tmp_path / "log").read_text().count("\n### ") == 3


def test_without_a_gpu_only_the_rehearsal_runs(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_run"])
    with pytest.raises(SystemExit) as exit:
        gpu_run.main()
    assert exit.value.code == 2
    assert "no CUDA GPU" in capsys.readouterr().err


def test_gpu_runs_stay_within_their_time_and_know_their_files(tmp_path):
    parts = gpu_run.parts(tmp_path, dry=False)
    assert sum(part.limit for part in parts if part.name != "imports") <= gpu_run.TOTAL
    tests = next(part for part in parts if part.name == "tests").command
    assert {"--require-cuda", "tests/test_kernels.py", "tests/test_streams.py"} <= set(tests)


def test_nothing_on_a_gpu_needs_a_video_library():
    code = "import sys; sys.modules['av'] = None\nimport bench.bench_kernels, bench.codec, profiling.cross_device"
    done = subprocess.run([sys.executable, "-c", code + ", profiling.roofline"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_stand_ins_do_what_their_packages_do():
    code = """import google_crc32c, nvtx, profiling.gpu_run
assert all("standins" in module.__file__ for module in (google_crc32c, nvtx))
from nvc.trace import collect, span
with collect() as totals, span("a"): pass
assert totals["a"].calls == 1
print(google_crc32c.extend(7, bytes(range(256))))"""
    folders = [str(path) for path in gpu_run.STANDINS.iterdir()]
    variables = environment(PYTHONPATH=os.pathsep.join([str(ROOT), *folders]))
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{google_crc32c.extend(7, bytes(range(256)))}\n", "")


def test_a_copied_tree_has_the_commit_that_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.delenv("NVC_COMMIT", raising=False)
    assert machine.commit() is None
    monkeypatch.setenv("NVC_COMMIT", "c0ffee")
    assert machine.commit() == "c0ffee"


def test_a_golden_stream_with_other_pictures_is_told(monkeypatch, tmp_path, capsys):
    (tmp_path / "odd.nvc").write_bytes((cross_device.GOLDEN / "odd.nvc").read_bytes())
    (tmp_path / "streams.json").write_text(json.dumps({"odd": "0" * 32}))
    monkeypatch.setattr(cross_device, "GOLDEN", tmp_path)
    monkeypatch.setattr(cross_device, "QPS", (63,))
    monkeypatch.setattr(cross_device, "LONG", (2, -1))
    monkeypatch.setattr(sys, "argv", ["cross_device", "--device", "cpu", "--sizes", "16x16"])
    with pytest.raises(SystemExit) as exit:
        cross_device.main()
    assert exit.value.code == 1
    assert capsys.readouterr().out.endswith("1 of 2 the same on cpu and cpu\n")


def test_what_is_not_exact_has_no_speed():
    stream, model = io.BytesIO(), shipped("fast")
    with nvc.Encoder(stream, 32, 16, qp=40, device="cpu", model=model) as encoder:
        for n in range(codec.PROOF):
            encoder.write(*codec.clip(32, 16, 6)(n))
    assert len(codec.proven(stream.getvalue(), codec.clip(32, 16, 6), (32, 16), 40, "cpu", model)) == 32
    with pytest.raises(SystemExit, match="not bit-exact"):
        codec.proven(stream.getvalue(), codec.clip(32, 16, 6), (32, 16), 41, "cpu", model)


def test_keyframes_and_the_start_are_stated_apart():
    times = [9.0, 5.0, 1.0, 1.0, 1.0, 3.0, 2.0, 1.0, 1.0, 1.0]  # keyframes 0 and 5, each heavy on the next
    found = codec.figures(times, keyint=5, warm=3)
    assert (found["fps"], found["frames"], found["keyframe_ms"]) == (1.0, 5, 4000.0)
    assert (found["first_ms"], found["warm_up_ms"]) == (9000.0, 15000.0)
