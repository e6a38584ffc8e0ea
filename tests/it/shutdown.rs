//! Asking for the end: from anywhere, any number of times; what is refused from then on.

use std::future::pending;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use sideloop::{
    Builder, CancelRequest, Executor, JoinError, LoopThread, Shutdown, SpawnError, yield_now,
};

use crate::support::{
    Drops, Gate, Latch, Probe, WAIT, hold, join_err, join_ok, join_soon, limited, loop_started,
};

/// Drains without a limit, then aborts.
pub(crate) fn drain() -> Shutdown {
    Shutdown::now().drain(Duration::MAX)
}

/// A loop and an event that happens when its thread is about to end.
fn with_end() -> (LoopThread, Latch) {
    let ended = Latch::new("the loop ends");
    let there = ended.clone();
    let side = Builder::new().on_stop(move || there.set()).start();
    (side.expect("a loop thread starts"), ended)
}

// ───────────── is_closed and what is refused ─────────────

/// H1: `is_closed` is true from the first request on, long before the loop looks at it.
#[test]
fn is_closed_is_true_from_the_first_request_on() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let other = side.handle().clone();
        assert!(!other.is_closed());
        side.handle().shutdown(drain());
        assert!(side.handle().is_closed() && other.is_closed());
        held.release();
        side.join();
        assert!(other.is_closed());
    });
}

/// P7: a spawn from outside after the request is `Closed`, its future dropped on the caller's thread.
#[test]
fn a_spawn_after_the_request_is_closed() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        side.handle().shutdown(drain());
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        assert_eq!(log.drops().threads(), [thread::current().id()]);
        assert!(task.is_finished());
        assert_eq!(task.cancel(), CancelRequest::Finished);
        assert!(matches!(join_err(task), JoinError::Closed));
        held.release();
        side.join();
        assert_eq!(log.polls(), 0);
    });
}

/// P7: so is a call, and the closure of `spawn_with`, which is dropped unrun.
#[test]
fn a_call_after_the_request_is_closed() {
    limited(|| {
        let side = loop_started();
        side.handle().shutdown(drain());
        let drops = Drops::new();
        let (one, two) = (drops.token(), drops.token());
        let call = side.handle().call(move || drop(one));
        let made = side.handle().spawn_with(move || async move { drop(two) });
        assert_eq!(drops.threads(), [thread::current().id(); 2]);
        assert_ne!(call.id(), made.id());
        assert!(matches!(join_err(call), JoinError::Closed));
        assert!(matches!(futures::executor::block_on(made), Err(JoinError::Closed)));
    });
}

/// P7: `try_spawn` gives the future back, whole.
#[test]
fn try_spawn_after_the_request_gives_the_future_back() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        for ended in [false, true] {
            if ended {
                side.handle().shutdown(Shutdown::now());
            } else {
                side.handle().shutdown(drain());
            }
            let (probe, log) = Probe::ready_at(1, 9);
            let Err(SpawnError::Closed(back)) = handle.try_spawn(probe) else {
                panic!("not Closed")
            };
            assert_eq!(log.dropped(), 0);
            assert_eq!(futures::executor::block_on(back), 9);
        }
    });
}

/// P7, H4: the destructor of a refused future may use the loop's handle.
#[test]
fn a_refused_future_may_use_the_handle_in_its_destructor() {
    limited(|| {
        let side = loop_started();
        side.handle().shutdown(drain());
        let handle = side.handle().clone();
        let (give, take) = mpsc::channel();
        let (probe, _) = Probe::pending();
        drop(side.handle().spawn(probe.on_drop(move || {
            give.send(handle.call(|| ())).expect("somebody waits");
        })));
        let inner = take.recv_timeout(WAIT).expect("the destructor ran");
        assert!(matches!(join_err(inner), JoinError::Closed));
    });
}

