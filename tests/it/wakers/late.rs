//! W4, W6: wakers that are late, or far away.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use sideloop::{Executor, Handle, LoopThread, Shutdown, block_on, spawn_local};

use crate::support::*;

/// A pending task that has been polled once, and its log.
fn pending(handle: &Handle) -> (sideloop::JoinHandle<()>, ProbeLog) {
    let (probe, log) = Probe::pending();
    let task = handle.spawn(probe);
    log.wait_polls(1);
    (task, log)
}

/// Does everything that can be done with a waker.
fn use_waker(waker: &Waker) {
    waker.wake_by_ref();
    let clone = waker.clone();
    assert!(clone.will_wake(waker));
    assert!(!format!("{clone:?}").is_empty());
    drop(clone.clone());
    clone.wake();
}

/// Runs the loop through what is queued.
fn flush(looped: &LoopThread) {
    (0..3).for_each(|_| join_ok(looped.handle().call(|| ())));
}

/// W4: a waker that outlives its task does nothing, whichever way the task ended.
#[test]
fn a_waker_may_outlive_its_task() {
    limited(|| {
        let looped = loop_started();
        let (ready, one) = Probe::ready_at(1, ());
        join_ok(looped.handle().spawn(ready));
        let (panics, two) = Probe::<()>::scripted(|_, _| panic!("on purpose"));
        join_err(looped.handle().spawn(panics));
        let (cancelled, three) = pending(looped.handle());
        cancelled.cancel();
        join_err(cancelled);
        for log in [one, two, three] {
            let waker = log.waker().expect("polled once");
            use_waker(&waker);
            let inside = waker.clone();
            join_ok(looped.handle().call(move || use_waker(&inside)));
            flush(&looped);
            assert_eq!((log.polls(), log.dropped()), (1, 1));
        }
    });
}

/// W4: it never wakes a later tenant of the slot.
#[test]
fn a_stale_waker_wakes_no_later_task() {
    limited(|| {
        let looped = loop_started();
        let stale: Vec<_> = (0..100)
            .map(|_| {
                let (probe, log) = Probe::ready_at(1, ());
                join_ok(looped.handle().spawn(probe));
                log.waker().expect("polled once")
            })
            .collect();
        let tenants: Vec<_> = (0..200).map(|_| pending(looped.handle())).collect();
        for waker in stale {
            use_waker(&waker);
            join_ok(looped.handle().call(move || use_waker(&waker)));
        }
        flush(&looped);
        assert!(tenants.iter().all(|(_, log)| log.polls() == 1), "a later tenant was woken");
    });
}

/// W4: a wake that is still queued when its task ends does not reach the next one.
#[test]
fn a_queued_wake_dies_with_its_task() {
    limited(|| {
        let looped = loop_started();
        let (old, log) = pending(looped.handle());
        let hold = hold(looped.handle());
        (0..10).for_each(|_| assert!(log.wake()));
        old.abort();
        let (probe, new) = Probe::pending();
        looped.handle().spawn(probe).detach();
        hold.release();
        join_err(old);
        new.wait_polls(1);
        flush(&looped);
        assert_eq!((log.polls(), log.dropped(), new.polls()), (1, 1, 1));
    });
}

/// W4: a waker may outlive the loop, the loop's thread and the `LoopThread`.
#[test]
fn a_waker_may_outlive_the_loop() {
    limited(|| {
        let looped = loop_started();
        let logs: Vec<_> = (0..10).map(|_| pending(looped.handle()).1).collect();
        logs[0].wake();
        looped.shutdown(Shutdown::now());
        for log in &logs {
            let waker = log.waker().expect("polled once");
            use_waker(&waker);
            thread::spawn(move || use_waker(&waker)).join().expect("wakes");
            assert_eq!(log.dropped(), 1);
        }
        let other = loop_started();
        let waker = logs[0].take_waker().expect("polled");
        join_ok(other.handle().call(move || use_waker(&waker)));
    });
}

/// W4: the same for executors: dropped, and dropped unrun, with the wakers of `block_on` too.
#[test]
fn a_waker_may_outlive_its_executor() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::pending();
        executor.spawn_local(probe).detach();
        executor.run_until_idle();
        let root = executor.block_on(std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        use_waker(&root);
        executor.run_until_idle();
        drop(executor);
        let free = block_on(std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        for waker in [log.waker().expect("polled"), root, free] {
            use_waker(&waker);
            thread::spawn(move || use_waker(&waker)).join().expect("wakes");
        }
    });
}

