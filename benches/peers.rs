//! The same workloads for sideloop and its peers, in one process.
//!
//! - `cargo bench --bench peers` runs the criterion groups, and at the end prints the ratios.
//! - `cargo bench --bench peers -- --ratios` prints the ratios alone, in under half a minute: every
//!   round runs every runtime once, in turn, so a ratio compares times of the same moment.
//!
//! The peers: tokio (current-thread runtime with a `LocalSet`; from other threads its `Handle`),
//! async-executor (`LocalExecutor`; from other threads `Executor`), and `LocalPool` of futures.
//!
//! # What this does not measure
//!
//! - Input and output, timers, and several worker threads: sideloop has no I/O, and timers have
//!   nothing to be compared with in two of the peers.
//! - `LocalPool` from another thread, which it has no way to do; nor its abort, nor a batch of
//!   aborts in async-executor: neither has a request to end that can be joined later.
//! - Latency under load, tails, cold caches, and code larger than a few polls. All tasks here are
//!   small and of one type per workload, so every branch is predicted and every cell is in cache.
//!   Where 1000 tasks live, their places in memory differ from run to run and count as much as the
//!   code does: compare several runs.
//! - The scheduler of the system, though the round trip depends on little else: on a busy machine it
//!   is at times twenty times as long as on an idle one, for every runtime.
//! - The allocator: all runtimes use the system's. A flag that is tested at each allocation counts
//!   bytes for the memory table, at the same price for all.

#[path = "peers/memory.rs"]
mod memory;
#[path = "peers/ratios.rs"]
mod ratios;
#[path = "peers/runtimes.rs"]
mod runtimes;
#[path = "peers/threads.rs"]
mod threads;
#[path = "peers/workloads.rs"]
mod workloads;

use std::env;
use std::time::Duration;

use criterion::{Criterion, Throughput};

use workloads::Workload;

/// One criterion group for each workload; the throughput gives the time of one operation.
fn groups(criterion: &mut Criterion, workloads: &mut [Workload]) {
    for workload in workloads {
        let mut group = criterion.benchmark_group(workload.name);
        group.throughput(Throughput::Elements(workload.operations));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
        for (peer, run) in &mut workload.peers {
            group.bench_function(*peer, |bencher| bencher.iter_custom(&mut *run));
        }
        group.finish();
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut workloads = workloads::all();
    if !arguments.iter().any(|argument| argument == "--ratios") {
        let mut criterion = Criterion::default().configure_from_args();
        groups(&mut criterion, &mut workloads);
        criterion.final_summary();
        if arguments != ["--bench"] {
            return; // a filter, a list or a test: nobody asked for the rest
        }
    }
    ratios::print(&mut workloads);
    drop(workloads);
    memory::print();
}
