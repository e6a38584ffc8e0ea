//! One operation many times, to count its instructions under valgrind: `counts OPERATION TIMES`; without
//! arguments it names the operations.
//!
//! `benches/counts.sh` runs each operation with two numbers of times, divides the difference, and compares with the
//! table `benches/counts.txt`. Instructions are no time, but they are the same from run to run: time is virtual, and
//! what other threads do is done by this one, outside of the loop's run.

#[path = "counts/local.rs"]
mod local;
#[path = "counts/remote.rs"]
mod remote;

use std::env;
use std::future::Future;

use sideloop::{Builder, Executor, spawn_local};

/// How many tasks or timers there are at a time.
const BATCH: usize = 100;

/// Does something so many times, a multiple of [`BATCH`].
type Operation = (&'static str, fn(usize));

/// An operation of a task on its loop's thread.
macro_rules! on_the_loop {
    ($($name:ident),*) => { [$((stringify!($name), |times| run(local::$name(times)))),*] };
}

/// An operation of another thread.
macro_rules! from_elsewhere {
    ($($name:ident),*) => { [$((stringify!($name), |times| remote::$name(&mut executor(), times))),*] };
}

const LOCAL: [Operation; 17] = on_the_loop![
    spawn_join,
    spawn_detach,
    spawn_drop,
    spawn_late_join,
    self_wake,
    wake_other,
    yield_once,
    abort_join,
    cancel_join,
    abort_by_id,
    group_next,
    sleep_cancel,
    sleep_batch,
    sleep_reset,
    sleep_fire,
    timeout_yield,
    interval_tick
];

const REMOTE: [Operation; 8] = from_elsewhere![
    remote_spawn,
    remote_call,
    remote_wake,
    remote_wake_again,
    remote_cancel,
    block_on,
    idle_turn,
    snapshot
];

fn executor() -> Executor {
    Builder::new().virtual_time(0).build()
}

fn run(future: impl Future<Output = ()> + 'static) {
    executor().block_on(async { spawn_local(future).await }).expect("it ends");
}

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let operations = || LOCAL.into_iter().chain(REMOTE);
    let Some(name) = arguments.next() else {
        return operations().for_each(|(name, _)| println!("{name}"));
    };
    let times = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(10 * BATCH);
    let (_, operation) = operations().find(|(known, _)| *known == name).expect("a known operation");
    operation(times);
}
