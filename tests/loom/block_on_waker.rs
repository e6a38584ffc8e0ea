//! The future of `block_on`: a wake of it ends a sleep, and its poll sees what came before.

use std::sync::Arc as StdArc;
use std::task::Waker;

use loom::thread;

use crate::runtime::block_on_waker::BlockOnWaker;
use crate::support::Model;
use crate::sync::{Arc, AtomicUsize, Ordering};

/// Whose numbers are all 1 is ready.
type Numbers = [Arc<AtomicUsize>; 2];

fn numbers() -> Numbers {
    [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))]
}

/// As `block_on`: polls what is ready when all the numbers are 1.
fn block_on(model: &Model, main: &BlockOnWaker, numbers: &Numbers) {
    let _entered = model.side.enter();
    loop {
        // ORDERING: Relaxed: it is the wake that has to publish them.
        if main.take() && numbers.iter().all(|one| one.load(Ordering::Relaxed) == 1) {
            return;
        }
        model.turn();
        if model.side.is_idle() && !main.is_woken() {
            model.sleep();
        }
    }
}

/// A thread that sets each of the numbers, and wakes after each.
fn waking(waker: &Waker, numbers: &[Arc<AtomicUsize>]) -> thread::JoinHandle<()> {
    let (waker, numbers) = (waker.clone(), numbers.to_vec());
    thread::spawn(move || {
        for one in numbers {
            // ORDERING: Relaxed: it is the wake that has to publish it.
            one.store(1, Ordering::Relaxed);
            waker.wake_by_ref();
        }
    })
}

/// W2: a wake while the loop takes the one before, polls, makes its turn or parks is never lost, and what
/// was written before is seen.
///
/// Faults: `main_mark_of_others_not_asked`, `main_marked_after_the_bell`, `main_take_relaxed`.
#[test]
fn wake_against_take_and_park() {
    loom::model(|| {
        let model = Model::new();
        let main = StdArc::new(BlockOnWaker::new(model.run_queues()));
        let (waker, numbers) = (futures_task::waker(StdArc::clone(&main)), numbers());
        let other = waking(&waker, &numbers);
        block_on(&model, &main, &numbers);
        other.join().expect("ends");
        drop(waker);
        model.close();
    });
}

/// W2: what the second of two wakers wrote is seen by the poll, though the first one marked the future.
///
/// Faults: `main_wake_behind_another_publishes_nothing`.
#[test]
fn coalesced_wake_of_the_main_future_is_visible() {
    loom::model(|| {
        let model = Model::new();
        let main = StdArc::new(BlockOnWaker::new(model.run_queues()));
        let (waker, numbers) = (futures_task::waker(StdArc::clone(&main)), numbers());
        let [one, two] = [waking(&waker, &numbers[..1]), waking(&waker, &numbers[1..])];
        block_on(&model, &main, &numbers);
        one.join().expect("ends");
        two.join().expect("ends");
        drop(waker);
        model.close();
    });
}
