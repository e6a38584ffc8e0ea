#!/usr/bin/env bash
# What a runtime adds to a program: prints a table in Markdown.
#
#   benches/footprint.sh [BUILDS]   so many cold builds of each program; the fastest counts
#
# The program starts a loop on a thread of its own, has it run one task, waits for that, and idles. It is built with
# the release profile as it is. Crates are counted as `cargo tree` has them, with build scripts' and macros'; the
# program is not. Sources are fetched before the clock runs.
set -euo pipefail
builds=${1:-1}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
place=$(mktemp -d)
running=
trap '[ -z "$running" ] || kill "$running"; rm -rf "$place"' EXIT
unset CARGO_TARGET_DIR

# program NAME DEPENDENCIES: makes a package from its main function on standard input.
program() {
  mkdir -p "$place/$1/src"
  printf '[package]\nname = "minimal"\nedition = "2024"\n[dependencies]\n%s\n' "$2" >"$place/$1/Cargo.toml"
  cat >"$place/$1/src/main.rs"
}

program none "" <<'EOF'
fn main() {
    let answer = std::thread::spawn(|| 42);
    assert_eq!(answer.join().unwrap(), 42);
    std::thread::spawn(|| loop { std::thread::park() });
    loop { std::thread::park() }
}
EOF
program sideloop "sideloop = { path = \"$root\" }" <<'EOF'
fn main() {
    let side = sideloop::LoopThread::start().unwrap();
    assert_eq!(side.handle().spawn(async { 42 }).join().unwrap(), 42);
    loop { std::thread::park() }
}
EOF
program tokio 'tokio = { version = "1", features = ["rt"] }' <<'EOF'
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    assert_eq!(handle.block_on(handle.spawn(async { 42 })).unwrap(), 42);
    loop { std::thread::park() }
}
EOF
# With timers, which sideloop always has.
program tokio-time 'tokio = { version = "1", features = ["rt", "sync", "time"] }' <<'EOF'
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    assert_eq!(handle.block_on(handle.spawn(async { 42 })).unwrap(), 42);
    loop { std::thread::park() }
}
EOF
program async-executor $'async-executor = "1"\nfutures-lite = "2"' <<'EOF'
fn main() {
    use futures_lite::future::{block_on, pending};
    static EXECUTOR: async_executor::Executor = async_executor::Executor::new();
    std::thread::spawn(|| block_on(EXECUTOR.run(pending::<()>())));
    assert_eq!(block_on(EXECUTOR.spawn(async { 42 })), 42);
    loop { std::thread::park() }
}
EOF

# measure NAME LABEL: prints a row.
measure() {
  cd "$place/$1"
  cargo fetch --quiet
  local times best='' crates binary=target/release/minimal status TIMEFORMAT='%R %U %S'
  for ((n = 0; n < builds; n++)); do
    rm -rf target
    times=$({ time cargo build --release --offline --quiet 2>&3; } 3>&2 2>&1)
    best=$(printf '%s\n%s\n' "$best" "$times" | grep . | sort -n | head -n 1)
  done
  crates=$(($(cargo tree --offline --prefix none -e normal,build | sed 's/ (\*)$//' | sort -u | wc -l) - 1))
  strip -o minimal "$binary"
  ./minimal &
  running=$!
  sleep 1 # long enough to come to rest
  status=$(</proc/$running/status)
  kill "$running"
  wait "$running" 2>/dev/null || true
  running=
  awk -v label="$2" -v times="$best" -v crates="$crates" -v bytes="$(stat -c %s minimal)" '
    /^VmRSS:/ { rss = $2 } /^VmHWM:/ { hwm = $2 }
    END {
      split(times, t, " ")
      printf "| %s | %.1f | %.1f | %d | %.0f | %d | %d |\n", label, t[1], t[2] + t[3], crates, bytes / 1024, rss, hwm
    }' <<<"$status"
}

printf '| program with | cold build, s | its processor time, s | crates | stripped, KiB | VmRSS, KiB | VmHWM, KiB |\n'
printf '|---|---|---|---|---|---|---|\n'
measure none "two threads of std"
measure sideloop sideloop
measure tokio "tokio (\`rt\`)"
measure tokio-time "tokio (\`rt\`, \`sync\`, \`time\`)"
measure async-executor "async-executor, futures-lite"
