//! A single-threaded async executor that lives on its own thread, and that every other thread can
//! hand work to.
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sideloop::{LoopThread, Shutdown, time};
//! use std::time::Duration;
//!
//! let side = LoopThread::start()?; // the loop is up when this returns
//! let task = side.handle().spawn(async {
//!     time::sleep(Duration::from_millis(1)).await;
//!     6 * 7
//! });
//! let stuck = side.handle().spawn(std::future::pending::<()>());
//! stuck.cancel();
//! assert!(stuck.join().is_err() && task.join()? == 42);
//! side.shutdown(Shutdown::now());
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```
//!
//! # Where to begin
//!
//! | to | use |
//! |---|---|
//! | run a loop on a thread of its own | [`LoopThread`], or a [`Builder`] for names, stacks and hooks |
//! | hand it work, from any thread | [`Handle::spawn`], [`Handle::spawn_with`], [`Handle::call`] |
//! | wait for a task, or end it | [`JoinHandle`], [`Canceller`], [`Handle::cancel`] by [`TaskId`] |
//! | spawn, sleep and yield inside of tasks | [`spawn_local`], [`mod@time`], [`yield_now`], [`yield_if_due`] |
//! | end the loop and learn what was left | [`Shutdown`], [`ShutdownReport`] |
//! | drive a loop on a thread of yours | [`Executor`], [`block_on`] |
//! | run without the standard library | [`bare::Loop`] |
//!
//! # Threads
//!
//! Handles may be used from any thread and anywhere: inside of polls, destructors, wakers and hooks.
//! Futures, closures and what they own are polled and dropped on the loop's thread only, once they
//! were accepted; blocking jobs run, and end, on threads of their pool. A method that would have to
//! wait for the loop on the loop's own thread gives an error instead.
//!
//! # Signals
//!
//! A signal handler may not wake, spawn, call or cancel: it may have interrupted the loop's own thread in
//! the middle of a change of its queues, or a thread that holds the lock under which a sleeping loop is
//! woken. A handler writes to a pipe, or to a socket, and a thread or a task that reads it does the rest:
//!
//! ```
//! # #[cfg(all(feature = "std", target_os = "linux"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io::Read;
//! use std::os::unix::net::UnixStream;
//!
//! let side = sideloop::LoopThread::start()?;
//! let (bell, mut rings) = UnixStream::pair()?;
//! signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, bell)?; // writes one byte
//! let (handle, (tell, told)) = (side.handle().clone(), std::sync::mpsc::channel());
//! std::thread::spawn(move || {
//!     while rings.read_exact(&mut [0]).is_ok() {
//!         let tell = tell.clone();
//!         handle.call(move || tell.send("reload")).detach();
//!     }
//! });
//! signal_hook::low_level::raise(signal_hook::consts::SIGHUP)?;
//! assert_eq!(told.recv()?, "reload");
//! # Ok(()) }
//! # #[cfg(not(all(feature = "std", target_os = "linux")))] fn main() {}
//! ```
//!
//! # Memory
//!
//! Where an allocation fails the process ends, as everywhere with the standard library.
//!
//! # Cancel safety
//!
//! What happens when a future of this crate is dropped before it is ready; each says its grade:
//!
//! - **strict**: dropping it and calling again is the same as having waited. Nothing is lost.
//! - **lossy**: something is lost, and the documentation says what.
//! - **detached**: what it began goes on without it.
//!
//! # Features
//!
//! - `std` (default): threads, parking, clocks, handles. Without it the crate is `no_std + alloc`, and
//!   offers the tasks, queues and timers in [`bare`].
//! - `io`: sockets, pipes and other descriptors on the loop's own thread, in the module `io`, on Unix.
#![cfg_attr(not(any(feature = "std", test)), no_std)] // the tests may use it
#![cfg_attr(not(feature = "std"), allow(dead_code))] // what only the shell uses

extern crate alloc;

#[cfg(any(doc, all(doctest, feature = "std")))]
#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[cfg(any(doc, all(doctest, feature = "std")))]
#[doc = include_str!("../docs/semantics.md")]
pub mod semantics {}

#[cfg(any(doc, all(doctest, feature = "std")))]
#[doc = include_str!("../docs/assurance.md")]
pub mod assurance {}

#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

mod error;
mod id;
mod sync;
mod tick;

mod task;

mod scheduler;

#[cfg(any(test, fuzzing))]
mod testing;

pub mod bare;
#[cfg(feature = "std")]
mod blocking;
mod cancel;
#[cfg(feature = "std")]
mod ending;
#[cfg(feature = "std")]
mod group;
#[cfg(feature = "std")]
mod guard;
#[cfg(feature = "std")]
mod handle;
#[cfg(all(feature = "io", unix))]
pub mod io;
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
mod unwinding;
#[cfg(feature = "std")]
mod waiting;
#[cfg(feature = "std")]
mod yielding;

pub use crate::cancel::{CancelOnDrop, Canceller};
pub use crate::error::{JoinError, PanicPayload};
pub use crate::id::{TaskId, TaskIdentity};
pub use crate::join::JoinHandle;
pub use crate::task::state::CancelRequest;

#[cfg(feature = "std")]
pub use crate::{
    ending::{Closed, Closing},
    error::{BoxError, Cancelled, SpawnError, StartError, ZeroPeriod},
    group::TaskGroup,
    guard::{CancelGuard, Requested, cancel_requested},
    handle::Handle,
    metrics::{Metrics, TaskInfo, TaskState},
    panic::TaskPanic,
    runtime::builder::Builder,
    runtime::executor::{Executor, Turn, block_on},
    runtime::thread::LoopThread,
    runtime::watchdog::Stall,
    shutdown::{Shutdown, ShutdownReport},
    spawning::{
        LocalHandle, TaskBuilder, current, current_task, current_task_name, spawn_local,
        try_current,
    },
    waiting::SpawnWhenFree,
    yielding::{YieldNow, yield_if_due, yield_now},
};
