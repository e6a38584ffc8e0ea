//! The ready queue and the urgent queue; the count of polls, set near the end of its field.

use alloc::boxed::Box;
use core::future::{pending, poll_fn};
use core::panic::Location;
use core::task::Poll;

use super::*;
use crate::error::JoinError;
use crate::task::cell::{End, Origin};
use crate::task::loop_flags::{
    ENDED, EXPEDITED, LoopFlags, POLLS, POLLS_OVERFLOWED, RELEASE_PENDING,
};
use crate::task::loop_side::LoopSide;
use crate::task::owned_task::OwnedTask;
use crate::task::run::{Ran, Runnable};
use crate::task::shuffle::Shuffle;
use crate::task::state::Request;

impl LoopSide {
    /// Ends a task and lets it go.
    pub(crate) fn dispose(&self, task: OwnedTask) {
        let (ending, _) = self.end(&task, JoinError::Cancelled);
        assert!(ending.complete(task, self).is_none());
    }

    /// Takes in all wakes and requests of tasks that the loop knows.
    pub(crate) fn take_in_known_now(&self) {
        let _ = self.look(Lane::Known, usize::MAX);
        self.take_in_known(usize::MAX);
    }

    /// The next task of the batch.
    pub(crate) fn pop(&self) -> Option<Runnable<'_>> {
        self.batch().next()
    }

    /// Takes tasks that have ended out of the last of their queues, which else would keep them.
    pub(crate) fn run_out(&self) {
        self.resume();
        self.begin_batch(usize::MAX);
        while let Some(popped) = self.pop() {
            assert!(matches!(popped.run(), Ran::Nothing), "it has not ended");
        }
    }
}

/// A task that ends in its first poll.
fn brief(side: &LoopSide, serial: u64) -> OwnedTask {
    side.spawn(async {}, (), Origin { serial, location: Location::caller() }).0
}

/// Runs the next task.
fn run_once(side: &LoopSide) -> Ran<'_> {
    side.resume();
    side.begin_batch(1);
    side.pop().expect("it has woken itself").run()
}

#[test]
fn each_note_has_a_bit_of_its_own() {
    let mut taken = 0;
    for flag in [URGENT, RELEASE_PENDING, EXPEDITED, REGISTERED, POLLS_OVERFLOWED] {
        assert!(flag != 0 && taken & flag == 0, "{flag:#b} in {taken:#b}");
        taken |= flag;
    }
    const { assert!(READY != 0 && ENDED != 0 && READY & ENDED == 0) };
    assert_eq!(size_of::<LoopFlags>(), 4, "as wide as the key beside them");
}

#[test]
fn a_count_of_polls_outgrows_its_field_and_leaves_the_flags() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let mut left = 8;
    let future = poll_fn(move |cx| {
        left -= 1;
        cx.waker().wake_by_ref();
        if left == 0 { Poll::Ready(7) } else { Poll::Pending }
    });
    let origin = Origin { serial: 1, location: Location::caller() };
    let (task, join) = side.spawn(future, (), origin);
    for round in 0..2 {
        let before = round * POLLS;
        // SAFETY: the registry's reference, which the test has, keeps it alive.
        let loop_flags = &unsafe { task.0.as_ref() }.loop_flags;
        loop_flags.set_polls(u16::MAX - 1);
        assert_eq!(side.polls(&task), before + POLLS - 2);
        for polls in [POLLS - 1, POLLS, POLLS + 1] {
            assert!(matches!(run_once(&side), Ran::Pending));
            assert_eq!(side.polls(&task), before + polls);
            assert_eq!(loop_flags.standing(), READY, "the count has run into it");
            let carried = round > 0 || polls >= POLLS;
            assert_eq!(
                loop_flags.flags(),
                if carried { REGISTERED | POLLS_OVERFLOWED } else { REGISTERED }
            );
        }
    }
    assert!(matches!(run_once(&side), Ran::Pending));
    let Ran::Ended(ending, End::Finished) = run_once(&side) else { panic!("it has not ended") };
    assert!(ending.complete(task, &side).is_none());
    assert!(side.queues(|queues| queues.polls_overflow.is_empty()), "the carry outlives its task");
    assert!(matches!(run_once(&side), Ran::Nothing), "it woke itself in its last poll");
    drop(join);
}

