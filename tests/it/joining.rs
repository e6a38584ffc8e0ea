//! Joining: what a handle gives, when, on which thread, and what becomes of it.

mod deadlock;
mod foreign;
mod outputs;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{
    CancelRequest, Executor, JoinError, JoinHandle, Shutdown, block_on, spawn_local, time,
    yield_now,
};

use crate::support::*;

/// J1: `join` gives the value of a task that has ended, and of one that ends later.
#[test]
fn join_gives_the_value() {
    limited(|| {
        let looped = loop_started();
        let ended = looped.handle().spawn(async { String::from("value") });
        join_ok(looped.handle().call(|| ()));
        assert_eq!(ended.join().expect("a value"), "value");
        let gate = Gate::new();
        let passed = gate.passed();
        let later = looped.handle().spawn(async move {
            passed.await;
            vec![1; 1000]
        });
        let joins = thread::spawn(move || later.join());
        join_ok(looped.handle().call(|| ()));
        gate.open();
        assert_eq!(joins.join().expect("joins").expect("a value"), [1; 1000]);
    });
}

/// J1: `.await` gives the same, in a task of the same loop, of another, and in a `block_on`.
#[test]
fn await_gives_the_value() {
    limited(|| {
        let (looped, other) = (loop_started(), loop_started());
        let task = |gate: &Gate| {
            let passed = gate.passed();
            looped.handle().spawn(async move {
                passed.await;
                42
            })
        };
        let gate = Gate::new();
        let (one, two, three, four) = (task(&gate), task(&gate), task(&gate), task(&gate));
        let here = looped.handle().spawn(one);
        let there = other.handle().spawn(two);
        let opener = gate.clone();
        let opens = thread::spawn(move || opener.open());
        assert_eq!(block_on(three).expect("a value"), 42);
        assert_eq!(Executor::new().block_on(four).expect("a value"), 42);
        assert_eq!(join_ok(here).expect("a value"), 42);
        assert_eq!(join_ok(there).expect("a value"), 42);
        opens.join().expect("opens");
    });
}

/// J1: a task that cannot give a value says why, to `join` and to `.await` alike.
#[test]
fn join_gives_the_reason() {
    limited(|| {
        let looped = loop_started();
        for awaits in [false, true] {
            let join = |task: JoinHandle<()>| match awaits {
                true => block_on(task).expect_err("no value"),
                false => join_err(task),
            };
            let cancelled = looped.handle().spawn(std::future::pending());
            cancelled.cancel();
            assert!(matches!(join(cancelled), JoinError::Cancelled));
            let panicked = join(looped.handle().spawn(async { panic!("on purpose") }));
            let JoinError::Panicked(payload) = panicked else { panic!("{panicked:?}") };
            assert_eq!(payload.message(), Some("on purpose"));
        }
        let handle = looped.handle().clone();
        looped.shutdown(Shutdown::now());
        assert!(matches!(block_on(handle.call(|| ())), Err(JoinError::Closed)));
    });
}

/// J1: the task's own `Err` is a value.
#[test]
fn the_tasks_own_error_is_a_value() {
    limited(|| {
        let looped = loop_started();
        let task = looped.handle().spawn(async { Err::<u8, _>("own") });
        assert_eq!(join_ok(task), Err("own"));
        let nested = looped.handle().call(|| Err::<u8, _>(JoinError::Cancelled));
        assert!(matches!(join_soon(nested), Ok(Err(JoinError::Cancelled))));
    });
}

/// J1: every error says something.
#[test]
fn every_join_error_says_something() {
    limited(|| {
        let looped = loop_started();
        let cancelled = looped.handle().spawn(std::future::pending::<()>());
        cancelled.abort();
        let panicked = looped.handle().call(|| panic!("the reason"));
        let errors = [join_err(cancelled), join_err::<()>(panicked), JoinError::Closed];
        let texts = errors.map(|error| error.to_string());
        assert!(texts.iter().all(|text| !text.is_empty() && !text.ends_with('.')), "{texts:?}");
        assert!(texts[1].contains("the reason"), "{texts:?}");
    });
}

