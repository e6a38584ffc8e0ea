//! What happens once to a loop, and those who wait for it on other threads.

use std::task::Poll;

use loom::thread;

use crate::runtime::event::Event;
use crate::support::thread_waker;
use crate::sync::Arc;

/// Blocks until it has happened.
fn wait(event: &Event) {
    let (mut waiter, waker) = (None, thread_waker());
    while event.poll(&mut waiter, &waker) == Poll::Pending {
        thread::park();
    }
    event.leave(&mut waiter);
}

/// H7: who begins to wait while it happens hears of it, though another one waits, and one leaves.
///
/// Faults: `event_waiter_sleeps_unasked`.
#[test]
fn wait_against_the_event() {
    loom::model(|| {
        let event = Arc::new(Event::new());
        let (one, other) = (event.clone(), event.clone());
        let waiter = thread::spawn(move || wait(&one));
        let happens = thread::spawn(move || other.happen());
        let (mut left, waker) = (None, thread_waker());
        let _ = event.poll(&mut left, &waker);
        event.leave(&mut left);
        wait(&event);
        assert!(event.has_happened());
        waiter.join().expect("ends");
        happens.join().expect("ends");
    });
}
