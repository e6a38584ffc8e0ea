//! A single-threaded async executor that lives on its own thread, and that every other thread can
//! hand work to.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(not(feature = "std"), allow(dead_code))] // what only the shell uses

extern crate alloc;

mod error;
mod id;
mod sync;
mod tick;

mod task;

mod scheduler;

pub mod bare;
mod cancel;
#[cfg(feature = "std")]
mod group;
#[cfg(feature = "std")]
mod handle;
mod join;
#[cfg(feature = "std")]
mod metrics;
#[cfg(feature = "std")]
mod panic;
#[cfg(feature = "std")]
mod runtime;
#[cfg(feature = "std")]
mod shutdown;
#[cfg(feature = "std")]
mod spawning;
#[cfg(feature = "std")]
pub mod time;

pub use crate::cancel::{CancelOnDrop, Canceller};
pub use crate::error::{JoinError, PanicPayload};
pub use crate::id::TaskId;
pub use crate::join::JoinHandle;
pub use crate::task::state::CancelRequest;

#[cfg(feature = "std")]
pub use crate::{
    error::{BoxError, SpawnError, StartError},
    group::TaskGroup,
    handle::Handle,
    metrics::{TaskInfo, TaskState},
    panic::TaskPanic,
    runtime::builder::Builder,
    runtime::executor::{Executor, Turn, block_on},
    runtime::thread::LoopThread,
    shutdown::{Shutdown, ShutdownReport},
    spawning::{
        LocalHandle, TaskBuilder, YieldNow, current, current_task, spawn_local, try_current,
        yield_now,
    },
};