/// J2: zero means "try": the handle comes back, again and again, and the task is not touched.
#[test]
fn join_timeout_of_zero_tries() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::ready_at(2, "done");
        let mut task = looped.handle().spawn(probe);
        log.wait_polls(1);
        let id = task.id();
        for _ in 0..1000 {
            task = task.join_timeout(Duration::ZERO).expect_err("still running");
            assert_eq!(task.id(), id);
        }
        assert_eq!((log.polls(), log.dropped()), (1, 0));
        log.wake();
        log.drops().wait(1);
        join_ok(looped.handle().call(|| ()));
        assert_eq!(task.join_timeout(Duration::ZERO).expect("ended").expect("a value"), "done");
    });
}

/// J2: a limit is kept, gives the handle back, and leaves it good for every kind of join.
#[test]
fn join_timeout_gives_the_handle_back_in_time() {
    limited(|| {
        let looped = loop_started();
        let gate = Gate::new();
        let tasks: Vec<_> = (0..3).map(|_| looped.handle().spawn(gate.passed())).collect();
        let limits =
            [Duration::from_nanos(1), Duration::from_micros(50), Duration::from_millis(20)];
        let tasks = tasks.into_iter().zip(limits).map(|(task, limit)| {
            let since = Instant::now();
            let task = task.join_timeout(limit).expect_err("still running");
            let took = since.elapsed();
            assert!(took >= limit, "{took:?} is less than {limit:?}");
            assert!(took < limit + WAIT, "{took:?} for {limit:?}");
            task
        });
        let [first, second, third] =
            <[JoinHandle<()>; 3]>::try_from(tasks.collect::<Vec<_>>()).expect("three");
        gate.open();
        first.join().expect("by join");
        second.join_timeout(WAIT).expect("in time").expect("by join_timeout");
        block_on(third).expect("by await");
    });
}

/// J2, M5: `Duration::MAX` means for ever.
#[test]
fn join_timeout_of_max_waits_for_ever() {
    limited(|| {
        let looped = loop_started();
        for limit in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::MAX / 2] {
            let gate = Gate::new();
            let task = looped.handle().spawn(gate.passed());
            let joins = thread::spawn(move || task.join_timeout(limit));
            join_ok(looped.handle().call(|| ()));
            gate.open();
            joins.join().expect("joins").expect("ended").expect("a value");
        }
    });
}

/// J2: a join that times out against a completion loses nothing: handle back, or value.
#[test]
fn a_time_out_that_races_with_completion_loses_nothing() {
    limited(|| {
        let looped = loop_started();
        for round in 0..2000_u64 {
            let mut task = looped.handle().spawn(async move {
                yield_now().await;
                round
            });
            let value = loop {
                match task.join_timeout(Duration::from_nanos(round % 50 * 500)) {
                    Ok(value) => break value.expect("a value"),
                    Err(handle) => task = handle,
                }
            };
            assert_eq!(value, round);
        }
    });
}

/// J3: when a join returns, the future is gone, however it ended and however it is joined.
#[test]
fn a_join_returns_after_the_drop() {
    limited(|| {
        let looped = loop_started();
        for round in 0..600 {
            let (probe, log) = Probe::scripted(move |_, _| match round % 3 {
                0 => std::task::Poll::Ready(()),
                1 => panic!("on purpose"),
                _ => std::task::Poll::Pending,
            });
            let task = looped.handle().spawn(probe);
            if round % 3 == 2 {
                log.wait_polls(round % 2);
                task.cancel();
            }
            let ended = match round % 4 {
                0 => task.join(),
                1 => block_on(task),
                2 => futures::executor::block_on(task),
                _ => join_soon(task),
            };
            assert_eq!(log.dropped(), 1, "round {round}: not dropped yet");
            assert_eq!(ended.is_ok(), round % 3 == 0);
        }
    });
}

/// J3: while the destructor runs, the task has not ended for anybody.
#[test]
fn a_task_has_not_ended_while_its_destructor_runs() {
    limited(|| {
        let looped = loop_started();
        for cancels in [false, true] {
            let (drops, go_on) = (Latch::new("the destructor runs"), Latch::new("it may end"));
            let (in_drop, may) = (drops.clone(), go_on.clone());
            let (probe, log) = Probe::ready_at(2, ());
            let task = looped.handle().spawn(probe.on_drop(move || {
                in_drop.set();
                may.wait();
            }));
            log.wait_polls(1);
            if cancels {
                assert_eq!(task.cancel(), CancelRequest::Requested);
            } else {
                log.wake();
            }
            drops.wait();
            assert!(!task.is_finished(), "cancels: {cancels}");
            let task = task.join_timeout(Duration::from_millis(5)).expect_err("still dropping");
            go_on.set();
            assert_eq!(join_soon(task).is_err(), cancels);
        }
    });
}

