"""Options of the kernel benchmarks, and the book that their results are written to."""

import json
from pathlib import Path

import pytest

from bench.machine import ROOT, origin, results_name
from nvc.codec.device import device_name
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
    beside, folder = origin(), pytestconfig.getoption("--results")
    if beside["commit"] is None and folder.resolve() == ROOT / "bench" / "results":
        yield lambda row: None
        print("\nnvc differs from its commit: no result was recorded")
        return

    def enter(row):  # at once: a time limit must not cost what is known
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / results_name(device_name()), "a") as file:
            file.write(json.dumps(beside | row) + "\n")

    yield enter
