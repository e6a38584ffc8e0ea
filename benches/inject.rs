//! Work from other threads: how many a second, and how long there and back.
//!
//! `cargo bench --bench inject` in this folder. The peers: tokio (current-thread
//! runtime, by its `Handle`) and async-executor (`Executor`, run by one thread). The floors, which have
//! no tasks, wakers or ids: boxed closures through crossbeam's channel, and through a vector under a
//! lock, of std and of parking_lot, which the other thread takes as a whole.
//!
//! # What this does not measure
//!
//! - More threads than cores without the scheduler of the system: with two cores, 2 and 4 threads share
//!   one with each other or with the loop. Which of them runs is part of the time, for every peer.
//! - An idle machine: a round trip depends on little else than how soon the system runs a thread that
//!   was woken. On a busy machine it is at times twenty times as long as on an idle one.
//! - Peers that spin by themselves: none does. In the rows of those that spin a task that always yields
//!   keeps them awake, and who waits for a result polls it without a pause.
//! - A backlog: every thread waits for its thousand before it sends the next. The last row of the first table
//!   has one, of 200 000 tasks that a single thread spawns in a row, whose handles it drops.

#[path = "inject/floors.rs"]
mod floors;
#[path = "inject/workloads.rs"]
mod workloads;

use harness::Options;
use harness::rounds::Rounds;

fn main() {
    let options = Options::from_command_line();
    Rounds::long(&options).table("inject", &workloads::throughput(), &options);
    Rounds::long(&options).table("round-trip", &workloads::round_trips(), &options);
}
