#!/bin/sh
# Instructions per item of benchmark operations, exact and repeatable: callgrind over 10 and over 30 passes.
# usage: tools/ir.sh PROGRAM [NAME...]        PROGRAM: build/bench/bench-group_path, NAME: see PROGRAM --list
set -eu
program=$1
shift
[ $# -gt 0 ] || set -- $("$program" --list | cut -d' ' -f1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

count() {  # passes
  valgrind --tool=callgrind --callgrind-out-file="$work/out" "$program" --ir "$name" "$1" >"$work/items" 2>/dev/null
  sed -n 's/^summary: //p; s/^totals: //p' "$work/out" | head -n 1
}
for name in "$@"; do
  few=$(count 10)
  many=$(count 30)
  echo "$few $many $(cat "$work/items")" | awk -v name="$name" '{ printf "%-28s %9.1f\n", name, ($2 - $1) / 20 / $3 }'
done
