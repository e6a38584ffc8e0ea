#!/usr/bin/env bash
# Counts the instructions of each operation with valgrind, and compares them with benches/counts.txt. By callgrind and
# no crate around it: those want a program of the same version installed beside them.
#
#   benches/counts.sh             fails if a count is more than 3 % above the table, which is for one version of Rust
#   benches/counts.sh write       writes the table anew, and the last column of the table in counts.md
#   benches/counts.sh OPERATION   counts one operation
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

table=counts.txt
page=counts.md
rust="$(rustc --version | cut -d' ' -f2), $(uname -m)"

binary=$(cargo bench --bench counts --no-run 2>&1 | sed -n 's/^ *Executable counts.rs (\(.*\))$/\1/p')
[ -n "$binary" ] && binary=$(realpath "$binary") || { printf 'the bench could not be built\n'; exit 1; }

# instructions OPERATION TIMES: in an empty environment, which is on the stack, and no address is drawn by lot.
instructions() {
  env -i setarch -R valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1 |
    awk '/Collected/ { print $4 }'
}

measure() {
  local operation few many
  printf 'Instructions per operation, by callgrind, with Rust %s:\n' "$rust"
  for operation in "$@"; do
    few=$(instructions "$operation" 2000)
    many=$(instructions "$operation" 12000)
    printf '%-17s %6d\n' "$operation" $(((many - few + 5000) / 10000))
  done
}

# Puts the counts in place of the last column of the rows that begin with the name of an operation.
into_page() {
  awk -F' \\| ' -v OFS=' | ' '
    NR == FNR { split($0, word, " "); count[word[1]] = word[2]; next }
    match($1, /^\| `[a-z_]+`/) { name = substr($1, 4, RLENGTH - 4); if (name in count) $NF = count[name] " |" }
    { print }' "$table" "$page" >"$page.new"
  mv "$page.new" "$page"
}

mapfile -t operations < <("$binary")
case ${1-} in
  '') ;;
  write)
    measure "${operations[@]}" >"$table.new"
    mv "$table.new" "$table"
    into_page
    exit
    ;;
  *)
    measure "$1" | tail -n 1
    exit
    ;;
esac
now=$(measure "${operations[@]}")
if [ "$(head -1 "$table")" != "$(head -1 <<<"$now")" ]; then
  printf 'SKIPPED: the table is for another version of Rust: %s\n' "$(head -1 "$table")"
  exit
fi
# An operation that is in one of the two alone is an error as well.
awk '
  FNR == 1 { next }
  NR == FNR { was[$1] = $2; next }
  {
    grown = !($1 in was) || $2 > was[$1] * 1.03
    printf "%-17s %6d, was %6s%s\n", $1, $2, ($1 in was) ? was[$1] : "-", grown ? "  GROWN" : ""
    bad += grown
    rows++
    delete was[$1]
  }
  END {
    for (name in was) { printf "%-17s is not counted any more\n", name; bad++ }
    print rows, "counts"
    exit bad > 0
  }' "$table" <(printf '%s\n' "$now")
