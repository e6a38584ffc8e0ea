//! What the hot paths cost in read-modify-writes, each counted on its thread when the loop is warm.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::builder::Builder;
use crate::executor::Executor;
use crate::sync::counted::exchanges;
use crate::{JoinHandle, TaskGroup, current, spawn_local, time, yield_now};

/// A task's reference to the run queues, made and given back, where no block is kept with one.
const OWNER: usize = if cfg!(any(fuzzing, miri, sideloop_plain_memory)) { 2 } else { 0 };
const SHORT: Duration = Duration::from_micros(10);
const LONG: Duration = Duration::from_secs(99);

/// How many read-modify-writes one more repetition of `f` makes, in a task of a warm loop.
fn each<F: Future>(f: impl Fn() -> F + 'static) -> usize {
    let f = Rc::new(f);
    let mut executor = Builder::new().virtual_time(0).build();
    let mut repeat = move |times: usize| {
        let f = f.clone();
        let task = async move {
            for _ in 0..times {
                f().await;
            }
        };
        let task = executor.spawn_local(task);
        exchanges(|| executor.block_on(task).expect("nothing panics"))
    };
    repeat(20);
    let [few, many] = [10, 30].map(repeat);
    assert_eq!((many - few) % 20, 0, "each costs the same: {few} for 10, {many} for 30");
    (many - few) / 20
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn tasks_cost_so_many_read_modify_writes_on_the_loop() {
    assert_eq!(each(yield_now), 0, "a wake of itself, and a poll");
    let detached = || async {
        spawn_local(async {}).detach();
        turns(2).await;
    };
    assert_eq!(each(detached), OWNER + 2, "spawn, poll and complete; the handle's end");
    let late = || async {
        let task = spawn_local(async {});
        turns(2).await;
        task.await.expect("it ends");
    };
    assert_eq!(each(late), OWNER + 1, "spawn, poll, complete, and a join after the end");
    let awaited = || async { spawn_local(async {}).await.expect("it ends") };
    assert_eq!(
        each(awaited),
        OWNER + 5,
        "the same, and a join that waits: a waker that is kept and lent"
    );
    let aborted = || async {
        let task = spawn_local(pending::<()>());
        turns(2).await;
        task.abort();
        turns(2).await;
        assert!(task.await.is_err());
    };
    assert_eq!(each(aborted), OWNER + 2, "spawn, abort, and a join after the end");
}

/// Another task, which has been polled, and a waker of it.
async fn another() -> (JoinHandle<()>, Waker) {
    let place = Rc::new(Cell::new(None));
    let mut there = Some(place.clone());
    let other = spawn_local(poll_fn(move |cx| {
        if let Some(there) = there.take() {
            there.set(Some(cx.waker().clone()));
        }
        Poll::<()>::Pending
    }));
    yield_now().await;
    (other, place.take().expect("it was polled"))
}

/// A sleep that is polled so many times for another task.
async fn sleep_for_another(polls: usize) {
    let (other, waker) = another().await;
    let (mut sleep, mut cx) = (pin!(time::sleep(LONG)), Context::from_waker(&waker));
    (0..polls).for_each(|_| assert!(sleep.as_mut().poll(&mut cx).is_pending()));
    other.abort();
    turns(2).await;
}

/// So many wakes of another task, each with its poll, by a waker that is kept.
async fn wake_other(wakes: usize) {
    let (other, waker) = another().await;
    for _ in 0..wakes {
        waker.wake_by_ref();
        yield_now().await;
    }
    other.abort();
    turns(2).await;
}

#[test]
fn rarer_paths_cost_so_many_read_modify_writes_on_the_loop() {
    assert_eq!(each(|| wake_other(9)), each(|| wake_other(1)), "a wake of another, and a poll");
    let cancelled = || async {
        let task = spawn_local(pending::<()>());
        turns(2).await;
        task.cancel();
        turns(2).await;
        assert!(task.await.is_err());
    };
    assert_eq!(each(cancelled), OWNER + 2, "spawn, cancel, and a join after the end");
    let mut executor = Builder::new().virtual_time(0).build();
    let mut group = |members: usize| {
        let task = executor.spawn_local(async move {
            let group = TaskGroup::new(&current());
            (0..members).for_each(|n| _ = group.spawn_local(async move { n }));
            while group.next().await.is_some() {}
        });
        exchanges(|| executor.block_on(task).expect("nothing panics"))
    };
    let [_, few, many] = [500, 100, 500].map(&mut group);
    let member = (many - few) / 400;
    executor.block_on(ready(()));
    let run = exchanges(|| executor.block_on(ready(())));
    let turn = exchanges(|| _ = executor.turn());
    let each =
        "a member of a group, beside the group's own; a run that is over at once; an idle turn";
    assert_eq!([member, run, turn], [OWNER + 3, 2, 2], "{each}");
}

#[test]
fn what_is_asked_of_the_loop_costs_so_many_read_modify_writes() {
    let dropped = || async {
        let task = spawn_local(async {});
        turns(2).await;
        drop(task);
    };
    assert_eq!(each(dropped), OWNER + 1, "spawn, poll, complete, and the handle's end");
    let by_id = || async {
        let task = spawn_local(pending::<()>());
        turns(2).await;
        drop(current().abort(task.id()));
        turns(2).await;
        assert!(task.await.is_err());
    };
    let listed = || async { assert_eq!(current().tasks().await.expect("it runs").len(), 1) };
    let ticks = |count: usize| {
        each(move || async move {
            let mut interval = time::interval(SHORT).expect("a period");
            for _ in 0..count {
                interval.tick().await;
            }
        })
    };
    let counts = [each(by_id), each(listed), ticks(1), ticks(9)];
    let of = "spawn, abort by id, and a join after the end; a list of the only task; ticks";
    // What is asked is sent as from another thread, as a task.
    let request = OWNER / 2;
    assert_eq!(counts, [OWNER + request + 7, request + 5, 0, 0], "{of}");
}

#[test]
fn timers_cost_no_read_modify_write() {
    let cancelled = || async {
        let mut sleep = pin!(time::sleep(LONG));
        let armed = poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending()));
        assert!(armed.await);
    };
    assert_eq!(each(cancelled), 0, "armed and cancelled");
    let moved = || async {
        let mut sleep = pin!(time::sleep(LONG));
        poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await;
        sleep.as_mut().reset(time::now() + LONG);
    };
    assert_eq!(each(moved), 0, "armed, moved and cancelled");
    let limited = || async { time::timeout(LONG, yield_now()).await.expect("in time") };
    assert_eq!(each(limited), 0, "a limit that is not reached");
    assert_eq!(each(|| time::sleep(Duration::ZERO)), 0, "armed and fired");
    // One by one, of a list that was put in order.
    let later = || async {
        let mut sleeps: Vec<_> =
            (1..100_u64).map(|n| time::sleep(SHORT * (n * n % 31) as u32)).collect();
        poll_fn(|cx| Poll::Ready(sleeps.iter_mut().for_each(|s| _ = pin!(s).poll(cx)))).await;
        time::sleep(31 * SHORT).await;
        assert!(sleeps.iter().all(time::Sleep::is_elapsed));
    };
    assert_eq!(each(later), 0, "a hundred armed and fired");
    let [once, often] = [1, 9].map(|polls| each(move || sleep_for_another(polls)));
    assert_eq!(once, often, "a waker that the timer has is not cloned anew");
}

