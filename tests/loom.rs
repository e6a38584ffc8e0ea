//! Models of the task floor: every interleaving of a few threads, by loom.
//!
//! The floor is compiled right into this test, which shows that it stands alone. Each model names the
//! faults that it was seen to find: patches in `tests/loom/mutants`, tried by `.ci/deep`. A lost
//! wake-up shows as a deadlock, a lost reference as a leaked `Arc`, a race on what is not atomic as a
//! causality violation.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target-loom LOOM_MAX_PREEMPTIONS=3 \
//!     cargo test --release --test loom -- --test-threads=1
//! ```
#![cfg(loom)]
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)] // the floor serves more than the models

extern crate alloc;

/// The floor and the vocabulary below it, as they are in the crate; and of the shell what is modelled.
#[path = "../src"]
mod floor {
    #[path = "runtime/gate.rs"]
    pub(crate) mod gate;

    pub(crate) mod error;
    pub(crate) mod id;
    pub(crate) mod sync;
    pub(crate) mod task;
}
pub(crate) use floor::{error, id, sync, task};

#[path = "loom/closing.rs"]
mod closing;
#[path = "loom/ends.rs"]
mod ends;
#[path = "loom/gates.rs"]
mod gates;
#[path = "loom/guards.rs"]
mod guards;
#[path = "loom/joins.rs"]
mod joins;
#[path = "loom/support.rs"]
mod support;
#[path = "loom/wakes.rs"]
mod wakes;
