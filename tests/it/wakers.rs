//! Wakers: what a wake does, what it never does, and where things are dropped.

mod late;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Poll, Waker};
use std::thread;

use sideloop::{Builder, CancelRequest, Executor, spawn_local, time, yield_now};

use crate::support::*;

/// W1: a wake returns while the loop thread is stuck, and runs nothing.
#[test]
fn a_wake_does_not_wait_for_the_loop() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        looped.handle().spawn(probe).detach();
        log.wait_polls(1);
        let hold = hold(looped.handle());
        for _ in 0..1000 {
            assert!(log.wake());
        }
        assert_eq!(log.polls(), 1, "the waker ran the future");
        hold.release();
        log.wait_polls(2);
    });
}

/// W1: a wake on the loop thread, inside another task's poll, runs nothing either.
#[test]
fn a_local_wake_never_runs_a_future() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        looped.handle().spawn(probe).detach();
        log.wait_polls(1);
        let wakes = log.clone();
        let polls = join_ok(looped.handle().call(move || {
            wakes.wake();
            wakes.waker().expect("polled once").wake();
            wakes.polls()
        }));
        assert_eq!(polls, 1);
        log.wait_polls(2);
    });
}

/// W2: a task woken a thousand times between two polls is polled once.
#[test]
fn wakes_between_two_polls_are_one() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        looped.handle().spawn(probe).detach();
        log.wait_polls(1);
        let hold = hold(looped.handle());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let log = log.clone();
                thread::spawn(move || (0..250).for_each(|_| assert!(log.wake())))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("wakes"));
        hold.release();
        (0..3).for_each(|_| join_ok(looped.handle().call(|| ())));
        assert_eq!((log.wakes(), log.polls()), (1000, 2));
    });
}

/// W2: local and remote wakes between two polls are one each, in any mixture: the two ways in have
/// a flag each, so that a poll touches no atomic, and a task may be in both.
#[test]
fn local_and_remote_wakes_are_one_each() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        looped.handle().spawn(probe).detach();
        log.wait_polls(1);
        let inside = log.clone();
        let wakes = looped.handle().call(move || {
            for _ in 0..100 {
                inside.wake();
                let remote = inside.clone();
                thread::spawn(move || remote.wake()).join().expect("wakes");
                inside.wake();
            }
        });
        join_ok(wakes);
        (0..3).for_each(|_| join_ok(looped.handle().call(|| ())));
        let polls = log.polls();
        assert!((2..=3).contains(&polls), "{polls} polls");
    });
}

/// W2: a task that wakes itself many times in its poll is polled once more, not many times.
#[test]
fn self_wakes_in_one_poll_are_one() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::<()>::scripted(|poll, cx| {
            if poll == 1 {
                (0..10).for_each(|_| cx.waker().wake_by_ref());
                let clone = cx.waker().clone();
                clone.wake();
            }
            Poll::Pending
        });
        executor.spawn_local(probe).detach();
        assert_eq!(executor.run_until_idle(), 2);
        assert_eq!(log.polls(), 2);
    });
}

/// W2: a wake that arrives during the poll is not lost, from whichever thread.
#[test]
fn a_wake_during_the_poll_is_not_lost() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::scripted(|poll, cx| {
            if poll <= 1000 {
                let waker = cx.waker().clone();
                thread::spawn(move || waker.wake()).join().expect("wakes");
                return Poll::Pending;
            }
            Poll::Ready(poll)
        });
        assert_eq!(join_ok(looped.handle().spawn(probe)), 1001);
        assert_eq!(log.polls(), 1001);
    });
}

