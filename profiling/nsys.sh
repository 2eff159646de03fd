#!/bin/sh
# Nsight Systems on `nvc encode --fast`, and a table of its stages and kernels: see docs/PROFILING.md.
# usage: profiling/nsys.sh CLIP FOLDER [option of nvc encode]...
set -eu
[ $# -ge 2 ] || { echo "usage: $0 CLIP FOLDER [option of nvc encode]..." >&2; exit 2; }
clip=$1 folder=$2 python=${PYTHON:-python3}
shift 2
mkdir -p "$folder"
# node: the kernels inside of CUDA graphs one by one, which makes each launch of a graph slower
nsys profile --trace=cuda,nvtx,osrt --cuda-graph-trace=node --sample=none --cpuctxsw=none --force-overwrite=true \
    --output="$folder/encode" \
    "$python" -m nvc encode "$clip" -o "$folder/encode.nvc" --fast --device cuda --quiet -y "$@"
nsys stats --force-export=true --format=csv \
    --report=nvtx_sum --report=nvtx_gpu_proj_sum --report=cuda_gpu_kern_sum \
    "$folder/encode.nsys-rep" >"$folder/encode.csv"
exec "$python" -m profiling.nsight_table "$folder/encode.csv"
