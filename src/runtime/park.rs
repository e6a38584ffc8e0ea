//! Blocking a thread in a join until it is woken.
//!
//! Std's park token is shared with user code, which may take it or leave one; ours is not.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The waker of a thread that blocks in a join.
#[derive(Debug, Default)]
pub(crate) struct ThreadWaker {
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.bell.notify_one();
    }
}

impl ThreadWaker {
    /// Waits for a wake, and forgets it. `false`: the deadline came first.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut woken = self.woken.lock();
        while !*woken {
            match deadline {
                None => self.bell.wait(&mut woken),
                Some(at) if self.bell.wait_until(&mut woken, at).timed_out() => break,
                Some(_) => {}
            }
        }
        std::mem::replace(&mut *woken, false)
    }
}

std::thread_local! {
    /// One waker for all joins of a thread; taken while in use, because a join inside another's
    /// waiting (by a waker that blocks) must not take its wake.
    static SPARE: Cell<Option<Arc<ThreadWaker>>> = const { Cell::new(None) };
}

/// Polls until there is an answer or the deadline comes, blocking this thread in between.
pub(crate) fn block<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&Waker) -> std::task::Poll<T>,
) -> Option<T> {
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    let thread = spare.unwrap_or_default();
    // A late wake of an earlier join may still arrive: then this one polls once too often.
    let waker = Waker::from(thread.clone());
    let answer = loop {
        if let std::task::Poll::Ready(answer) = poll(&waker) {
            break Some(answer);
        }
        if !thread.wait(deadline) {
            break None;
        }
    };
    let _ = SPARE.try_with(|spare| spare.set(Some(thread)));
    answer
}
