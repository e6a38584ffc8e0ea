//! What happens once to a loop, and those who wait for it on other threads.

use std::task::Poll;

use loom::thread;

use crate::runtime::latch::Latch;
use crate::support::thread_waker;
use crate::sync::Arc;

/// Blocks until it has happened.
fn wait(latch: &Latch) {
    let (mut waiter, waker) = (None, thread_waker());
    while latch.poll(&mut waiter, &waker) == Poll::Pending {
        thread::park();
    }
    latch.leave(&mut waiter);
}

/// H7: who begins to wait while it happens hears of it, though another one waits, and one leaves.
///
/// Faults: `event_waiter_sleeps_unasked`.
#[test]
fn wait_against_the_event() {
    loom::model(|| {
        let latch = Arc::new(Latch::new());
        let (one, other) = (latch.clone(), latch.clone());
        let waiter = thread::spawn(move || wait(&one));
        let happens = thread::spawn(move || other.happen());
        let (mut left, waker) = (None, thread_waker());
        let _ = latch.poll(&mut left, &waker);
        latch.leave(&mut left);
        wait(&latch);
        assert!(latch.has_happened());
        waiter.join().expect("ends");
        happens.join().expect("ends");
    });
}
