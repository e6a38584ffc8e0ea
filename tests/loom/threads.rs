//! A thread that blocks in a join, and its wakers.

use std::sync::Arc as StdArc;
use std::task::Waker;

use loom::thread;

use crate::runtime::thread_waker::ThreadWaker;
use crate::sync::{Arc, AtomicUsize, Ordering};

/// J1: two threads answer and wake against a thread that looks and waits: it sees both answers, and is not left
/// waiting.
///
/// Faults: `thread_rung_before_the_mark`.
#[test]
fn wake_against_wait() {
    loom::model(|| {
        let answers = Arc::new(AtomicUsize::new(0));
        let waiter = StdArc::new(ThreadWaker::default());
        let threads = [(); 2].map(|()| {
            let (answers, waker) = (answers.clone(), Waker::from(StdArc::clone(&waiter)));
            thread::spawn(move || {
                // ORDERING: Relaxed: it is the wake that has to publish it.
                answers.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            })
        });
        // ORDERING: Relaxed: as above.
        while answers.load(Ordering::Relaxed) < 2 {
            waiter.wait(None);
        }
        for thread in threads {
            thread.join().expect("ends");
        }
    });
}