#[test]
fn the_running_task_is_the_one_that_is_polled() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = Origin { serial: 1, location: Location::caller() };
    let (task, mut join) = side.spawn(poll_fn(|_| Poll::Ready(side.running())), (), origin);
    let id = task.id();
    let Ran::Ended(ending, End::Finished) = run_once(&side) else { panic!("it has not ended") };
    assert_eq!(side.running(), None);
    assert!(ending.complete(task, &side).is_none());
    assert!(matches!(join.try_take(), Some(Ok(running)) if running == Some(id)));
}

/// The end of a task is on the hot path, and the map of carries is not.
#[test]
fn a_task_whose_polls_fit_into_its_cell_is_not_looked_up_when_it_ends() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = Origin { serial: 1, location: Location::caller() };
    let (task, _join) = side.spawn(async {}, (), origin);
    side.queues(|queues| queues.polls_overflow.insert(1, POLLS)); // which a look at its end would remove
    let Ran::Ended(ending, End::Finished) = run_once(&side) else { panic!("it has not ended") };
    assert!(ending.complete(task, &side).is_none());
    assert_eq!(side.queues(|queues| queues.polls_overflow.remove(&1)), Some(POLLS));
}

#[test]
fn what_waits_is_counted_in_both_queues() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = |serial| Origin { serial, location: Location::caller() };
    let tasks = [1, 2, 3].map(|serial| side.spawn(pending::<()>(), (), origin(serial)));
    assert_eq!((side.ready(), side.is_idle()), (3, false));
    assert!(matches!(run_once(&side), Ran::Pending));
    assert_eq!((side.ready(), side.is_idle()), (2, false));
    let _ = tasks[0].1.request(Request::Abort);
    assert_eq!((side.ready(), side.is_idle()), (3, false), "it waits to be ended");
    for (task, _join) in tasks {
        side.dispose(task);
    }
    for left in [2, 1, 0] {
        assert!(matches!(run_once(&side), Ran::Nothing));
        assert_eq!((side.ready(), side.is_idle()), (left, left == 0));
    }
}

/// T1: else destructors that cancel could keep a batch going for ever.
#[test]
fn urgent_tasks_count_against_the_batch() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = |serial| Origin { serial, location: Location::caller() };
    let tasks = [1, 2, 3, 4].map(|serial| side.spawn(pending::<()>(), (), origin(serial)));
    for _ in &tasks {
        assert!(matches!(run_once(&side), Ran::Pending));
    }
    let _ = tasks[0].1.request(Request::Abort);
    side.begin_batch(1);
    for (_, join) in &tasks[1..] {
        let _ = join.request(Request::Abort);
    }
    assert_eq!(core::iter::from_fn(|| side.pop()).count(), 1);
    let batch = |polls| {
        side.begin_batch(polls);
        core::iter::from_fn(|| side.pop()).count()
    };
    assert_eq!([batch(0), batch(2), batch(9)], [0, 2, 1], "after the first one");
    for (task, _join) in tasks {
        side.dispose(task);
    }
}

#[test]
fn what_is_spawned_during_a_batch_waits_for_the_next() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let mut tasks = vec![brief(&side, 1), brief(&side, 2)];
    for (polls, popped) in [(1, 1), (9, 2), (1, 1), (9, 1)] {
        side.resume();
        side.begin_batch(polls);
        tasks.push(brief(&side, 3));
        assert_eq!(core::iter::from_fn(|| side.pop()).count(), popped, "{polls} polls");
    }
    tasks.into_iter().for_each(|task| side.dispose(task));
    side.run_out();
}

#[test]
fn a_drawn_batch_is_of_the_oldest_tasks_and_the_rest_waits_in_order() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let mut tasks: Vec<OwnedTask> = (0..20).map(|serial| brief(&side, serial)).collect();
    let mut shuffle = Shuffle::new(7);
    let mut drawn = |polls| {
        side.resume();
        side.begin_batch(polls);
        side.draw_batch(&mut shuffle);
        core::iter::from_fn(|| side.pop()).map(|task| task.subject().id.as_u64()).collect()
    };
    let mut first: Vec<u64> = drawn(12);
    assert!(!first.is_sorted(), "{first:?}");
    first.sort_unstable();
    assert!(first.into_iter().eq(0..12));
    let mut second: Vec<u64> = drawn(99);
    second.sort_unstable();
    assert!(second.into_iter().eq(12..20));
    tasks.push(brief(&side, 20)); // behind whatever was drawn to be the last
    assert_eq!((drawn(1), drawn(1)), (vec![20], vec![]));
    tasks.into_iter().for_each(|task| side.dispose(task));
}

