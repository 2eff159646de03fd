"""Options of the kernel benchmarks, and the book that their results are written to."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.machine import ROOT, commit, device_name, results_name, software
from nvc.codec.threads import set_threads


def pytest_addoption(parser):
    parser.addoption("--results", type=Path, default=ROOT / "bench" / "results", help="folder of the result files")
    parser.addoption("--threads", type=int, default=1, help="threads of the CPU implementations")


@pytest.fixture(scope="session", autouse=True)
def _threads(pytestconfig):
    set_threads(pytestconfig.getoption("--threads"))


@pytest.fixture(scope="session")
def book(pytestconfig):
    """Takes dicts; appends each, with commit, device and versions, to `<device>.jsonl`. Rows are never changed.

    A tree that differs from its commit has no row in the repository's own book: nobody could measure it again.
    """
    device, at, folder = device_name(), commit(), pytestconfig.getoption("--results")
    origin = {"commit": at, "date": datetime.now(UTC).isoformat(timespec="seconds"), "device": device} | software()
    rows = []
    yield rows.append
    if at is None and folder.resolve() == ROOT / "bench" / "results":
        print("\nnvc differs from its commit: no result was recorded")
    elif rows:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / results_name(device), "a") as file:
            file.writelines(json.dumps(origin | row) + "\n" for row in rows)