/// P7: work spawned by running tasks and callbacks during a drain is accepted and run.
#[test]
fn work_spawned_by_running_tasks_during_a_drain_is_accepted() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let (passed, handle) = (gate.passed(), side.handle().clone());
        let task = side.handle().spawn(async move {
            passed.await;
            assert!(handle.is_closed());
            let one = handle.spawn(async { yield_now().await });
            let two = sideloop::spawn_local(yield_now());
            let three = handle.call(|| sideloop::current().call(|| 3));
            let four = handle.spawn_with(|| async { 4 });
            let five = handle.try_spawn(async { 5 }).expect("accepted");
            one.await.expect("run");
            two.await.expect("run");
            let three = three.await.expect("run").await.expect("run");
            three + four.await.expect("run") + five.await.expect("run")
        });
        join_ok(side.handle().call(|| ()));
        side.handle().shutdown(drain());
        gate.open();
        assert_eq!(join_ok(task), 12);
        let report = side.join();
        assert_eq!((report.finished, report.aborted.len()), (7, 0), "{report:?}");
    });
}

// ───────────── from everywhere ─────────────

/// H3: requested by a task, a callback or a destructor, the loop ends.
#[test]
fn a_shutdown_from_inside_ends_the_loop() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async { sideloop::current().shutdown(Shutdown::now()) }));
        side.join();

        let side = loop_started();
        join_ok(side.handle().call(|| sideloop::current().shutdown(Shutdown::now())));
        side.join();

        let side = loop_started();
        let (handle, (probe, log)) = (side.handle().clone(), Probe::pending());
        let task = side.handle().spawn(probe.on_drop(move || handle.shutdown(Shutdown::now())));
        log.wait_polls(1);
        task.cancel();
        side.join();
        assert!(matches!(join_err(task), JoinError::Cancelled));
    });
}

/// H3, C4: the callback that asks for the shutdown runs to its end and is counted as finished.
#[test]
fn the_callback_that_asks_for_the_shutdown_finishes() {
    limited(|| {
        let side = loop_started();
        let call = side.handle().call(|| {
            sideloop::current().shutdown(Shutdown::now());
            "done"
        });
        let report = side.join();
        assert_eq!(join_ok(call), "done");
        assert_eq!((report.finished, report.aborted.len()), (1, 0), "{report:?}");
    });
}

/// H3: a second request, of the same or another kind, changes nothing for the worse.
#[test]
fn a_second_request_does_no_harm() {
    limited(|| {
        let side = loop_started();
        let stuck = side.handle().spawn(pending::<()>());
        side.handle().shutdown(Shutdown::now());
        side.handle().shutdown(Shutdown::graceful(Duration::MAX));
        let handle = side.handle().clone();
        side.shutdown(drain());
        handle.shutdown(Shutdown::now());
        assert!(matches!(join_err(stuck), JoinError::Cancelled | JoinError::Closed));
    });
}

/// H3: eight threads may ask at once, in eight ways.
#[test]
fn a_shutdown_may_be_asked_for_concurrently() {
    limited(|| {
        for round in 0..100 {
            let side = loop_started();
            let stuck = side.handle().spawn(pending::<()>());
            let start = Arc::new(Barrier::new(9));
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let (handle, start) = (side.handle().clone(), Arc::clone(&start));
                    thread::spawn(move || {
                        start.wait();
                        match number % 4 {
                            0 => handle.shutdown(Shutdown::now()),
                            1 => handle.shutdown(drain()),
                            2 => handle.shutdown(Shutdown::graceful(Duration::MAX)),
                            _ => drop(handle.call(move || sideloop::current().shutdown(drain()))),
                        }
                    })
                })
                .collect();
            start.wait();
            let report = side.shutdown(Shutdown::graceful(Duration::ZERO));
            for thread in threads {
                thread.join().expect("a request does not panic");
            }
            let left = report.cancelled.len() + report.aborted.len();
            assert!(left >= 1, "round {round}: {report:?}");
            let error = join_err(stuck);
            assert!(matches!(error, JoinError::Cancelled | JoinError::Closed), "{error:?}");
        }
    });
}

/// H3: a waker may ask for the shutdown.
#[test]
fn a_shutdown_from_a_waker_ends_the_loop() {
    struct Ask(sideloop::Handle);
    impl std::task::Wake for Ask {
        fn wake(self: Arc<Self>) {
            self.0.shutdown(Shutdown::now());
        }
    }
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let mut task = side.handle().spawn(gate.passed());
        let waker = std::task::Waker::from(Arc::new(Ask(side.handle().clone())));
        let mut context = std::task::Context::from_waker(&waker);
        let poll = std::future::Future::poll(std::pin::Pin::new(&mut task), &mut context);
        assert!(poll.is_pending());
        gate.open();
        side.join();
        join_ok(task);
    });
}