/// Where words have 32 bits that is after some minutes.
#[test]
fn the_counts_of_the_ready_queue_may_come_round() {
    for before in 0..9 {
        let side = LoopSide::new(Box::new(|| ()));
        let _entered = side.enter();
        let start = usize::MAX - before;
        side.queues(|queues| (queues.pushed, queues.popped, queues.until) = (start, start, start));
        let mut tasks: Vec<OwnedTask> = (0..5).map(|serial| brief(&side, serial)).collect();
        let mut batch = |polls, drawn: bool| {
            side.resume();
            side.begin_batch(polls);
            if drawn {
                side.draw_batch(&mut Shuffle::new(7));
            }
            tasks.push(brief(&side, 9)); // for the next batch
            core::iter::from_fn(|| side.pop()).count()
        };
        let polls = [batch(3, false), batch(9, false), batch(9, true), batch(0, true)];
        assert_eq!((polls, side.ready()), ([3, 3, 1, 0], 2), "{before} before the end");
        tasks.into_iter().for_each(|task| side.dispose(task));
        side.run_out();
    }
}

#[test]
fn local_wakes_are_counted_one_by_one() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let wakes = |wakes: u32| {
        let future = poll_fn(move |cx| {
            (0..wakes).for_each(|_| cx.waker().wake_by_ref());
            Poll::<()>::Pending
        });
        let origin = Origin { serial: 1, location: Location::caller() };
        let (task, _join) = side.spawn(future, (), origin);
        assert!(matches!(run_once(&side), Ran::Pending));
        side.dispose(task);
        side.count(1);
        (side.counters().polls.get(), side.counters().local_wakes.get())
    };
    assert_eq!((wakes(0), wakes(3)), ((1, 0), (2, 3)));
    assert!(matches!(run_once(&side), Ran::Nothing));
}

/// I3: else the queue would hold a cell that nothing keeps alive.
#[test]
fn a_task_that_ends_while_it_is_queued_keeps_the_loops_reference_until_it_is_popped() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let future = poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Ready(())
    });
    let (task, join) = side.spawn(future, (), Origin { serial: 1, location: Location::caller() });
    let pointer = task.0;
    // SAFETY: the join handle's reference keeps it alive.
    let references = || unsafe { pointer.as_ref() }.state.load().references();
    let Ran::Ended(ending, _) = run_once(&side) else { panic!("it has not ended") };
    assert!(ending.complete(task, &side).is_none());
    assert_eq!(references(), 2, "the queue's and the handle's");
    assert!(matches!(run_once(&side), Ran::Nothing));
    assert_eq!(references(), 1, "the handle's");
    drop(join);
}

/// Counting costs a read-modify-write per task.
#[cfg(not(any(shuttle, miri, fuzzing, sideloop_plain_memory)))] // where nothing is kept
#[test]
fn references_to_the_run_queues_are_reused_uncounted_and_given_up_with_the_loop() {
    use alloc::vec;
    use alloc::vec::Vec;

    use crate::sync::Arc;
    use crate::task::join::Join;

    let hook = Arc::new(());
    let held = Arc::clone(&hook);
    let side = LoopSide::new(Box::new(move || drop(Arc::clone(&held))));
    let entered = side.enter();
    let spawn = |serial| side.spawn(async {}, (), Origin { serial, location: Location::caller() });
    let run_all = |tasks: Vec<(OwnedTask, Join<()>)>| {
        for (task, join) in tasks {
            let Ran::Ended(ending, _) = run_once(&side) else { panic!("it has not ended") };
            assert!(ending.complete(task, &side).is_none());
            drop(join);
        }
    };
    let counted = || Arc::strong_count(side.run_queues());
    assert_eq!(counted(), 1, "the loop's own");
    for _ in 0..3 {
        let task = spawn(1);
        assert_eq!(counted(), 2, "the task's");
        run_all(vec![task]);
        assert_eq!(counted(), 2, "the one that is kept");
    }
    run_all((0..2_000).map(spawn).collect());
    assert_eq!(counted(), 1 + 2_000, "in their blocks");
    run_all((0..2_000).map(spawn).collect());
    assert_eq!(counted(), 1 + 2_000, "the same ones");
    drop(entered);
    drop(side);
    assert_eq!(Arc::strong_count(&hook), 1, "the run queues outlive their loop");
}