/// W2: what was written before a wake is visible to the poll that follows, coalesced or not.
#[test]
fn what_was_written_before_a_wake_is_seen() {
    const THREADS: usize = 3;
    const ROUNDS: usize = 3000;
    limited_to(4 * BODY, || {
        let looped = loop_started();
        for _ in 0..ROUNDS / 100 {
            let written: Arc<[AtomicUsize; THREADS]> = Arc::default();
            let seen = Arc::clone(&written);
            let (probe, log) = Probe::scripted(move |_, _| {
                let sum: usize = seen.iter().map(|one| one.load(Ordering::Relaxed)).sum();
                if sum == THREADS * 100 { Poll::Ready(()) } else { Poll::Pending }
            });
            let task = looped.handle().spawn(probe);
            log.wait_polls(1);
            let together = Arc::new(Barrier::new(THREADS));
            let threads: Vec<_> = (0..THREADS)
                .map(|n| {
                    let (written, together) = (Arc::clone(&written), Arc::clone(&together));
                    let waker = log.waker().expect("polled");
                    thread::spawn(move || {
                        together.wait();
                        for value in 1..=100 {
                            written[n].store(value, Ordering::Relaxed);
                            waker.wake_by_ref();
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("wakes"));
            join_ok(task);
        }
    });
}

/// W3: wakes and spawns from other threads wake a sleeping executor once, however many they are,
/// and one that is awake not at all.
#[test]
fn one_sleep_is_ended_once() {
    limited(|| {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&wakes);
        let on_wake = move || {
            counts.fetch_add(1, Ordering::SeqCst);
        };
        let mut executor = Builder::new().on_wake(on_wake).build();
        let handle = executor.handle().clone();
        let (probe, log) = Probe::pending();
        executor.spawn_local(probe).detach();
        executor.run_until_idle();
        let before = wakes.load(Ordering::SeqCst);
        let (from, remote) = (log.clone(), handle.clone());
        let other = thread::spawn(move || {
            (0..100).for_each(|_| assert!(from.wake()));
            (0..100).for_each(|_| remote.call(|| ()).detach());
        });
        other.join().expect("wakes");
        assert_eq!(wakes.load(Ordering::SeqCst), before + 1, "for 200 reasons to wake");
        let from = log.clone();
        executor.block_on(async move {
            let other = thread::spawn(move || (0..100).for_each(|_| assert!(from.wake())));
            other.join().expect("wakes");
        });
        assert_eq!(wakes.load(Ordering::SeqCst), before + 1, "woken while awake");
    });
}

/// W5: two wakers of one task say so: from one poll, from two, cloned, on another thread.
#[test]
fn wakers_of_one_task_will_wake_each_other() {
    limited(|| {
        let looped = loop_started();
        let wakers = Events::<Waker>::new();
        let taken = wakers.clone();
        let (probe, log) = Probe::<()>::scripted(move |_, cx| {
            assert!(cx.waker().will_wake(cx.waker()));
            taken.push(cx.waker().clone());
            taken.push(cx.waker().clone().clone());
            Poll::Pending
        });
        looped.handle().spawn(probe).detach();
        log.wait_polls(1);
        log.wake();
        log.wait_polls(2);
        let wakers = wakers.all();
        assert_eq!(wakers.len(), 4);
        for (one, two) in wakers.iter().zip(wakers.iter().rev()) {
            assert!(one.will_wake(two) && two.will_wake(one));
        }
    });
}

/// W5: wakers of different tasks do not, even of one type, one loop, and one slot after another.
#[test]
fn wakers_of_different_tasks_will_not_wake_each_other() {
    limited(|| {
        let (looped, other) = (loop_started(), loop_started());
        let waker = |handle: &sideloop::Handle, polls| {
            let (probe, log) = Probe::ready_at(polls, ());
            let task = handle.spawn(probe);
            log.wait_polls(1);
            (log.waker().expect("polled"), (polls == 1).then(|| join_ok(task)))
        };
        let mut wakers: Vec<_> = (0..5).map(|_| waker(looped.handle(), 1).0).collect();
        wakers.extend((0..5).map(|_| waker(looped.handle(), 2).0));
        wakers.push(waker(other.handle(), 2).0);
        for (n, one) in wakers.iter().enumerate() {
            for (m, two) in wakers.iter().enumerate() {
                assert_eq!(one.will_wake(two), n == m, "wakers {n} and {m}");
            }
        }
    });
}

/// W5: inside one poll of a task, what it is composed of sees one waker.
#[test]
fn the_future_of_block_on_has_one_waker_too() {
    limited(|| {
        let mut first: Option<Waker> = None;
        let mut polls = 0;
        let check = std::future::poll_fn(|cx| {
            polls += 1;
            if let Some(first) = &first {
                assert!(first.will_wake(cx.waker()), "another waker at poll {polls}");
            }
            first = Some(cx.waker().clone());
            cx.waker().wake_by_ref();
            if polls < 5 { Poll::Pending } else { Poll::Ready(()) }
        });
        Executor::new().block_on(check);
        assert_eq!(polls, 5);
    });
}

/// W6: however a task ends and whoever holds its handle and wakers, its future and its locals are
/// dropped on the loop thread.
#[test]
fn a_future_is_dropped_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        let (gate, drops) = (Gate::new(), Drops::new());
        let (captured, local, passed) = (drops.token(), drops.token(), gate.passed());
        let task = looped.handle().spawn(async move {
            let _captured = captured;
            let _local = (local, passed.await);
            yield_now().await;
        });
        gate.open();
        join_ok(task);
        assert_eq!(drops.threads(), [id; 2]);
        let (probe, log) = Probe::pending();
        let task = looped.handle().spawn(probe);
        log.wait_polls(1);
        let waker = log.waker();
        task.cancel();
        drop(task);
        log.drops().wait(1);
        drop(waker);
        assert_eq!(log.drops().threads(), [id]);
    });
}