/// W4: a late waker of one `block_on` is not one of the next.
#[test]
fn a_waker_of_an_earlier_block_on_wakes_nothing_in_a_later_one() {
    limited(|| {
        let mut executor = Executor::new();
        let old = executor.block_on(std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        let gate = Gate::new();
        let (opens, passed) = (gate.clone(), gate.passed());
        let opener = thread::spawn(move || {
            (0..100).for_each(|_| old.wake_by_ref());
            opens.open();
        });
        executor.block_on(passed);
        opener.join().expect("opens");
    });
}

/// W1: clone and drop from many threads at once, while the task is polled and ends.
#[test]
fn wakers_are_cloned_and_dropped_on_other_threads() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        for _ in 0..50 {
            let (probe, log) = Probe::ready_at(500, ());
            let task = looped.handle().spawn(probe);
            log.wait_polls(1);
            let waker = log.waker().expect("polled");
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (waker, canceller) = (waker.clone(), task.canceller());
                    thread::spawn(move || {
                        while !canceller.is_finished() {
                            let clones = [waker.clone(), waker.clone()];
                            clones.into_iter().for_each(Waker::wake);
                        }
                        drop(waker);
                    })
                })
                .collect();
            drop((waker, log.take_waker()));
            join_ok(task);
            threads.into_iter().for_each(|thread| thread.join().expect("wakes"));
            assert_eq!((log.polls(), log.drops().threads()), (500, vec![id]));
        }
    });
}

/// W6: the last waker, dropped on another thread after handle and loop let go, frees memory only.
#[test]
fn the_last_waker_frees_memory_only() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (task, log) = pending(looped.handle());
        let waker = log.take_waker().expect("polled once");
        task.abort();
        drop(task);
        flush(&looped);
        log.drops().wait(1);
        thread::spawn(move || drop(waker)).join().expect("drops");
        assert_eq!(log.drops().threads(), [id]);
    });
}

/// W6: a task that nobody can wake any more is kept until the loop ends, then dropped there.
#[test]
fn a_task_nobody_can_wake_is_dropped_by_its_loop() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (task, log) = pending(looped.handle());
        task.detach();
        drop(log.take_waker());
        flush(&looped);
        assert_eq!(log.dropped(), 0, "a pending task is not garbage");
        looped.shutdown(Shutdown::now());
        assert_eq!(log.drops().threads(), [id]);
    });
}

/// W6: its waker is freed in the end: what a future shares with its wakers' holder is not leaked.
#[test]
fn a_joiners_waker_is_let_go_when_the_task_ends() {
    limited(|| {
        let looped = loop_started();
        let (counter, waker) = CountingWaker::new();
        let gate = Gate::new();
        let mut ended = looped.handle().spawn(gate.passed());
        let mut pending = looped.handle().spawn(std::future::pending::<()>());
        for task in [&mut ended, &mut pending] {
            let poll = Future::poll(std::pin::Pin::new(task), &mut Context::from_waker(&waker));
            assert!(poll.is_pending());
        }
        drop(waker);
        assert!(Arc::strong_count(&counter) > 1);
        gate.open();
        join_ok(ended);
        assert!(pending.abort() == sideloop::CancelRequest::Requested);
        drop(pending);
        looped.shutdown(Shutdown::now());
        assert_eq!(Arc::strong_count(&counter), 1, "a waker leaks");
        assert!(counter.count() <= 2, "woken {} times", counter.count());
    });
}

/// W4: a task woken from inside another loop, and from inside a `block_on`, runs on its own.
#[test]
fn a_wake_from_another_loop_reaches_the_right_one() {
    limited(|| {
        let (looped, other) = (loop_started(), loop_started());
        let id = thread_of(looped.handle());
        let (probe, log) = Probe::ready_at(4, ());
        let task = looped.handle().spawn(probe);
        log.wait_polls(1);
        let from = log.clone();
        join_ok(other.handle().call(move || from.wake()));
        log.wait_polls(2);
        let from = log.clone();
        block_on(async move { from.wake() });
        log.wait_polls(3);
        let from = log.clone();
        let nested = other.handle().spawn(async move {
            spawn_local(async move { from.wake() }).await.expect("wakes");
        });
        join_ok(nested);
        join_ok(task);
        assert_eq!(log.poll_threads(), [id; 4]);
    });
}
