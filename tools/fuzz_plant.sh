#!/bin/sh
# Proves that the fuzz target would find a bug: builds it with one planted and succeeds only if it is found.
# usage: tools/fuzz_plant.sh [seconds]        CXX: a clang++ with libFuzzer, CORPUS: a folder to start from
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
seconds=${1:-60}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

flags="-std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I$root/include"
# shellcheck disable=SC2086
"${CXX:-clang++}" $flags -DMOQL_PLANT_BUG "$root/fuzz/decode.cpp" -o "$work/planted"
mkdir "$work/corpus"
if "$work/planted" -seed=1 -max_len=256 -max_total_time="$seconds" -artifact_prefix="$work/" "$work/corpus" \
    ${CORPUS:+"$CORPUS"} >"$work/log" 2>&1; then
  echo "fuzz_plant: the planted bug was not found in $seconds s" >&2
  exit 1
fi
# Found is only what the planted function did, not a target that fails for another reason.
if grep -q 'heap-buffer-overflow' "$work/log" && grep -q 'in .*planted' "$work/log"; then
  echo "fuzz_plant: found the planted bug"
else
  tail -n 40 "$work/log" >&2
  echo "fuzz_plant: the target failed for another reason" >&2
  exit 1
fi
