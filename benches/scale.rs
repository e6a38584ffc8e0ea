//! What an operation costs, and a task takes, as the work grows: 1, 1000, 100 000 and 1 000 000
//! tasks and timers.
//!
//! `cargo bench --bench scale` in this folder. The peer is tokio (current-thread
//! runtime); for the memory of idle tasks also async-executor, `LocalPool` and compio. (Monoio drops a
//! task that nobody can wake.)
//!
//! # What this does not measure
//!
//! - Memory that stays: the tables are those of a runtime that has held as many before.
//! - One thing alone: a million tasks of 64 bytes do not fit into any cache, so the time of a poll is
//!   that of fetching its task, for every peer.
//! - Timers that come due one after the other: all are due when the firing begins. How they fire over
//!   time, and late, is in `timers`.
//! - What the allocator adds to each block: it is the same for all.

#[path = "scale/memory.rs"]
mod memory;
#[path = "scale/tasks.rs"]
mod tasks;
#[path = "scale/timers.rs"]
mod timers;

use std::time::{Duration, Instant};

use harness::Options;
use harness::results::{Row, Table};

/// How many there are, from row to row.
const SIZES: [usize; 4] = [1, 1_000, 100_000, 1_000_000];

/// Does so many of one thing, from the first operation on them to the last; for each operation the time
/// that all took.
type Cycle<const N: usize> = Box<dyn FnMut(usize) -> [Duration; N]>;

/// Measures cycles, in which the peers take turns, into a row for each operation.
fn table<const N: usize>(
    name: &'static str,
    operations: [&str; N],
    mut peers: Vec<(&'static str, Cycle<N>)>,
    options: &Options,
) {
    let mut table = Table::new(name, "nanoseconds per operation");
    for size in SIZES {
        // With few of them many cycles, so that what is measured is no shorter than a clock's tick.
        let cycles = 1_000_usize.div_ceil(size).min(100);
        let mut values = vec![vec![Vec::new(); peers.len()]; N];
        for round in 0..=options.pick(11, 5) {
            for (at, (_, cycle)) in peers.iter_mut().enumerate() {
                let mut taken = [Duration::ZERO; N];
                for _ in 0..cycles {
                    taken.iter_mut().zip(cycle(size)).for_each(|(all, one)| *all += one);
                }
                for (values, taken) in values.iter_mut().zip(taken).filter(|_| round > 0) {
                    values[at].push(taken.as_secs_f64() * 1e9 / (cycles * size) as f64);
                }
            }
        }
        for (operation, values) in operations.iter().zip(values) {
            let values = peers.iter().map(|(peer, _)| *peer).zip(values).collect();
            table.row(&Row { name: format!("{operation}, {size}"), values });
        }
    }
}

/// The time from call to call.
struct Laps(Instant);

impl Laps {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}

fn main() {
    let options = Options::from_command_line();
    if options.has("tasks") {
        tasks::print(&options);
    }
    if options.has("timers") {
        timers::print(&options);
    }
    if options.has("memory") {
        memory::print();
    }
}
