//! The timers of sideloop and of its peers, in one process.
//!
//! `cargo bench --bench timers` in this folder. The peers: tokio (current-thread
//! runtime), async-io (its own `block_on`), and for time limits compio and monoio.
//!
//! # What this does not measure
//!
//! - The same promise: tokio rounds deadlines up to whole milliseconds, and so wakes up once where the
//!   two others wake up for each deadline. That is cheap under a flood, and late for a short sleep; the
//!   tables show both sides.
//! - Timers of other threads. In async-io each timer may be armed by any thread, and an armed timer
//!   wakes the thread that waits: that is its price, paid here by one thread.
//! - Lateness under load: one sleep at a time, on a machine that is idle or not as it happens. What
//!   the system adds is the greater part of it, and the same for all: `thread::sleep` has nothing else.
//! - The worst pause is wall time. Where Linux says that it preempted the thread the pause is left out,
//!   but what a hypervisor takes cannot be told: hence the least of several runs.

#[path = "timers/floods.rs"]
mod floods;
#[path = "timers/operations.rs"]
mod operations;

use harness::Options;
use harness::rounds::Rounds;

fn main() {
    let options = Options::from_command_line();
    Rounds::short(&options).table("timers", &operations::all(), &options);
    floods::print(&options);
}
