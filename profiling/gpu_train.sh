#!/bin/sh
# Trains for a given time on a machine with a GPU that is lent and may be taken away at any moment:
#
#     profiling/gpu_train.sh CLIPS RUN RECIPE MINUTES
#
# CLIPS is a folder of videos, RUN the folder of the run. Every minute the state goes to $OUT (or out/gpu-train) in
# pieces of 15 MB; to go on, put them into RUN and start again. Needs the packages of the extra `train`, PyAV among them.
set -e
cd "$(dirname "$0")/.."
clips=$1 run=$2 recipe=$3 minutes=$4 out=${OUT:-out/gpu-train} python=${PYTHON:-python3}
mkdir -p "$run" "$out"
if [ ! -e "$run/checkpoint.pt" ] && [ -e "$run/checkpoint.pt.00" ]; then
    cat "$run"/checkpoint.pt.* >"$run/checkpoint.pt"
fi

keep() {
    rm -rf "$run/pieces" && mkdir "$run/pieces"
    split -b 15M -d "$run/checkpoint.pt" "$run/pieces/checkpoint.pt."
    mv "$run"/pieces/* "$out"
    cp "$run/log.jsonl" "$run/curves.png" "$run/samples.png" "$out" 2>/dev/null || true
}

(while sleep 60; do [ ! -e "$run/checkpoint.pt" ] || keep; done) &
keeper=$!
trap 'kill $keeper' EXIT
"$python" -m nvc train "$clips" --out "$run" --recipe "$recipe" --minutes "$minutes" --save-every 60 \
    --device "${DEVICE:-cuda}"
keep
