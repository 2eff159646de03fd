"""The reader of Nsight Systems' tables, on the output of nsys 2024.5 and 2025.1 cut down and with round numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from profiling.nsight_table import main, read, table

ROOT = Path(__file__).parents[1]
CSV = """Generating SQLite file out/encode.sqlite from out/encode.nsys-rep
Processing [out/encode.sqlite] with [/opt/nsys/target-linux-x64/reports/nvtx_sum.py]...
Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Style,Range
50.0,4000000,2,2000000.0,2000000.0,1900000,2100000,0.0,PushPop,nvc:context
25.0,2000000,2,1000000.0,1000000.0,900000,1100000,0.0,PushPop,nvc:prior
20.0,1000000,30,33333.3,33333.3,30000,40000,0.0,PushPop,nvc:block_s16
5.0,90000,9,10000.0,10000.0,10000,10000,0.0,PushPop,:somebody else's
5.0,90000,9,10000.0,10000.0,10000,10000,0.0,PushPop,CCCL:cub::DeviceScan

Processing [out/encode.sqlite] with [/opt/nsys/target-linux-x64/reports/nvtx_gpu_proj_sum.py]...
Range,Style,Total Proj Time (ns),Total Range Time (ns),Range Instances,Proj Avg (ns),Proj Med (ns),Proj Min (ns),\
Proj Max (ns),Proj StdDev (ns),Total GPU Ops,Avg GPU Ops,Avg Range Lvl,Avg Num Child
nvc:context,PushPop,800000,4000000,2,400000.0,400000.0,390000,410000,0.0,14,7.0,0.0,7.0
nvc:block_s16,PushPop,"600,000",1000000,30,20000.0,20000.0,20000,20000,0.0,30,1.0,1.0,0.0

Processing [out/encode.sqlite] with [/opt/nsys/target-linux-x64/reports/cuda_gpu_kern_sum.py]...
"Time (%)","Total Time (ns)","Instances","Avg (ns)","Med (ns)","Min (ns)","Max (ns)","StdDev (ns)","Name"
"75.0","3000000","150","20000.0","20000.0","20000","20000","0.0","block_s16"
"25.0","1000000","10","100000.0","100000.0","100000","100000","0.0","void copy<int, 4>(int*)"
"""


def test_all_three_reports_are_read():
    reports = read(CSV)
    assert reports.host == {"context": (2, 4.0), "prior": (2, 2.0), "block_s16": (30, 1.0)}
    assert reports.gpu == {"context": (2, 0.8), "block_s16": (30, 0.6)}
    assert reports.functions == {"block_s16": (150, 3.0), "void copy<int, 4>(int*)": (10, 1.0)}


def test_the_table_is_by_frame_and_stages_come_first():
    lines = [line.split() for line in table(read(CSV)).splitlines()]
    assert lines[0][:2] == ["2", "frames"]
    assert lines[3:6] == [
        ["context", "1.0", "2.000", "66.7", "0.400", "100.0"],
        ["prior", "1.0", "1.000", "33.3", "-", "-"],
        ["block_s16", "15.0", "0.500", "16.7", "0.300", "75.0"],
    ]
    assert lines[-2:] == [
        ["150", "20.0", "3.000", "75.0", "block_s16"],
        ["10", "100.0", "1.000", "25.0", "void", "copy<int,", "4>(int*)"],
    ]


def test_a_report_alone_will_do_and_nothing_will_not(tmp_path, monkeypatch, capsys):
    only = "\n".join(CSV.splitlines()[-3:])
    assert table(read(only)).splitlines()[-1].endswith("void copy<int, 4>(int*)")
    (tmp_path / "empty.csv").write_text("SKIPPED: out/encode.sqlite does not contain NV Tools Extension data.\n")
    monkeypatch.setattr("sys.argv", ["nsight_table", str(tmp_path / "empty.csv")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "no table of nsys" in capsys.readouterr().err


def test_one_command_profiles_and_shows_the_table(tmp_path):
    """With an nsys that runs what it is given, as the true one does, and then prints these tables."""
    tool = tmp_path / "nsys"
    tool.write_text(
        f"""#!/bin/sh
if [ "$1" = stats ]; then cat {tmp_path}/tables; exit; fi
shift
while [ "${{1#--}}" != "$1" ]; do echo "$1" >>{tmp_path}/options; shift; done
shift; echo "$@" >{tmp_path}/command
"""
    )
    tool.chmod(0o755)
    (tmp_path / "tables").write_text(CSV)
    variables = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    variables |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    command = [ROOT / "profiling" / "nsys.sh", "a clip.mp4", tmp_path / "out", "--qp", "40"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "void copy<int, 4>(int*)" in done.stdout
    assert "--cuda-graph-trace=node" in (tmp_path / "options").read_text()
    asked = (tmp_path / "command").read_text()
    assert asked.startswith("-m nvc encode a clip.mp4 -o ")
    assert asked.endswith("encode.nvc --fast --device cuda --quiet -y --qp 40\n")


@pytest.mark.parametrize("script", ["nsys.sh", "ncu.sh"])
def test_scripts_say_what_they_need(script):
    done = subprocess.run([ROOT / "profiling" / script, "clip.mp4"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
