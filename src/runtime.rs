//! The third floor: threads, clocks, blocking; what makes a scheduler a running loop.

#[cfg(all(feature = "io", unix))]
pub(crate) mod bells;
pub(crate) mod block_on_waker;
pub(crate) mod blocking;
pub(crate) mod blocking_wait;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod control;
#[cfg(all(feature = "io", unix))]
pub(crate) mod driver;
pub(crate) mod gate;
pub(crate) mod guards;
pub(crate) mod guest;
pub(crate) mod latch;
pub(crate) mod local;
#[cfg(all(feature = "io", unix))]
pub(crate) mod objects;
pub(crate) mod parker;
mod room;
pub(crate) mod shared;
pub(crate) mod shutdown_request;
pub(crate) mod slack;
pub(crate) mod spin;
pub(crate) mod thread_waker;
pub(crate) mod waiters;
pub(crate) mod watchdog;

#[cfg(all(test, not(loom), target_has_atomic = "64"))]
mod tests;
