//! What other threads do to a loop, done by the loop's own thread outside of its run, where it is one of
//! the others to all that tasks send: a wake, a request, a push. The same for a thread that drives it.

use std::future::{pending, poll_fn, ready};
use std::sync::mpsc::{Receiver, channel};
use std::task::{Poll, Waker};
use std::thread;

use sideloop::Executor;

use crate::BATCH;

/// Has another thread begin a batch, and runs it, again and again.
fn batches<T: Send>(
    executor: &mut Executor,
    times: usize,
    begin: impl Fn() -> T + Sync,
    end: impl Fn(T),
) {
    for _ in 0..times / BATCH {
        let begun: Vec<T> = thread::scope(|scope| {
            let begin = || (0..BATCH).map(|_| begin()).collect();
            scope.spawn(begin).join().expect("it begins")
        });
        executor.run_until_idle();
        begun.into_iter().for_each(&end);
    }
}

/// Spawns on another thread; the loop takes the tasks in, and runs them.
pub(crate) fn remote_spawn(executor: &mut Executor, times: usize) {
    let handle = executor.handle().clone();
    batches(executor, times, || handle.spawn(async {}).detach(), drop);
}

/// Calls on another thread, and joins what has ended.
pub(crate) fn remote_call(executor: &mut Executor, times: usize) {
    let handle = executor.handle().clone();
    batches(executor, times, || handle.call(|| 1), |call| _ = call.join().expect("it ran"));
}

/// Hands a waker of an idle task out, anew at each poll.
fn wakers(executor: &mut Executor) -> Receiver<Waker> {
    let (send, receive) = channel();
    let task = poll_fn(move |cx| {
        send.send(cx.waker().clone()).expect("it is awaited");
        Poll::<()>::Pending
    });
    executor.spawn_local(task).detach();
    executor.run_until_idle();
    receive
}

/// One wake for each poll.
pub(crate) fn remote_wake(executor: &mut Executor, times: usize) {
    let wakers = wakers(executor);
    for _ in 0..times {
        wakers.recv().expect("it was polled").wake();
        executor.run_until_idle();
    }
}

/// Wakes before the poll, all but the first.
pub(crate) fn remote_wake_again(executor: &mut Executor, times: usize) {
    let waker = wakers(executor).recv().expect("it was polled");
    (0..times).for_each(|_| waker.wake_by_ref());
}

/// Spawns a task that waits, cancels it, and joins it.
pub(crate) fn remote_cancel(executor: &mut Executor, times: usize) {
    for _ in 0..times {
        let task = executor.spawn_local(pending::<()>());
        executor.turn();
        let _ = task.cancel();
        executor.run_until_idle();
        assert!(task.join().is_err());
    }
}

/// A run for a future that is ready.
pub(crate) fn block_on(executor: &mut Executor, times: usize) {
    (0..times).for_each(|_| executor.block_on(ready(())));
}

/// A look at what there is, and back to sleep.
pub(crate) fn idle_turn(executor: &mut Executor, times: usize) {
    (0..times).for_each(|_| _ = executor.turn());
}

/// A list of a hundred tasks; per task.
pub(crate) fn snapshot(executor: &mut Executor, times: usize) {
    (0..BATCH).for_each(|_| executor.spawn_local(pending::<()>()).detach());
    executor.run_until_idle();
    for _ in 0..times / BATCH {
        let tasks = executor.handle().tasks();
        assert_eq!(tasks.join().expect("it ran").len(), BATCH);
    }
}