/// How many read-modify-writes `f` makes on a thread of its own.
fn elsewhere(f: impl FnOnce() + Send) -> usize {
    thread::scope(|scope| scope.spawn(|| exchanges(f)).join().expect("nothing panics"))
}

#[test]
fn messages_cost_so_many_read_modify_writes() {
    let mut executor = Executor::new();
    let handle = executor.handle().clone();
    executor.run_until_idle();
    let mut first = None;
    let asleep = elsewhere(|| first = Some(handle.call(|| ())));
    assert_eq!(asleep, 4, "a call to a loop that sleeps: reference, serial, push, bell");
    assert_eq!(elsewhere(|| handle.call(|| ()).detach()), 4, "one behind it, and its handle's end");
    executor.run_until_idle();
    let join = || assert!(first.take().expect("it was called").join().is_ok());
    assert_eq!(elsewhere(join), 1, "a join after the end, and the task's: the reference");
    let (send, receive) = mpsc::channel::<Waker>();
    let woken = poll_fn(move |cx| {
        let _ = send.send(cx.waker().clone());
        Poll::<()>::Pending
    });
    executor.spawn_local(woken).detach();
    executor.run_until_idle();
    let waker = receive.recv().expect("it was polled");
    assert_eq!(elsewhere(|| waker.wake_by_ref()), 3, "a wake: word, push, bell");
    assert_eq!(elsewhere(|| waker.wake_by_ref()), 1, "and another, before the poll: the word");
    let turn = exchanges(|| assert!(executor.turn().polls == 1));
    assert_eq!(turn, 5, "a turn: wakes up, takes all, takes one in, its poll clones, sleeps");
    let idle = executor.spawn_local(pending::<()>());
    executor.run_until_idle();
    assert_eq!(elsewhere(|| _ = idle.cancel()), 3, "a cancel: word, push, bell");
}
