#!/usr/bin/env bash
# check_headers.sh INCLUDE_DIR COMPILER [FLAG...]: every header compiles as the only one of a unit, and twice in it.
set -u
include=$1
shift
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

one() {  # HEADER COMPILER [FLAG...]
  local header=$1 unit
  shift
  unit=$tmp/${header//\//_}.cpp
  printf '#include <%s>\n#include <%s>\n' "$header" "$header" >"$unit"
  "$@" -I"$include" -fsyntax-only "$unit" >"$unit.log" 2>&1 || {
    printf '== %s\n%s\n' "$header" "$(head -n 25 "$unit.log")"
    return 1
  }
}
export -f one
export tmp include

headers=$(cd "$include" && find . -name '*.hpp' ! -name 'c_impl.hpp' -printf '%P\n' | sort)
count=$(wc -l <<<"$headers")
if xargs -P "$(nproc)" -I{} bash -c 'one "$@"' _ {} "$@" <<<"$headers"; then
  printf '%s headers compile alone: %s\n' "$count" "$*"
else
  printf 'not every one of %s headers compiles alone: %s\n' "$count" "$*"
  exit 1
fi
