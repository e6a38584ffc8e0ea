//! What the run queues tell, and how they end.

use alloc::boxed::Box;
use core::panic::Location;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::task::cell::Origin;
use crate::task::injection::Lane;
use crate::task::loop_side::LoopSide;
use crate::task::spawn::{Kind, NewTask};

#[test]
fn news_is_a_notification_or_something_pushed_or_both() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let run_queues = side.run_queues();
    assert!(!run_queues.has_news());
    run_queues.notify();
    assert!(run_queues.has_news() && !run_queues.has_any());
    side.resume();
    assert!(!run_queues.has_news());
    let origin = Origin { serial: 1, location: Location::caller() };
    let pushed =
        NewTask::new(async {}, (), origin, run_queues.clone(), Kind::Task).push(run_queues);
    assert!(run_queues.has_news());
    side.resume();
    assert!(run_queues.has_news() && pushed.is_ok());
    let _ = side.look(Lane::New, usize::MAX);
    let task = side.take_in_new().expect("it was pushed");
    assert!(!run_queues.has_news());
    side.dispose(task);
    side.run_out();
}

/// X1: a hook that panics when it is dropped takes nobody with it.
#[test]
fn a_hook_that_panics_in_its_drop_is_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a hook's destructor");
        }
    }
    let bomb = Bomb;
    let side = LoopSide::new(Box::new(move || {
        let _kept = &bomb;
    }));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(side))).is_ok());
}
