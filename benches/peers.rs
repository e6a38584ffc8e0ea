//! What happens on a loop's own thread, the same for sideloop and its peers, in one process.
//!
//! `cargo bench --bench peers` in this folder, in under a minute. The peers: tokio (current-thread, as a
//! `LocalRuntime`, and with a `LocalSet`), async-executor (`LocalExecutor`), `LocalPool` of futures,
//! compio and monoio (their executors; they idle in io_uring).
//!
//! # What this does not measure
//!
//! - Input and output, which sideloop does not have; for compio and monoio that is what they are built
//!   for, and they look for it between two batches of polls.
//! - The end of a task in `LocalPool` and monoio, which have no request for it that can be joined; nor
//!   a batch of them in async-executor and compio, where the request is made by the wait for it.
//! - The same promise: where a task is aborted and joined, compio's join is over at once, while the
//!   future is dropped later; all others wait for that. Monoio, as it is built here, does not catch the
//!   panic of a task, and its wakers must stay on their thread.
//! - Tails, cold caches, and code larger than a few polls. All tasks here are small and of one type per
//!   workload, so every branch is predicted and every cell is in cache. Where 1000 tasks live, their
//!   places in memory differ from run to run and count as much as the code does: compare several runs.
//! - The allocator: all runtimes use the system's.

#[path = "peers/workloads.rs"]
mod workloads;

use harness::Options;
use harness::rounds::Rounds;

fn main() {
    let options = Options::from_command_line();
    Rounds::short(&options).table("local", &workloads::all(), &options);
}