/// J3: `is_finished` and `join_timeout(0)` never disagree, seen from another thread.
#[test]
fn is_finished_promises_a_value_at_once() {
    limited(|| {
        let looped = loop_started();
        for round in 0..1000 {
            let drops = Drops::new();
            let token = drops.token();
            let task = looped.handle().spawn(async move {
                yield_now().await;
                drop(token);
                round
            });
            while !task.is_finished() {
                std::hint::spin_loop();
            }
            assert_eq!(drops.count(), 1);
            assert!(task.canceller().is_finished());
            assert_eq!(task.cancel(), CancelRequest::Finished);
            let ended = task.join_timeout(Duration::ZERO).expect("finished means joinable");
            assert_eq!(ended.expect("a value"), round);
        }
    });
}

/// J6: a finished task still gives its value after the loop's end, by every way to join.
#[test]
fn a_value_outlives_the_loop() {
    limited(|| {
        let looped = loop_started();
        let tasks: [JoinHandle<usize>; 4] =
            std::array::from_fn(|n| looped.handle().spawn(async move { n }));
        join_ok(looped.handle().call(|| ()));
        looped.shutdown(Shutdown::now());
        let [one, two, three, four] = tasks;
        assert_eq!(one.join().expect("a value"), 0);
        assert_eq!(two.join_timeout(Duration::ZERO).expect("ended").expect("a value"), 1);
        assert_eq!(block_on(three).expect("a value"), 2);
        assert!(four.is_finished());
        assert_eq!(four.cancel_on_drop().into_inner().join().expect("a value"), 3);
    });
}

/// J6: an unfinished one ends with the loop, for who joins before, meanwhile and after.
#[test]
fn an_unfinished_task_ends_with_the_loop() {
    limited(|| {
        let looped = loop_started();
        let (gate, canceller) = (Gate::new(), looped.handle().spawn(std::future::pending::<()>()));
        let waiting: Vec<_> = (0..4)
            .map(|n| {
                let task = looped.handle().spawn(gate.passed());
                thread::spawn(move || if n % 2 == 0 { task.join() } else { block_on(task) })
            })
            .collect();
        let after = looped.handle().spawn(gate.passed());
        join_ok(looped.handle().call(|| ()));
        looped.shutdown(Shutdown::now());
        for join in waiting {
            let ended = join.join().expect("joins");
            assert!(matches!(ended, Err(JoinError::Cancelled | JoinError::Closed)), "{ended:?}");
        }
        assert!(after.is_finished());
        assert_eq!(canceller.cancel(), CancelRequest::Finished);
        assert!(matches!(join_err(after), JoinError::Cancelled | JoinError::Closed));
    });
}

/// J1: ten thousand joiners of ten thousand tasks each get their own value.
#[test]
fn nobody_gets_the_value_of_another() {
    limited(|| {
        let looped = loop_started();
        let shared = Arc::new(());
        let tasks: Vec<_> = (0..10_000)
            .map(|n| {
                let shared = Arc::clone(&shared);
                looped.handle().spawn(async move {
                    if n % 7 == 0 {
                        time::sleep(Duration::from_micros(n % 300)).await;
                    }
                    (spawn_local(async move { n }).await.expect("runs"), shared)
                })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate().rev() {
            assert_eq!(join_ok(task).0, n as u64);
        }
        assert_eq!(Arc::strong_count(&shared), 1, "something is leaked");
    });
}

/// J1: a chain of a hundred thousand tasks, each awaiting the one before, ends without a deep stack.
#[test]
fn a_long_chain_of_joiners_ends() {
    limited_to(2 * BODY, || {
        for ends_well in [true, false] {
            let looped = loop_started();
            let gate = Gate::new();
            let passed = gate.passed();
            let mut last = looped.handle().spawn(async move {
                passed.await;
                0
            });
            for _ in 0..100_000 {
                let earlier = last;
                last = looped.handle().spawn(async move { earlier.await.map_or(-1, |n| n + 1) });
            }
            join_ok(looped.handle().call(|| ()));
            if ends_well {
                gate.open();
                assert_eq!(join_ok(last), 100_000);
            } else {
                looped.shutdown(Shutdown::now());
                assert!(last.is_finished());
            }
        }
    });
}
