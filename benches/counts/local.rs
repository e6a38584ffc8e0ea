//! What a task does on its loop's thread.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sideloop::{JoinHandle, TaskGroup, current, spawn_local, time, yield_now};

use crate::BATCH;

const LONG: Duration = Duration::from_secs(30);

/// Spawns, and joins while the tasks are still to run.
pub(crate) async fn spawn_join(times: usize) {
    let mut tasks = Vec::with_capacity(BATCH);
    for _ in 0..times / BATCH {
        tasks.extend((0..BATCH).map(|n| spawn_local(async move { n })));
        for task in tasks.drain(..) {
            task.await.expect("it ends");
        }
    }
}

/// Lets all run that is ready.
async fn let_run() {
    for _ in 0..3 {
        yield_now().await;
    }
}

/// Spawns, and lets go of the handle at once.
pub(crate) async fn spawn_detach(times: usize) {
    for _ in 0..times / BATCH {
        (0..BATCH).for_each(|n| spawn_local(async move { n }).detach());
        let_run().await;
    }
}

/// Spawns, and does with the handles what `end` does when the tasks have run.
async fn spawn_then(times: usize, end: impl AsyncFn(JoinHandle<usize>)) {
    let mut tasks = Vec::with_capacity(BATCH);
    for _ in 0..times / BATCH {
        tasks.extend((0..BATCH).map(|n| spawn_local(async move { n })));
        let_run().await;
        for task in tasks.drain(..) {
            end(task).await;
        }
    }
}

/// Spawns, and lets go of the handle after the end.
pub(crate) async fn spawn_drop(times: usize) {
    spawn_then(times, async |task| drop(task)).await;
}

/// Spawns, and joins what has ended.
pub(crate) async fn spawn_late_join(times: usize) {
    spawn_then(times, async |task| _ = task.await.expect("it ended")).await;
}

/// Wakes itself so many times.
struct Wakes(usize);

impl Future for Wakes {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(crate) async fn self_wake(times: usize) {
    Wakes(times).await;
}

/// Wakes another task, and yields, so that it is polled.
pub(crate) async fn wake_other(times: usize) {
    let place = Rc::new(Cell::new(None::<Waker>));
    let there = place.clone();
    let other = spawn_local(poll_fn(move |cx| {
        there.set(Some(cx.waker().clone()));
        Poll::<()>::Pending
    }));
    yield_now().await;
    for _ in 0..times {
        place.take().expect("it was polled").wake();
        yield_now().await;
    }
    other.abort();
}

pub(crate) async fn yield_once(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// Spawns tasks that wait, has `end` ask them to end, and joins them.
async fn end_join(times: usize, end: fn(&JoinHandle<()>)) {
    let mut tasks = Vec::with_capacity(BATCH);
    for _ in 0..times / BATCH {
        tasks.extend((0..BATCH).map(|_| spawn_local(pending::<()>())));
        let_run().await;
        tasks.iter().for_each(end);
        for task in tasks.drain(..) {
            assert!(task.await.is_err());
        }
    }
}

pub(crate) async fn abort_join(times: usize) {
    end_join(times, |task| _ = task.abort()).await;
}

pub(crate) async fn cancel_join(times: usize) {
    end_join(times, |task| _ = task.cancel()).await;
}

pub(crate) async fn abort_by_id(times: usize) {
    end_join(times, |task| drop(current().abort(task.id()))).await;
}

/// Spawns members of a group, and takes them as they end.
pub(crate) async fn group_next(times: usize) {
    let group = TaskGroup::new(&current());
    for _ in 0..times / BATCH {
        (0..BATCH).for_each(|n| _ = group.spawn_local(async move { n }));
        while group.next().await.is_some() {}
    }
}

/// Makes, polls and drops a sleep.
pub(crate) async fn sleep_cancel(times: usize) {
    for _ in 0..times {
        let mut sleep = pin!(time::sleep(LONG));
        poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
    }
}

/// Makes and polls a hundred sleeps, then drops them.
pub(crate) async fn sleep_batch(times: usize) {
    let mut sleeps: Vec<time::Sleep> = Vec::with_capacity(BATCH);
    for _ in 0..times / BATCH {
        for n in 0..BATCH as u32 {
            let mut sleep = time::sleep(LONG + n * Duration::from_secs(1));
            poll_fn(|cx| Poll::Ready(pin!(&mut sleep).poll(cx).is_pending())).await;
            sleeps.push(sleep);
        }
        sleeps.clear();
    }
}

/// Moves a sleep that is armed.
pub(crate) async fn sleep_reset(times: usize) {
    let mut sleep = pin!(time::sleep(LONG));
    poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
    let at = time::now() + LONG;
    for n in 0..times {
        sleep.as_mut().reset(at + Duration::from_nanos(n as u64));
    }
}

/// Lets a timer fire.
pub(crate) async fn sleep_fire(times: usize) {
    for _ in 0..times {
        time::sleep(Duration::from_micros(10)).await;
    }
}

/// A time limit around something that is ready after one yield.
pub(crate) async fn timeout_yield(times: usize) {
    for _ in 0..times {
        time::timeout(LONG, yield_now()).await.expect("in time");
    }
}

pub(crate) async fn interval_tick(times: usize) {
    let mut interval = time::interval(Duration::from_micros(10)).expect("a period");
    for _ in 0..times {
        interval.tick().await;
    }
}