// ───────────── LoopThread on its own thread ─────────────

/// H3: `LoopThread::shutdown` on the loop's own thread returns at once; the loop then ends.
#[test]
fn a_loop_shut_down_on_its_own_thread_does_not_wait_for_itself() {
    limited(|| {
        let (side, ended) = with_end();
        let (handle, stuck) = (side.handle().clone(), side.handle().spawn(pending::<()>()));
        let call = handle.call(move || {
            let report = side.shutdown(drain());
            assert!(sideloop::current().is_closed());
            (report.finished, report.cancelled.len(), report.aborted.len(), report.panicked.len())
        });
        assert_eq!(join_ok(call), (0, 0, 0, 0));
        stuck.cancel();
        assert!(matches!(join_err(stuck), JoinError::Cancelled));
        ended.wait();
    });
}

/// H3: `LoopThread::join` on the loop's own thread returns at once; the loop can still be ended.
#[test]
fn a_loop_joined_on_its_own_thread_does_not_wait_for_itself() {
    limited(|| {
        let (side, ended) = with_end();
        let handle = side.handle().clone();
        let report = join_ok(handle.call(move || side.join()));
        assert_eq!(report.finished, 0, "{report:?}");
        handle.shutdown(Shutdown::now());
        ended.wait();
    });
}

/// H3: a `LoopThread` dropped on its own thread only asks for the end; the task goes on.
#[test]
fn a_loop_thread_dropped_on_its_own_thread_only_asks() {
    limited(|| {
        let (side, ended) = with_end();
        let handle = side.handle().clone();
        let call = handle.call(move || {
            drop(side);
            sideloop::current().is_closed()
        });
        assert!(join_ok(call));
        ended.wait();
    });
}

/// H3: so does one that a survivor owns, and drops at the end; the other loop's end is waited for.
#[test]
fn loop_threads_owned_by_tasks_end_with_them() {
    limited(|| {
        let ((outer, outer_ended), (inner, inner_ended)) = (with_end(), with_end());
        let handle = outer.handle().clone();
        let task = handle.spawn(async move {
            let _loops = (outer, inner);
            pending::<()>().await;
        });
        join_ok(handle.call(|| ()));
        handle.shutdown(Shutdown::now());
        outer_ended.wait();
        assert!(inner_ended.is_set());
        assert!(matches!(join_err(task), JoinError::Cancelled));
    });
}

/// H3: two loops whose tasks shut the respective other one down both end.
#[test]
fn two_loops_may_shut_each_other_down() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let (of_one, of_two) = (one.handle().clone(), two.handle().clone());
        let held = (hold(&of_one), hold(&of_two));
        one.handle().call(move || of_two.shutdown(drain())).detach();
        two.handle().call(move || of_one.shutdown(drain())).detach();
        drop(held);
        one.join();
        two.join();
    });
}

// ───────────── without asking ─────────────

/// H1: dropping the `LoopThread` is `Shutdown::now`, and waits for the end.
#[test]
fn dropping_the_loop_thread_aborts_and_waits() {
    limited(|| {
        let (side, ended) = with_end();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        log.wait_polls(1);
        drop(side);
        assert!(ended.is_set());
        assert_eq!(log.dropped(), 1);
        assert!(matches!(join_err(task), JoinError::Cancelled));
    });
}

/// H5: dropping an executor ends its tasks here, and answers those who wait for them.
#[test]
fn dropping_an_executor_answers_its_joiners() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::pending();
        let task = executor.handle().spawn(probe);
        let queued = executor.handle().spawn(pending::<()>());
        executor.turn();
        let handle = executor.handle().clone();
        let joiner = thread::spawn(move || task.join());
        drop(executor);
        let result = joiner.join().expect("a join does not panic");
        assert!(matches!(result, Err(JoinError::Cancelled | JoinError::Closed)), "{result:?}");
        assert!(join_soon(queued).is_err());
        assert_eq!(log.drops().threads(), [thread::current().id()]);
        assert!(handle.is_closed());
        assert!(matches!(join_err(handle.call(|| ())), JoinError::Closed));
    });
}
