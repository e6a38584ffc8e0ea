//! Blocking a thread in a join until it is woken.
//!
//! Std's park token is shared with user code, which may take it or leave one; ours is not.
//!
//! Before it blocks, a thread looks for about as long as a block and a wake-up would take: whatever
//! comes, that is at most twice the best (Anna Karlin, Kai Li, Mark Manasse, Susan Owicki, "Empirical
//! Studies of Competitive Spinning for a Shared-Memory Multiprocessor", 1991). Who is found looking
//! need not be woken, and leaves no waker behind.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// How often a thread looks before it blocks: two or three microseconds.
const LOOKS: u32 = 64;

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

/// Looks for an answer for a moment. Where there is but one core, what is to give it cannot run meanwhile.
pub(crate) fn look<T>(mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    static CORES: OnceLock<usize> = OnceLock::new();
    let cores = CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get));
    let looks = if *cores > 1 { LOOKS } else { 1 };
    (0..looks).find_map(|_| {
        std::hint::spin_loop();
        answer()
    })
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
