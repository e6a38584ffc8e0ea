#!/usr/bin/env bash
# Counts the instructions of each operation with valgrind, and compares them with benches/counts.txt.
#
#   benches/counts.sh         fails if a count is more than 3 % above the table, which is for one version of Rust
#   benches/counts.sh write   writes the table anew
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

table=counts.txt
operations=(spawn_join self_wake yield abort_join sleep_cancel sleep_fire timeout_yield remote_spawn remote_wake)
rust="$(rustc --version | cut -d' ' -f2), $(uname -m)"

binary=$(cargo bench --bench counts --no-run 2>&1 | sed -n 's/^ *Executable counts.rs (\(.*\))$/\1/p')

# instructions OPERATION TIMES
instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1 | awk '/Collected/ { print $4 }'
}

measure() {
  local operation few many
  printf 'Instructions per operation, by callgrind, with Rust %s:\n' "$rust"
  for operation in "${operations[@]}"; do
    few=$(instructions "$operation" 2000)
    many=$(instructions "$operation" 12000)
    printf '%-14s %6d\n' "$operation" $(((many - few) / 10000))
  done
}

now=$(measure)
if [ "${1-}" = write ]; then
  printf '%s\n' "$now" >"$table"
  exit
fi
if [ "$(head -1 "$table")" != "$(head -1 <<<"$now")" ]; then
  printf 'SKIPPED: the table is for another version of Rust: %s\n' "$(head -1 "$table")"
  exit
fi
join <(tail -n +2 "$table") <(tail -n +2 <<<"$now") --nocheck-order | awk '
  { grown = $3 > $2 * 1.03; printf "%-14s %6d, was %6d%s\n", $1, $3, $2, grown ? "  GROWN" : ""; bad += grown }
  END { print NR, "counts"; exit bad > 0 }'
