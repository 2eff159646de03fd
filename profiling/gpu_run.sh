#!/bin/sh
# Tests, cross-device decoding, benchmarks and the roofline on a machine with a GPU: see profiling/gpu_run.py.
cd "$(dirname "$0")/.." && exec "${PYTHON:-python3}" -m profiling.gpu_run "$@"
