//! Unwind safety: what users hold may go through a `catch_unwind` and be used after.
//!
//! No user code runs while a part of a loop is half changed: everything that is shared is changed under
//! locks or by single exchanges, and a panic of a task ends that task alone. So a handle that was used in a
//! closure which panicked is as good as before. What a handle may give out, the task's value, is as safe as
//! its type says.

use core::panic::{RefUnwindSafe, UnwindSafe};

#[cfg(feature = "std")]
use crate::cancel::CancelOnDrop;
use crate::cancel::Canceller;
use crate::error::{JoinError, PanicPayload};
use crate::join::JoinHandle;
#[cfg(feature = "std")]
use crate::{error::StartError, group::TaskGroup, handle::Handle, loop_thread::LoopThread};

impl<T: UnwindSafe> UnwindSafe for JoinHandle<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for JoinHandle<T> {}
impl UnwindSafe for Canceller {}
impl RefUnwindSafe for Canceller {}
impl UnwindSafe for PanicPayload {}
impl RefUnwindSafe for PanicPayload {}
impl UnwindSafe for JoinError {}
impl RefUnwindSafe for JoinError {}

#[cfg(feature = "std")]
impl<T: UnwindSafe> UnwindSafe for CancelOnDrop<T> {}
#[cfg(feature = "std")]
impl<T: RefUnwindSafe> RefUnwindSafe for CancelOnDrop<T> {}
#[cfg(feature = "std")]
impl<T: UnwindSafe> UnwindSafe for TaskGroup<T> {}
#[cfg(feature = "std")]
impl<T: RefUnwindSafe> RefUnwindSafe for TaskGroup<T> {}
#[cfg(feature = "std")]
impl UnwindSafe for Handle {}
#[cfg(feature = "std")]
impl RefUnwindSafe for Handle {}
#[cfg(feature = "std")]
impl UnwindSafe for LoopThread {}
#[cfg(feature = "std")]
impl RefUnwindSafe for LoopThread {}
#[cfg(feature = "std")]
impl UnwindSafe for StartError {}
#[cfg(feature = "std")]
impl RefUnwindSafe for StartError {}
