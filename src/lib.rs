//! A single-threaded async executor that lives on its own thread and takes work from every other
//! thread.
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sideloop::{LoopThread, Shutdown, time};
//! use std::time::Duration;
//!
//! let side = LoopThread::start()?; // when this returns, the loop accepts work
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
//! The [`guide`] has a chapter for each need, and tables for those who come from asyncio, tokio or smol.
//!
//! | to | use |
//! |---|---|
//! | run a loop on a thread of its own | [`LoopThread`], or a [`Builder`] for names, stacks and hooks |
//! | give it work, from any thread | [`Handle::spawn`], [`Handle::spawn_with`], [`Handle::call`] |
//! | wait for a task, or end it | [`JoinHandle`], [`Canceller`], [`Handle::cancel`] by [`TaskId`] |
//! | clean up when a task is cancelled | [`CancelGuard`], [`TaskBuilder::spawn_guarded`] |
//! | spawn, sleep and yield inside tasks | [`spawn_local`], [`mod@time`], [`yield_now`], [`yield_if_due`] |
//! | end the loop, with a report of what was left | [`Shutdown`], [`ShutdownReport`] |
//! | drive a loop on a thread of yours | [`Executor`], [`block_on`] |
//! | run without the standard library | [`bare::Loop`] |
//!
//! # Threads
//!
//! Handles may be used on any thread and anywhere: in polls, destructors, wakers and hooks. Once a
//! future or closure has been accepted, it runs on the loop's thread only and is dropped there, with
//! everything that it owns; blocking jobs run, and end, on threads of their pool. On the loop's own
//! thread, a method that would have to wait for the loop returns an error instead.
//!
//! # Signals
//!
//! A signal handler must not wake, spawn, call or cancel. It may have interrupted the loop's own thread
//! while that changed its queues, or a thread that holds the lock under which a sleeping loop is woken.
//! A handler writes to a pipe or a socket instead, and a thread or a task that reads it does the rest:
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
//! If an allocation fails, the process ends, as everywhere with the standard library.
//!
//! # Cancel safety
//!
//! Each future of this crate states what happens when it is dropped before it is ready, in one of three
//! grades:
//!
//! - **strict**: dropping it and calling again is the same as waiting. Nothing is lost.
//! - **lossy**: something is lost, and the documentation says what.
//! - **detached**: the operation goes on without it.
//!
//! # Features
//!
//! - `std` (default): threads, parking, clocks, handles. Without it the crate is `no_std + alloc`, and
//!   offers the tasks, queues and timers in [`bare`], which says what is missing there.
//! - `io`: sockets, pipes and other descriptors on the loop's own thread, in the module `io`, on Unix.
//!   Without it async I/O needs a crate with a reactor of its own, such as async-io or async-net.
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

#[cfg(any(doc, all(doctest, feature = "std")))]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

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
#[cfg(feature = "std")]
mod builder;
mod cancel;
#[cfg(feature = "std")]
mod ending;
#[cfg(feature = "std")]
mod executor;
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
mod loop_thread;
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
    builder::Builder,
    ending::{Closed, Closing},
    error::{BoxError, Cancelled, SpawnError, StartError, ZeroPeriod},
    executor::{Executor, Turn, block_on},
    group::TaskGroup,
    guard::{CancelGuard, Requested, cancel_requested},
    handle::Handle,
    loop_thread::LoopThread,
    metrics::{Metrics, TaskInfo, TaskState},
    panic::TaskPanic,
    runtime::watchdog::Stall,
    shutdown::{Shutdown, ShutdownReport},
    spawning::{
        LocalHandle, TaskBuilder, current, current_task, current_task_name, spawn_local,
        try_current,
    },
    waiting::SpawnWhenFree,
    yielding::{YieldNow, yield_if_due, yield_now},
};