/// W6: a waker kept in a task's own future is no reason to live for ever.
#[test]
fn a_waker_kept_in_its_own_task_leaks_nothing() {
    limited(|| {
        let looped = loop_started();
        let id = thread_of(looped.handle());
        for cancelled in [false, true] {
            let mut own: Vec<Waker> = Vec::new();
            let (probe, log) = Probe::scripted(move |poll, cx| {
                own.push(cx.waker().clone());
                if poll < 3 { Poll::Pending } else { Poll::Ready(()) }
            });
            let task = looped.handle().spawn(probe);
            log.wait_polls(1);
            log.wake();
            log.wait_polls(2);
            match cancelled {
                true => assert_eq!(task.cancel(), CancelRequest::Requested),
                false => assert!(log.wake()),
            }
            assert_eq!(join_soon(task).is_err(), cancelled);
            assert_eq!(log.drops().threads(), [id]);
            log.take_waker().expect("the last one").wake();
        }
    });
}

/// W1, P1: a wake from a destructor, of the very task that is dropped and of another.
#[test]
fn a_wake_from_a_destructor_is_harmless() {
    limited(|| {
        let looped = loop_started();
        let (other, others) = Probe::pending();
        looped.handle().spawn(other).detach();
        others.wait_polls(1);
        let (probe, log) = Probe::pending();
        let (own, another) = (log.clone(), others.clone());
        let task = looped.handle().spawn(probe.on_drop(move || {
            own.wake();
            own.take_waker().expect("the last one").wake();
            another.wake();
        }));
        log.wait_polls(1);
        task.abort();
        join_err(task);
        others.wait_polls(2);
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

/// W2: two tasks that wake each other through the loop's own gates take turns for long.
#[test]
fn two_tasks_can_wake_each_other_for_long() {
    limited(|| {
        let (mut here, mut there) = futures::channel::mpsc::channel::<u32>(0);
        let (mut back, mut home) = futures::channel::mpsc::channel::<u32>(0);
        let mut executor = Executor::new();
        let total = executor.block_on(async {
            use futures::{SinkExt, StreamExt};
            spawn_local(async move {
                while let Some(n) = there.next().await {
                    back.send(n + 1).await.expect("home");
                }
            })
            .detach();
            let mut n = 0;
            while n < 10_000 {
                here.send(n).await.expect("there");
                n = home.next().await.expect("back");
            }
            n
        });
        assert_eq!(total, 10_000);
    });
}

/// W1: a timer's waker that is replaced before it fires wakes the one who polled last.
#[test]
fn the_last_waker_of_a_sleep_is_woken() {
    limited(|| {
        let looped = loop_started();
        let mut sleep = Box::pin(time::sleep(std::time::Duration::from_millis(20)));
        let (moved, mut receives) = futures::channel::oneshot::channel();
        let first = looped.handle().spawn(async move {
            assert!(futures::poll!(sleep.as_mut()).is_pending());
            assert!(moved.send(sleep).is_ok());
        });
        join_ok(first);
        let second = looped.handle().spawn(async move {
            receives.try_recv().expect("sent").expect("there").await;
        });
        join_ok(second);
    });
}
