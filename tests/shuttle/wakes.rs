//! Wakes from everywhere: threads, and tasks among each other.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use shuttle::sync::Mutex; // cloning a waker is a place where another thread may go on

use crate::support::{Driven, below, explore, join_all};

const TASKS: usize = 5;
const THREADS: usize = 4;
const POSTS: usize = 6;

/// A task's letter box: how much was posted, how often it was polled, and its waker.
#[derive(Default)]
struct Letters {
    posted: AtomicUsize,
    read: AtomicUsize,
    polls: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Letters {
    fn post(&self) {
        self.posted.fetch_add(1, Ordering::SeqCst);
        let waker = self.waker.lock().expect("no poll panics").clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn read(&self, waker: &Waker) -> usize {
        self.polls.fetch_add(1, Ordering::SeqCst);
        self.waker.lock().expect("no poll panics").get_or_insert_with(|| waker.clone());
        let posted = self.posted.load(Ordering::SeqCst);
        posted - self.read.swap(posted, Ordering::SeqCst)
    }
}

/// W2, W3: every letter is read by its task, though most wakes coalesce with others: of threads, of the
/// task before it, and of itself.
///
/// Faults: `park_swaps`, `take_in_forgets_wakes`.
#[test]
fn every_letter_is_read() {
    explore(|| {
        let mut driven = Driven::new();
        let boxes: Arc<Vec<Letters>> = Arc::new((0..TASKS).map(|_| Letters::default()).collect());
        for mine in 0..TASKS {
            let boxes = boxes.clone();
            let reader = poll_fn(move |cx| {
                // Every other letter is passed on, once, to the task after this.
                if boxes[mine].read(cx.waker()) % 2 == 1 && mine + 1 < TASKS {
                    boxes[mine + 1].post();
                }
                Poll::<()>::Pending
            });
            driven.bare().spawn_local(reader).detach();
        }
        let producers: Vec<_> = (0..THREADS)
            .map(|_| {
                let boxes = boxes.clone();
                driven.producer(move |_| (0..POSTS).for_each(|_| boxes[below(TASKS)].post()))
            })
            .collect();
        driven.run();
        while !driven.turn() {}
        join_all(producers);
        for letters in &*boxes {
            let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
            let (posted, read, polls) =
                (of(&letters.posted), of(&letters.read), of(&letters.polls));
            assert_eq!(posted, read, "a wake was lost");
            assert!(polls <= posted + 1, "{polls} polls for {posted} wakes");
            drop(letters.waker.lock().expect("no poll panics").take());
        }
        driven.demand_nothing_left();
    });
}
