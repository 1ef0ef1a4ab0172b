#!/usr/bin/env bash
# check_must_not_compile.sh DIRECTORY COMPILER [FLAG...]: each file there compiles as it is and does not with -DWRONG.
# The first half matters: without it a typing error would count as a success.
set -u
directory=$1
shift
bad=0
for unit in "$directory"/*.cpp; do
  name=$(basename "$unit")
  if ! log=$("$@" -fsyntax-only "$unit" 2>&1); then
    printf '%s: the right use does not compile\n%s\n' "$name" "$log"
    bad=1
  elif "$@" -DWRONG -fsyntax-only "$unit" >/dev/null 2>&1; then
    printf '%s: the wrong use compiles\n' "$name"
    bad=1
  else
    printf '%s: ok\n' "$name"
  fi
done
exit $bad
