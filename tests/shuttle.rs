//! Scenarios that are too big for loom: a loop against several threads, under thousands of random
//! schedules, by shuttle.
//!
//! The crate itself runs here, with shuttle's atomics (`src/sync.rs`), by the loop that needs no thread
//! of its own. Every schedule is sequentially consistent: what weak orderings allow is loom's to find. A
//! lost wake-up shows as a deadlock. Beside each scenario stand faults that it was seen to find; they are
//! patches, for the most part those of loom's models, and `tests/shuttle/faults.txt` has them for `.ci/deep`.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target-shuttle \
//!     cargo test --release --test shuttle -- --skip=floor::
//! ```
//!
//! The same seed gives the same schedules: `SHUTTLE_SEED` sets another one, `SHUTTLE_SCHEDULES` how many
//! there are, and a failure prints the schedule that [`shuttle::replay`] takes.
#![cfg(shuttle)]
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)] // the floor serves more than the scenarios

extern crate alloc;

/// What is modelled of the shell, and no part of the public surface.
#[path = "../src"]
mod floor {
    #[path = "runtime/gate.rs"]
    pub(crate) mod gate;
    #[path = "runtime/thread_waker.rs"]
    pub(crate) mod thread_waker;

    pub(crate) mod error;
    pub(crate) mod id;
    pub(crate) mod sync;
}
pub(crate) use floor::{error, id, sync};

#[path = "shuttle/ends.rs"]
mod ends;
#[path = "shuttle/gates.rs"]
mod gates;
#[path = "shuttle/joins.rs"]
mod joins;
#[path = "shuttle/support.rs"]
mod support;
#[path = "shuttle/traffic.rs"]
mod traffic;
#[path = "shuttle/wakes.rs"]
mod wakes;
