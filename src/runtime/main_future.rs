//! The future of `block_on`, which its loop polls beside the tasks: how it is woken.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use futures_task::ArcWake;

use super::local::Local;
use crate::scheduler::HostWaker;
use crate::sync::{Arc as Owner, AtomicUsize, Ordering};
use crate::task::mailbox::Mailbox;

/// Its waker.
#[derive(Debug)]
pub(crate) struct Main {
    /// Whether another thread woke it.
    woken: AtomicUsize,
    /// Whether it was woken on the loop's thread, inside the run; touched there alone.
    woken_here: AtomicUsize,
    mailbox: Owner<Mailbox>,
}

impl Main {
    /// Woken for its first poll.
    pub(super) fn of(local: &Local) -> Self {
        let mailbox = local.shared.mailbox.clone();
        Self { woken: AtomicUsize::new(0), woken_here: AtomicUsize::new(1), mailbox }
    }

    pub(super) fn is_woken(&self) -> bool {
        // ORDERING: Relaxed, both: one is this thread's own, and the other is a hint before parking;
        // the mailbox's sleep word decides.
        self.woken_here.load(Ordering::Relaxed) != 0 || self.woken.load(Ordering::Relaxed) != 0
    }

    /// Whether it is to be polled: answers every wake so far.
    pub(super) fn take(&self) -> bool {
        // ORDERING: Relaxed: this thread's own.
        let here = self.woken_here.load(Ordering::Relaxed) != 0;
        if here {
            // ORDERING: Relaxed: as above.
            self.woken_here.store(0, Ordering::Relaxed);
        }
        // ORDERING: Relaxed, a hint. AcqRel, paired with the swap in `wake_by_ref`: the poll sees what
        // was written before.
        let elsewhere =
            self.woken.load(Ordering::Relaxed) != 0 && self.woken.swap(0, Ordering::AcqRel) != 0;
        here | elsewhere
    }

    /// Wakes it on the loop's thread, inside the run, which looks before it parks.
    #[inline]
    pub(super) fn wake_here(&self) {
        // ORDERING: Relaxed: this thread's own.
        self.woken_here.store(1, Ordering::Relaxed);
    }
}

impl ArcWake for Main {
    fn wake_by_ref(main: &Arc<Self>) {
        if Mailbox::is_current(&main.mailbox) {
            return main.wake_here();
        }
        // ORDERING: AcqRel: Release, paired with `take`. A swap, so that of two wakers both are seen.
        main.woken.swap(1, Ordering::AcqRel);
        main.mailbox.notify();
    }
}

/// While it lives, timers know the future by its waker.
pub(super) struct Beside<'a> {
    local: &'a Local,
    main: Option<Arc<Main>>,
    waker: HostWaker,
}

impl<'a> Beside<'a> {
    pub(super) fn new(local: &'a Local, main: &Arc<Main>, waker: &Waker) -> Self {
        let main = local.main.replace(Some(main.clone()));
        let waker = local.scheduler.host_waker.replace(HostWaker::of(waker));
        Self { local, main, waker }
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.local.main.replace(self.main.take());
        self.local.scheduler.host_waker.replace(mem::take(&mut self.waker));
    }
}
