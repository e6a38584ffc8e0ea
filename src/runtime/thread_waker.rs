//! The waker of a thread that blocks in a join. Modelled in `tests/loom/threads.rs`.

use std::mem;
use std::sync::Arc;
use std::task::Wake;
use std::time::Instant;

use crate::sync::Monitor;

/// Whether the thread was woken since it last waited.
#[derive(Debug, Default)]
pub(crate) struct ThreadWaker(Monitor<bool>);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.with(|woken| *woken = true);
        self.0.ring();
    }
}

impl ThreadWaker {
    /// Waits for a wake, and forgets it. `false`: the deadline came first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        self.0.wait_while(|woken| !mem::take(woken), deadline)
    }
}
