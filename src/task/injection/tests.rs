//! The stack through the loop's own side of it, which is its one user.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::panic::Location;

use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::task::cell::Origin;
use crate::task::injection::Lane;
use crate::task::join::Join;
use crate::task::loop_side::LoopSide;
use crate::task::run_queues::Parked;
use crate::task::spawn::{Kind, NewTask};

/// Pushes a task with this serial, as another thread does. `None`: it was refused.
fn push(side: &LoopSide, serial: u64) -> Option<Join<()>> {
    let origin = Origin { serial, location: Location::caller() };
    let run_queues = side.run_queues().clone();
    let task = NewTask::new(async {}, (), origin, run_queues, Kind::Task);
    task.push(side.run_queues()).ok()
}

/// Ends what came in; the serials, in the order in which it came.
fn end_all(side: &LoopSide) -> Vec<u64> {
    let mut serials = Vec::new();
    let _ = side.look(Lane::New, usize::MAX);
    while let Some(task) = side.take_in_new() {
        serials.push(task.id().as_u64());
        side.dispose(task);
    }
    side.run_out();
    serials
}

#[test]
fn what_was_pushed_is_seen_and_taken_once_in_its_order() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    for _ in 0..2 {
        assert!(!side.run_queues().has_any());
        assert_eq!(end_all(&side), []);
        let joins: Option<Vec<_>> = (1..=3).map(|serial| push(&side, serial)).collect();
        assert!(side.run_queues().has_any());
        assert_eq!(end_all(&side), [1, 2, 3]);
        assert!(joins.expect("none is refused").iter().all(Join::is_done));
    }
}

#[test]
fn a_closed_stack_gives_the_rest_once_and_stays_closed_whoever_looks() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let joins: Option<Vec<_>> = (1..=2).map(|serial| push(&side, serial)).collect();
    side.close(Lane::New);
    assert_eq!(end_all(&side), [1, 2]);
    assert!(joins.expect("none is refused").iter().all(Join::is_done));
    for serial in 3..6 {
        assert!(!side.run_queues().has_any());
        assert!(push(&side, serial).is_none(), "{serial} was accepted");
        assert_eq!(end_all(&side), []);
        side.close(Lane::New);
        assert_eq!(end_all(&side), []);
    }
}

/// Else a loop that sleeps would wait for the thread that pushed first, and was preempted before it rang.
#[test]
fn a_push_behind_others_rings_where_the_loop_sleeps_and_only_there() {
    let rings = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&rings);
    let side = LoopSide::new(Box::new(move || {
        // ORDERING: Relaxed, here and where it is read: there is one thread.
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let _entered = side.enter();
    let first = push(&side, 1);
    assert_eq!(side.park(), Parked::Awake, "the first one has rung");
    let behind = push(&side, 2);
    assert_eq!(side.park(), Parked::Awake, "what was pushed is seen by the last look (T6)");
    assert_eq!(rings.load(Ordering::Relaxed), 0, "rung at a loop that runs");
    assert_eq!(end_all(&side), [1, 2]);
    assert_eq!(side.park(), Parked::Asleep);
    let asleep = push(&side, 3);
    assert_eq!(rings.load(Ordering::Relaxed), 1);
    let after = push(&side, 4);
    // ORDERING: Relaxed, as above: there is one thread.
    assert_eq!(rings.load(Ordering::Relaxed), 1, "it has been roused");
    assert_eq!(end_all(&side), [3, 4]);
    assert!([first, behind, asleep, after].iter().flatten().all(Join::is_done));
}
