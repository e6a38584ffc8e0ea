# shellcheck shell=bash
# What `.ci/run` and `.ci/deep` share; they source it. A stage is a function. It prints how many tests, models, programs
# or builds it ran. One that ran none has failed, unless it says SKIPPED and why: what it needs can't be had on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0 # what is built once needs no notes for the next time
# Under the sanitizers and valgrind each backtrace of an expected panic takes seconds. A panic inside a panic prints one
# in any case, which takes half a minute where there is debug information to read. Without it, builds are shorter too.
export RUST_BACKTRACE=0 CARGO_PROFILE_DEV_DEBUG=0
shared=../shared
tools=$PWD/target-tools
host=$(rustc -vV | sed -n 's/^host: //p')
scratch=$(mktemp -d)
log=$scratch/log
left_out=$scratch/left_out
touch "$left_out"
trap 'rm -rf "$scratch"' EXIT

# ran COUNT WHAT: reports what a stage ran, and fails if it was nothing.
ran() {
  printf '== %s: ran %d %s\n' "$stage" "$1" "$2"
  [ "$1" -gt 0 ] || { printf '== %s: FAILED, a check that ran nothing\n' "$stage"; exit 1; }
}

# skipped REASON: says why a stage could not run here; the last lines say it again.
skipped() {
  printf '== %s: SKIPPED: %s\n' "$stage" "$1" | tee -a "$left_out"
}

# tests WHAT COMMAND...: runs a command and counts, in $passed, the tests that it reports as passed.
tests() {
  local what=$1
  shift
  "$@" 2>&1 | tee "$log"
  passed=$(awk '/^test result: ok/ { n += $4 } END { print n + 0 }' "$log")
  ran "$passed" "$what"
}

# cargo_tests WHAT SECONDS COMMAND... [-- ARGUMENTS...]: the same for tests that cargo builds. The time limit is for the
# run alone: a build on a busy machine takes longer than the tests may.
cargo_tests() {
  local what=$1 limit=$2 build=() argument
  shift 2
  for argument in "$@"; do
    [ "$argument" != -- ] || break
    build+=("$argument")
  done
  "${build[@]}" --no-run
  tests "$what" timeout "$limit" "$@"
}

has_toolchain() {
  [[ $(rustup toolchain list 2>/dev/null) == *"$1"* ]]
}

# tool NAME...: puts tools of cargo's into a folder of the repository, and that on the path; as they are built soonest,
# because building them takes longer than their work. Fails, saying why, where it cannot; so do the others below.
tool() {
  local name
  export PATH=$tools/bin:$PATH
  for name in "$@"; do
    [ -x "$tools/bin/$name" ] && continue
    cargo install --quiet --locked --debug --config 'profile.dev.debug=0' --root "$tools" --target-dir "$tools/build" "$name" ||
      { skipped "$name could not be installed"; return 1; }
  done
}

has_packages() {
  dpkg-query -W -f='${Status}\n' "$@" 2>/dev/null | grep -c ' installed$' | grep -qx "$#"
}

