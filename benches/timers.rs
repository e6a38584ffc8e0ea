//! The timers of sideloop and of its peers, in one process.
//!
//! - `cargo bench --bench timers` runs the criterion groups, and at the end prints the tables.
//! - `cargo bench --bench timers -- --ratios` prints the tables alone, in about a minute: the peers
//!   take turns, so a ratio compares times of the same moment.
//!
//! The peers: tokio (current-thread runtime with a `LocalSet`), and async-io (its own `block_on`).
//!
//! # What this does not measure
//!
//! - The same promise: tokio rounds deadlines up to whole milliseconds, and so wakes up once where the
//!   two others wake up for each deadline. That is cheap under a flood, and late for a short sleep; the
//!   tables show both sides.
//! - Timers of other threads. In async-io each timer may be armed by any thread, and an armed timer
//!   wakes the thread that waits: that is its price, paid here by one thread.
//! - Lateness under load: one sleep at a time, on a machine that is idle or not as it happens. What
//!   the system adds is the greater part of it, and the same for all.
//! - The worst pause is wall time. Where Linux says that it preempted the thread the pause is left out,
//!   but what a hypervisor takes cannot be told: the least of several runs is given too.

#[path = "timers/floods.rs"]
mod floods;
#[path = "timers/operations.rs"]
mod operations;
#[path = "timers/peers.rs"]
mod peers;
#[path = "timers/table.rs"]
mod table;

use std::env;
use std::time::Duration;

use criterion::{Criterion, Throughput};

use operations::Operation;

/// One criterion group for each operation; the throughput gives the time of one of them.
fn groups(criterion: &mut Criterion, operations: &[Operation]) {
    for operation in operations {
        let mut peers = (operation.prepare)();
        let mut group = criterion.benchmark_group(&operation.name);
        group.throughput(Throughput::Elements(operations::BATCH));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
        for (peer, run) in &mut peers {
            group.bench_function(*peer, |bencher| bencher.iter_custom(&mut *run));
        }
        group.finish();
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let operations = operations::all();
    if !arguments.iter().any(|argument| argument == "--ratios") {
        let mut criterion = Criterion::default().configure_from_args();
        groups(&mut criterion, &operations);
        criterion.final_summary();
        if arguments != ["--bench"] {
            return; // a filter, a list or a test: nobody asked for the rest
        }
    }
    table::print(&operations);
    floods::print();
}
