#!/bin/sh
# Nsight Compute on one kernel of `nvc encode --fast`: see docs/PROFILING.md.
# usage: profiling/ncu.sh CLIP FOLDER KERNEL [option of nvc encode]...
set -eu
[ $# -ge 3 ] || { echo "usage: $0 CLIP FOLDER KERNEL [option of nvc encode]..." >&2; exit 2; }
clip=$1 folder=$2 kernel=$3 python=${PYTHON:-python3}
shift 3
mkdir -p "$folder"
# the clocks are left alone; the first frames run without a graph, so that the ranges of the kernels are there
ncu --clock-control none --set full --nvtx --nvtx-include "nvc@$kernel/" --launch-count 6 --force-overwrite \
    --export "$folder/$kernel" \
    "$python" -m nvc encode "$clip" -o "$folder/encode.nvc" --fast --device cuda --frames 3 --quiet -y "$@"
exec ncu --import "$folder/$kernel.ncu-rep" --page details