# packages NAME...: installs packages of Debian's.
packages() {
  command -v apt-get dpkg-query >/dev/null || { skipped "no apt-get, and no $1"; return 1; }
  has_packages "$@" && return
  [ "$(id -u)" -eq 0 ] || { skipped "only root can install $*"; return 1; }
  local install=(apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@")
  "${install[@]}" >"$log" 2>&1 || { apt-get update -qq && "${install[@]}"; } >"$log" 2>&1 ||
    { tail -n 5 "$log"; skipped "$* cannot be installed"; return 1; }
}

# debian FLAGS: makes Debian's toolchain the one in use, which has the sources of the standard library, and runtimes for
# what can be built into it. Each of its builds goes to a folder of its own, named after the stage.
debian() {
  packages rustc-web cargo-web rust-web-src clang-22 lld llvm-22 libclang-rt-22-dev || return 1
  export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 RUSTFLAGS=$1
  export CARGO_TARGET_DIR=$PWD/target-$stage
}

# The tests that leak by design, each for what its name says: the sanitizers run them without a look at leaks. What
# destructors do for ever has no end, so that the loop leaves the rest of it behind (H9).
leaking=(
  bad_input_handles::a_forgotten_executor_does_no_harm
  bad_input_handles::a_forgotten_loop_thread_goes_on
  bad_input_handles::every_public_value_may_be_forgotten
  ending_for_ever::destructors_that_arm_timers_for_ever_do_not_keep_the_loop
  ending_for_ever::destructors_that_forget_executors_for_ever_do_not_keep_their_thread
  ending_for_ever::destructors_that_spawn_for_ever_do_not_keep_the_loop
  endings::a_forgotten_executor_ends_with_its_thread
  endings_timers::a_destructor_that_arms_a_timer_for_ever_does_not_keep_the_loop_from_its_end
  endings_timers::destructors_that_arm_timers_do_not_keep_an_executor_from_its_end
  faults::one_core_is_enough # whose child process runs some of the others
  joining::outputs::a_forgotten_handle_is_harmless
  panics::a_payload_that_panics_when_dropped_is_contained
)

# The tests that make a million tasks: with and without optimisation each run has them, but neither the sanitizers nor
# the oldest compiler, where they take as long as all others.
masses=(bad_input::a_million_tasks_are_dropped_unrun faults::masses)

# leaky COMMAND...: runs these tests with a command that takes their names, and says if one of them is no more.
leaky() {
  cargo_tests "tests that leak by design" 300 "$@" --exact "${leaking[@]}"
  [ "$passed" -eq "${#leaking[@]}" ] || { printf '== %s: FAILED, of %d names\n' "$stage" "${#leaking[@]}"; exit 1; }
}

# valgrind_tests WHAT ARGUMENTS...: runs unit tests under valgrind. "Possibly lost" is the handle of the main thread,
# which std keeps by a pointer to its inside.
valgrind_tests() {
  local binary
  command -v valgrind >/dev/null || { skipped "valgrind is not installed"; return; }
  cargo test --lib --no-run 2>&1 | tee "$log"
  binary=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log")
  PROPTEST_CASES=4 tests "$1" timeout 900 valgrind --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite --error-exitcode=9 -q "$binary" --test-threads=1 "${@:2}"
}

# on_metal TARGET...: runs the program that checks itself on emulated machines without an operating system.
on_metal() {
  local count=0 target linker
  debian "" && packages qemu-system-arm qemu-system-misc || return 0
  unset RUSTFLAGS # it would replace those of the program's own settings
  for target in "$@"; do
    linker=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_LINKER
    (cd examples/bare-metal && env "$linker=ld.lld" \
      /usr/bin/cargo run --release -Zbuild-std=core,alloc --target "$target" --bin metal </dev/null) 2>&1 | tee "$log"
    count=$((count + $(sed -n 's/^ran \([0-9]*\) checks$/\1/p' "$log")))
  done
  ran "$count" "checks on $# machines"
}

# run STAGE...: runs stages side by side, each in a process of its own, so that what it exports ends with it. The output
# of all but the first is printed when they have ended.
run() {
  local stage first=$1 pids=() pid failed=0
  for stage in "${@:2}"; do
    printf '==== %s, beside %s\n' "$stage" "$first"
    (log=$scratch/$stage.log; "$stage") >"$scratch/$stage.output" 2>&1 &
    pids+=($!)
  done
  stage=$first
  ("$stage") & # in the background: `set -e` holds inside
  wait $! || failed=1
  for pid in "${pids[@]}"; do
    wait "$pid" || failed=1
  done
  for stage in "${@:2}"; do
    cat "$scratch/$stage.output"
  done
  return "$failed"
}

# stages ALL NAME...: runs the stages with these names; without any, all. `one+other` are run side by side.
stages() {
  local all=$1 name stage
  shift
  # shellcheck disable=SC2086 # several names
  [ $# -gt 0 ] || set -- $all
  for name in "$@"; do
    printf '\n==== %s (%d s)\n' "$name" "$SECONDS"
    for stage in ${name//+/ }; do
      [[ " ${all//+/ } " == *" $stage "* ]] || { printf 'no such stage: %s\n' "$stage"; exit 2; }
    done
    # shellcheck disable=SC2086 # several names
    run ${name//+/ }
  done
  cat "$left_out"
  [ -s "$left_out" ] && set -- "what ran is well" || set -- "all is well"
  printf '\n==== %s (%d s)\n' "$1" "$SECONDS"
}
